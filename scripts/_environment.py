"""The virtual environment of a checkout. ``scripts/run`` and ``scripts/test`` create, update and enter it.

The module uses only the standard library, so any Python can run it on any system.
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_INDEX = "https://download.pytorch.org/whl/cu126"
SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1", "libEGL.so.1": "libegl1", "libgthread-2.0.so.0": "libglib2.0-0", "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0", "libxcb-icccm.so.4": "libxcb-icccm4", "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1", "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0", "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1", "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0", "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}  # fmt: skip
"""Shared libraries that OpenCV and Qt load, each with its package in Debian and Ubuntu."""
TEST_PROGRAMS = {"Xvfb": "xvfb", "xdotool": "xdotool", "ffmpeg": "ffmpeg"}
"""Programs that the tests start, each with its package in Debian and Ubuntu."""

EXTRAS = ("test",)
_MARK = "clipseg-live-installed"


class EnvironmentProblem(Exception):
    """An environment cannot be created. The message says what to do."""


def prepare(extras: Sequence[str] = ()) -> Path:
    """Create or update the environment. This is quick if nothing has changed.

    Args:
        extras: Extras of the package that are installed.

    Returns:
        The Python of the environment.

    Raises:
        EnvironmentProblem: If a step fails.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise EnvironmentProblem(f"Python 3.11 or later is needed; this is {platform.python_version()}.")
    folder = ROOT / ".venv"
    python = python_of(folder)
    wanted = stamps(extras)
    if is_ready(folder, wanted):
        return python
    with _locked(ROOT / ".venv.lock"):
        if is_ready(folder, wanted):  # another process has just created it
            return python
        size = download_size(system=platform.system(), nvidia=has_nvidia())
        say(f"Installing clipseg-live into .venv: up to {size} are downloaded, which takes a few minutes...")
        install_system_packages(extras)
        mark = folder / _MARK
        still_valid = _installed(mark) & stamps(EXTRAS)
        mark.unlink(missing_ok=True)  # an interrupted installation must not look finished
        if not _works(python):
            make_environment(folder)
            still_valid = set()
        _install(python, extras)
        mark.write_text("\n".join(sorted(wanted | still_valid)), encoding="ascii")
    return python


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def stamps(extras: Sequence[str]) -> set[str]:
    """Return a hash for the package and one for each extra. A hash changes if its packages must be installed again."""
    content = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    location = repr((sys.version_info[:2], str(ROOT))).encode()
    return {hashlib.sha256(content + location + extra.encode()).hexdigest() for extra in ("", *extras)}


def is_ready(folder: Path, wanted: set[str]) -> bool:
    return wanted <= _installed(folder / _MARK) and python_of(folder).exists()


def _installed(mark: Path) -> set[str]:
    return set(mark.read_text(encoding="ascii", errors="replace").split()) if mark.is_file() else set()


def torch_arguments(version: str, *, system: str, nvidia: bool, reachable: bool) -> list[str]:
    """Return the arguments of pip that install the build of torch for a machine.

    Without an NVIDIA GPU this is the CPU build, which is much smaller than the default one. On Windows the default
    build is
    the CPU build, and the GPU build has its own index.

    Args:
        version: Version of torch.
        system: Name of the system, as ``platform.system`` returns it.
        nvidia: Whether the machine has an NVIDIA GPU.
        reachable: Whether the indexes of PyTorch can be reached.
    """
    index = {("Linux", False): CPU_INDEX, ("Windows", True): CUDA_INDEX}.get((system, nvidia))
    return [f"torch=={version}", *(["--extra-index-url", index] if index and reachable else [])]


def download_size(*, system: str, nvidia: bool) -> str:
    """Return how much a first installation downloads at most: the disk space that it needs, as in docs/install.md.

    Args:
        system: Name of the system, as ``platform.system`` returns it.
        nvidia: Whether the machine has an NVIDIA GPU.
    """
    return "5.5 GB" if nvidia and system != "Darwin" else "1.7 GB"


def missing_packages(extras: Sequence[str] = ()) -> list[str]:
    """Return the packages of Debian or Ubuntu whose libraries or programs are missing; none on other systems."""
    if platform.system() != "Linux" or shutil.which("apt-get") is None:
        return []
    programs = TEST_PROGRAMS if "test" in extras else {}
    return [
        *(package for library, package in SYSTEM_LIBRARIES.items() if not _loads(library)),
        *(package for program, package in programs.items() if shutil.which(program) is None),
    ]


def install_system_packages(extras: Sequence[str] = ()) -> None:
    """Install the missing system packages.

    Raises:
        EnvironmentProblem: If the user is not root. The message is the command to run.
    """
    packages = missing_packages(extras)
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise EnvironmentProblem(f"Packages of the system are missing. Run: sudo {' '.join(command)}")
    say(f"Installing {', '.join(packages)} from the system's packages...")
    run_quietly(["apt-get", "update"])
    run_quietly(command)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def make_environment(folder: Path) -> None:
    """Create an empty virtual environment, and replace an existing one.

    Raises:
        EnvironmentProblem: If Python cannot create it.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=False
    )
    if finished.returncode:
        if "ensurepip" in finished.stdout + finished.stderr:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise EnvironmentProblem(f"Python's venv is missing. Run: sudo apt-get install python{version}-venv")
        raise EnvironmentProblem(f"The virtual environment could not be created: {_last_lines(finished)}")


def _install(python: Path, extras: Sequence[str]) -> None:
    wanted = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    install_torch(python, constrained("torch"))
    _pip(python, "--constraint", str(ROOT / "constraints.txt"), "--editable", wanted)


def install_torch(python: Path, version: str) -> None:
    """Install the build of torch for this machine.

    It is installed before all other packages and with its exact version. For a range of versions pip would choose the
    build
    of several gigabytes even if a small one is available.

    Raises:
        EnvironmentProblem: If pip fails.
    """
    reachable = _reachable("download.pytorch.org")
    if not reachable:
        say("The package index of PyTorch cannot be reached. Using the default index.")
    _pip(python, *torch_arguments(version, system=platform.system(), nvidia=has_nvidia(), reachable=reachable))


def _pip(python: Path, *arguments: str) -> None:
    run_quietly([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def constrained(package: str) -> str:
    """Return the version of a package in constraints.txt.

    Raises:
        EnvironmentProblem: If constraints.txt does not name the package.
    """
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        if name == package:
            return version.split(";")[0].strip()
    raise EnvironmentProblem(f"constraints.txt names no version of {package}.")


def has_nvidia() -> bool:
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def has_display() -> bool:
    """Return whether a window can be opened."""
    return platform.system() != "Linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return False
    return True


def _works(python: Path) -> bool:
    try:
        return not subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode
    except OSError:
        return False


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def run_quietly(command: list[str]) -> None:
    """Run a command, and show its last lines only if it fails.

    Raises:
        EnvironmentProblem: If the command fails.
    """
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if finished.returncode:
        raise EnvironmentProblem(f"{' '.join(command)}\nfailed:\n{_last_lines(finished)}")


def _last_lines(finished: "subprocess.CompletedProcess[str]") -> str:
    return "\n".join((finished.stdout + finished.stderr).strip().splitlines()[-15:])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Allow one installation at a time. Other processes wait."""
    with path.open("a+b") as file:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
