"""Import of OpenVINO without its telemetry.

OpenVINO reports its import and each conversion to its vendor unless a file in the user's home forbids it. This module
keeps its sender from being imported at all, so that nothing is sent and nothing is written into the user's home.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from clipseg_live.core.errors import UsageError
from clipseg_live.core.system import packages

_SENDER = "openvino_telemetry"
_REPORTING = ("openvino.tools.ovc", "openvino.tools.ovc.convert_impl", "openvino.tools.ovc.telemetry_utils")
"""Modules of OpenVINO that report. Without the sender they use a stub of their own."""


def is_installed() -> bool:
    """Return whether OpenVINO is installed, without importing it."""
    return packages.has_package("openvino")


def missing() -> str:
    """Return one sentence on how OpenVINO is installed."""
    return f"{packages.missing_package('The engine openvino', 'openvino')}, or use the engine torch."


@cache
def load() -> ModuleType:
    """Import OpenVINO and return its module. Nothing is sent over the network, now or in later conversions.

    Raises:
        UsageError: if OpenVINO is not installed.
    """
    if not is_installed():
        raise UsageError(missing())
    with _without_sender():
        library = import_module("openvino")
        stub = import_module("openvino.tools.ovc.telemetry_stub")
        for name in _REPORTING:
            module: Any = import_module(name)
            if hasattr(module, "tm"):
                module.tm = stub  # if the program has imported OpenVINO before, the sender is there
    return library


@cache
def core() -> Any:
    """Return the only instance of OpenVINO's ``Core``, which lasts as long as the process.

    A compilation gives the calling thread a stack for signals that belongs to the instance. After the end of the
    instance, the next signal with a handler of Python, such as Ctrl-C, would end the process with a memory error.

    Raises:
        UsageError: if OpenVINO is not installed.
    """
    return load().Core()


@contextmanager
def _without_sender() -> Iterator[None]:
    """Make imports of the sender fail; restore what was imported before."""
    before = sys.modules.get(_SENDER)
    sys.modules[_SENDER] = None  # type: ignore[assignment]  # Python's own way to forbid an import
    try:
        yield
    finally:
        del sys.modules[_SENDER]
        if before is not None:
            sys.modules[_SENDER] = before
