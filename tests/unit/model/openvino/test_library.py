"""OpenVINO without its telemetry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.model.openvino import library

installed = pytest.mark.skipif(not library.is_installed(), reason="needs OpenVINO")
_CONVERTS = """
import socket, sys
attempts = []
def refuse(*arguments, **options):
    attempts.append(arguments)
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
from clipseg_live.model.openvino import library
openvino = library.load()
import torch
model = openvino.convert_model(torch.nn.Linear(2, 2), example_input=torch.zeros(1, 2))
assert len(model.inputs) == 1
telemetry = sys.modules.get("openvino_telemetry")
if telemetry is not None:
    telemetry.Telemetry("test").force_shutdown(5.0)  # waits until its threads have tried to send
print(len(attempts), telemetry is not None)
"""


@pytest.mark.slow
@installed
def test_neither_the_import_nor_a_conversion_reaches_for_the_network_or_the_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", _CONVERTS], env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.stdout.splitlines()[-1:] == ["0 False"], done.stderr
    assert not list(tmp_path.rglob("*"))


@pytest.mark.slow
@installed
def test_the_sender_can_be_imported_afterwards() -> None:
    library.load()
    assert sys.modules.get("openvino_telemetry", "absent") is not None


def test_without_the_package_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.packages, "has_package", lambda module: False)
    library.load.cache_clear()
    with pytest.raises(UsageError, match=r"pip install .openvino.*, or use the engine torch"):
        library.load()
    assert not library.is_installed()


_INTERRUPTED = """
import gc, os, signal, sys
from clipseg_live import Segmenter
segmenter = Segmenter.load(sys.argv[1], device="cpu", engine="openvino")
del segmenter
gc.collect()
for _ in range(20):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        raise SystemExit("no interrupt")
    except KeyboardInterrupt:
        pass
print("alive")
"""


@pytest.mark.slow
@installed
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no alternate stacks for signals")
def test_signals_are_handled_after_a_model_was_compiled(tiny_folder: Path) -> None:
    """A compilation replaces the stack for signals of the thread; it must last as long as the process."""
    command = [sys.executable, "-c", _INTERRUPTED, str(tiny_folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
