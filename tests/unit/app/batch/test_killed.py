"""A batch that is killed repeatedly resumes each time, without manual overwriting."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.helpers.clips import make_clip, raw_times
from tests.helpers.paths import ROOT

PROGRAM = """
import sys
from pathlib import Path
from clipseg_live.app.batch import runner
from clipseg_live.app.batch.plan import plan_batch
from clipseg_live.model.store import loading
from tests.unit.app.batch.test_runner import Heard, Loaded, template

runner.find_model = lambda settings: loading.find_model_files("shapes")
runner.load_engine = lambda files, settings, prompts: Loaded()
report = runner.run_batch(plan_batch(sys.argv[2:], Path(sys.argv[1]), template(), masks="jsonl"), Heard())
print(*(outcome.ending.value + outcome.sentence for outcome in report.outcomes), sep=";")
"""


@pytest.mark.slow
def test_a_killed_batch_resumes(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"{name}.mp4", count=4) for name in "abcd"]
    (tmp_path / "program.py").write_text(PROGRAM)
    out = tmp_path / "out"

    def begin() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "program.py"), str(out), *map(str, clips)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    tick = threading.Event()
    for name in ("a.mp4.jsonl", "b.mp4", "c.mp4.jsonl"):  # masks are moved before their video
        deadline = time.monotonic() + 60
        with begin() as process:
            while not (out / name).exists():
                assert process.poll() is None and time.monotonic() < deadline
                tick.wait(0.001)
            process.send_signal(signal.SIGKILL)
    with begin() as process:
        told, _ = process.communicate(timeout=60)
    endings = told.strip().split(";")
    assert len(endings) == 4 and set(endings) <= {"done", "already finished"}, told
    assert endings[0] == "already finished"
    for clip in clips:
        assert raw_times(out / clip.name) == raw_times(clip)
        assert (out / f"{clip.name}.jsonl").exists()
