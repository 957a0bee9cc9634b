"""Errors on the command line, and light imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from clipseg_live import __version__
from clipseg_live.cli import main
from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.system import logs
from tests.helpers.paths import ROOT

HEAVY = ("torch", "transformers", "cv2", "av", "numpy", "PIL", "huggingface_hub", "clipseg_live.core.settings.base")


def test_help_and_version_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("export", "bench", "doctor", "models"):
        assert command in text
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"clipseg-live {__version__}\n"


@pytest.mark.slow
def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys; from clipseg_live.cli.main import COMMANDS, run; run(['--help']);"
        "[run([name, '--help']) for name in COMMANDS];"
        f"print('HEAVY', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert output.stdout.splitlines()[-1] == "HEAVY"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UsageError("No."), 2, "clipseg-live: No.\n"),
        (Failure("Broken."), 1, "clipseg-live: Broken.\n"),
        (KeyboardInterrupt(), 1, "clipseg-live: Stopped.\n"),
        (
            RuntimeError("a\nb"),
            1,
            "clipseg-live: Unexpected error (RuntimeError: a b). "
            "The log has the details: run it again with --log-level debug\n",
        ),
    ],
)
def test_every_error_is_printed_as_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    assert main.run(["models"]) == code
    assert capsys.readouterr().err == sentence


@pytest.mark.parametrize("how", ["CLIPSEG_LIVE_DEBUG", "--log-level"])
def test_the_traceback_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, how: str
) -> None:
    arguments = ["export", "missing.mp4", "-p", "a cup", "-o", "x.mp4"]
    if how == "CLIPSEG_LIVE_DEBUG":
        monkeypatch.setenv(how, "1")
    else:
        monkeypatch.delenv("CLIPSEG_LIVE_DEBUG", raising=False)
        arguments = [how, "debug", *arguments]
    monkeypatch.chdir(tmp_path)
    with logs.installed(tmp_path / "log"):
        assert main.run(arguments) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and error.endswith("clipseg-live: There is no file missing.mp4.\n")


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_takes_a_log_level(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([command, "--help"]) == 0
    assert "--log-level LEVEL" in capsys.readouterr().out
    assert main.run([command, "--log-level", "loud"]) == 2
    assert capsys.readouterr().err == "clipseg-live: 'loud' is not a log level: use debug, info, warning, error.\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["export"], ["export", "x.mp4", "-o"], ["bench", "--rounds", "0"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ADDRESS"],
        ["live", "demo:", "ADDRESS"],
        ["doctor", "ADDRESS"],
        ["export", "ADDRESS", "-p", "cup", "-o", "out.mp4"],
        ["export", "in.mp4", "ADDRESS", "-p", "cup", "--into", "out"],
        ["export", "in.mp4", "-p", "cup", "-o", "ADDRESS"],
        ["record", "demo:", "-p", "a", "--session", "ADDRESS"],
        ["watch", "demo:", "-p", "a", "--frames", "ADDRESS"],
        ["record", "demo:", "-p", "a", "--preset", "ADDRESS"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "address",
    [
        "rtsp://ann:Zq]9K@host/x",
        "rtsp:/ann:Zq9K@host/x",
        "ann:Zq9K@host/x",
        "http://ann:Zq/9 K@host",
        "http://h/?Zq9K=1",
    ],
)
def test_no_message_shows_the_password_of_an_argument(
    arguments: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([address if each == "ADDRESS" else each for each in arguments]) in (1, 2)
    said = "".join(capsys.readouterr())
    assert said and "Zq" not in said and "9K" not in said and "ann" not in said


def test_export_names_the_command_for_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["export", "rtsp://ann:secret@host/x", "-p", "cup", "-o", "out.mp4"]) == 2
    said = capsys.readouterr().err
    assert "rtsp://host/x is an address" in said and "clipseg-live record" in said


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["exprot"]) == 2
    assert "Did you mean 'export'?" in capsys.readouterr().err


@pytest.mark.slow
def test_command_functions_have_few_parameters() -> None:
    counts = {}
    for path in (ROOT / "clipseg_live" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                arguments = node.args
                counts[node.name] = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
    assert len(counts) > 100 and max(counts.values()) <= 10
