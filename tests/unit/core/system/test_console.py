"""Standard output and standard error never raise if they are closed, full, slow or limited in encoding."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from clipseg_live.core.system import console
from tests.helpers.paths import ROOT

posix = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are passed on as POSIX does")
SETUP = "import sys, os\nfrom clipseg_live.core.system import console\nconsole.protect()\n"
TEXT = "caf\u00e9 \u732b \U0001f408 \u2588\u2501 \udcff"


def python(
    code: str, variables: Mapping[str, str] | None = None, *, closed: Sequence[int] = (), **options: object
) -> "subprocess.Popen[str]":
    def close() -> None:
        for number in closed:
            os.close(number)

    return subprocess.Popen(
        [sys.executable, "-c", SETUP + code], cwd=ROOT, env={**os.environ, **(variables or {})},
        preexec_fn=close if closed else None,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options},
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


@pytest.mark.slow
@posix
@pytest.mark.parametrize("closed", [[1], [2], [1, 2], [0, 1, 2], [0]])
def test_a_closed_output_is_none_and_its_descriptor_is_not_reused(closed: list[int], tmp_path: Path) -> None:
    path = tmp_path / "result"
    code = (
        f"file = open({str(path)!r}, 'w')\n"
        "print('out'); print('err', file=sys.stderr); os.write(1, b'native'); os.write(2, b'native')\n"
        "file.write('mine'); file.close()\n"
        "sys.exit(0 if file and not console.is_closed() else 7)"
    )
    with python(code, closed=closed) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0 and path.read_text() == "mine"


@pytest.mark.slow
@posix
@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_closed_pipe_is_detected_without_an_error(name: str, variables: dict[str, str]) -> None:
    other = "stderr" if name == "stdout" else "stdout"
    code = (
        "sys.stdin.readline()\n"
        f"known = console.is_closed()\n"
        f"for _ in range(100): print('x' * 5000, file=sys.{name}, flush=True)\n"
        f"print(known, console.is_closed(), console.output_failure(), file=sys.{other})"
    )
    with python(code, variables, stdin=subprocess.PIPE) as process:
        getattr(process, name).close()
        setattr(process, name, None)
        process.stdin.write(b"\n")  # type: ignore[union-attr,arg-type]
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and (out or err) == b"True True None\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "shift_jis", "utf-8", "utf-16"])
def test_every_text_can_be_printed_in_every_encoding(encoding: str) -> None:
    code = f"print({TEXT!a}); print({TEXT!a}, file=sys.stderr)"
    with python(code, {"PYTHONIOENCODING": encoding}) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.decode(encoding).rstrip() == TEXT.encode(encoding, "backslashreplace").decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.slow
@posix
def test_the_c_locale_can_print_everything() -> None:
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    with python(f"print({TEXT!a})", variables) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out.isascii() and b"\\u732b" in out, err  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_a_full_disk_is_distinguished_from_a_closed_pipe() -> None:
    code = "print('x', flush=True); print(console.output_failure().strerror, console.is_closed(), file=sys.stderr)"
    with open("/dev/full", "w") as full, python(code, stdout=full) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == b"No space left on device False\n"


@pytest.mark.slow
@posix
def test_a_slow_reader_of_a_non_blocking_pipe_loses_nothing() -> None:
    code = "os.set_blocking(1, False)\nfor number in range(3000): print(f'{number:0100}')\nsys.stdout.flush()"
    with python(code) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [int(line) for line in out.split()] == list(range(3000))


def test_json_is_escaped_only_where_necessary() -> None:
    class Stream:
        def __init__(self, encoding: str | None) -> None:
            self.encoding = encoding

    wide = ["utf-8", "UTF-8", "utf8"]
    assert not any(console.ascii_only(Stream(name)) for name in wide)  # type: ignore[arg-type]
    assert all(console.ascii_only(Stream(name)) for name in ("ascii", "cp1252", None, "nothing"))  # type: ignore[arg-type]
    assert console.ascii_only(None)
