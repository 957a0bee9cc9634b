"""Optional packages: whether they are installed, and the command that installs them for the running Python."""

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec

REQUIREMENTS: Mapping[str, str] = {
    "mss": "mss>=10,<11",
    "openvino": "openvino>=2026,<2027",
    "pillow_heif": "pillow-heif>=1.0,<2",
    "pyvirtualcam": "pyvirtualcam>=0.12,<1",
    "supervision": "supervision>=0.31",
}
"""Requirement of each optional package, by the name of its module, as in ``pyproject.toml``."""


def has_package(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a package that is half removed
        return False


def install_command(module: str) -> str:
    """Return the command that installs an optional package for the running Python.

    Environments of uv have no pip, so uv is named there if it can be found.

    Args:
        module: name of its module, one of ``REQUIREMENTS``.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    requirement = f'"{REQUIREMENTS[module]}"'
    if has_package("pip"):
        return f"{python} -m pip install {requirement}"
    if shutil.which("uv"):
        return f"uv pip install --python {python} {requirement}"
    return f"{python} -m ensurepip && {python} -m pip install {requirement}"


def missing_package(purpose: str, module: str) -> str:
    """Return one sentence that a purpose needs an optional package, with the command that installs it.

    Args:
        purpose: what needs it, with a capital letter.
        module: name of its module, one of ``REQUIREMENTS``.
    """
    package = REQUIREMENTS[module].partition(">")[0]
    return f"{purpose} needs the package {package}, which is not installed: run {install_command(module)}"
