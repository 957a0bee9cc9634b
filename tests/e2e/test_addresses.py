"""The window with unusual addresses, and no passwords in its files."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clipseg_live.core.system import logs
from tests.e2e.conftest import environment, start

LAST = "rtsp://user:p]w@127.0.0.1:1/x"


@pytest.mark.skipif(sys.platform != "linux", reason="the log folder is moved by an XDG variable")
def test_the_window_starts_with_any_last_source(tmp_path: Path) -> None:
    settings = tmp_path / "settings" / "preferences.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"recent": [{"name": LAST}]}))
    log = tmp_path / "clipseg-live" / "log" / logs.FILE_NAME
    for arguments, shown in (
        ((), "rtsp://127.0.0.1:1/x"),
        (("http://ann:s[cret@127.0.0.1:1/y",), "http://127.0.0.1:1/y"),
    ):
        process = start(
            ["live", *arguments, "--model", "shapes", "--log-level", "debug"], tmp_path, stderr=subprocess.STDOUT,
            variables={
                **environment(), "XDG_STATE_HOME": str(tmp_path), "CLIPSEG_LIVE_CONFIG": str(settings.parent),
                "QT_QPA_PLATFORM": "offscreen",
            },
        )  # fmt: skip
        try:
            # opening is retried; at the third try the window exists
            limit = time.monotonic() + 100
            while not (log.exists() and log.read_text("utf-8").count(f"{shown} cannot be opened") > 2):
                assert process.poll() is None and time.monotonic() < limit
                threading.Event().wait(0.1)
            process.terminate()
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        text = said + log.read_text("utf-8")
        assert process.returncode == 0, said
        assert "p]w" not in text and "s[cret" not in text and "user:" not in text and "ann:" not in text
    assert [each["name"] for each in json.loads(settings.read_text("utf-8"))["recent"]] == [LAST]
