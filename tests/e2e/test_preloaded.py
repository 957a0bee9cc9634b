"""Forked commands behave like separate processes."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import environment, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are forked on Linux only")
ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, sys
from pathlib import Path
from tests.e2e import preloaded
from tests.e2e.conftest import start

preloaded.LIBRARIES = ("clipseg_live.cli.main",)
preloaded.start_server()
process = start(["watch", "demo:", "-p", "red circle"], Path.cwd())
print(process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_command_ends_with_its_parent(tmp_path: Path) -> None:
    variables = {**environment(), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True, timeout=120
    )
    command, limit, tick = Path(f"/proc/{int(done.stdout)}"), time.monotonic() + 60, threading.Event()
    while command.exists():
        assert time.monotonic() < limit
        tick.wait(0.05)


def test_a_command_has_its_own_folder_environment_and_end(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, sys\nprint(os.getcwd(), os.environ['MARK'], len(os.environ), *sys.argv[1:], flush=True)\n"
    )
    variables = {"MARK": "a b", "PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)}
    with start(["--version"], tmp_path, variables=variables) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "") and out.startswith(f"{tmp_path} a b 3 --version\nclipseg-live ")
    with start(["watch", "demo:"], tmp_path) as process:
        assert process.wait(120) == process.poll() == 2
    with start(["watch", "demo:", "-p", "red circle"], tmp_path) as process:
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait(120) == -9
