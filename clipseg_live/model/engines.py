"""Choice of the library, device and precision that run a network. Importing this module imports no library."""

import importlib.util
import logging
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.base import DTYPES, ENGINES
from clipseg_live.model.openvino import library

logger = logging.getLogger(__name__)

_GPU_LIBRARIES = ("libtorch_cuda.so", "libtorch_hip.so", "torch_cuda.dll", "torch_hip.dll")
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/proc/driver/nvidia/version")
_WINDOWS_DRIVERS = ("nvcuda.dll", "amdhip64.dll", "amdhip64_6.dll", "amdhip64_7.dll")


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Library, device and precision that run the network.

    Attributes:
        engine: "torch" or "openvino".
        device: name of the device, as PyTorch names it.
        dtype: name of the precision.
        fallback: True if PyTorch may replace OpenVINO, because the user did not ask for one of them.
    """

    engine: str
    device: str
    dtype: str
    fallback: bool


def choose_engine(engine: str = "auto", device: str = "auto", dtype: str = "auto") -> EngineChoice:
    """Return the engine for these names.

    "auto" takes the first available one of PyTorch on a CUDA GPU, PyTorch on an Apple GPU, OpenVINO on the CPU, and
    PyTorch on the CPU. PyTorch is imported only if a GPU is likely, or if it is the result.

    Args:
        engine: "auto", "torch" or "openvino".
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        dtype: "auto", "float32", "bfloat16", "float16" or "int8".

    Raises:
        UsageError: if a value is invalid, or not available on this machine.
    """
    if engine not in ENGINES:
        raise UsageError(f"{engine!r} is not an engine: use one of {', '.join(ENGINES)}.")
    if dtype not in DTYPES:
        raise UsageError(f"{dtype!r} is not a precision: use {', '.join(DTYPES)}.")
    if engine == "openvino":
        return _openvino(device, dtype)
    if engine == "auto" and _suits_openvino(device, dtype):
        return EngineChoice("openvino", "cpu", _dtype(dtype), fallback=True)
    from clipseg_live.model.pytorch import devices

    chosen = devices.choose_device(device)
    return EngineChoice("torch", str(chosen), devices.choose_dtype(dtype, chosen), fallback=False)


def available_engines(device: str = "auto", dtype: str = "auto") -> tuple[str, ...]:
    """Return the names of all engines that can run on a device in a precision, the default one first.

    Raises:
        UsageError: if a value is invalid, or not available on this machine.
    """
    first = choose_engine("auto", device, dtype)
    others = ("torch",) if first.engine == "openvino" and dtype != "int8" else ()
    return (first.engine, *others)


def _openvino(device: str, dtype: str) -> EngineChoice:
    if not library.is_installed():
        raise UsageError(library.missing())
    if device not in ("auto", "cpu"):
        raise UsageError(
            f"The engine openvino runs on the CPU, not on {device}: use --device cpu, or the engine torch."
        )
    if dtype == "float16":
        raise UsageError("The engine openvino has no float16 on a CPU: use float32, bfloat16 or int8.")
    return EngineChoice("openvino", "cpu", _dtype(dtype), fallback=False)


def _suits_openvino(device: str, dtype: str) -> bool:
    if dtype == "float16" or device not in ("auto", "cpu") or not library.is_installed():
        return False
    return device == "cpu" or not _has_gpu()


def _dtype(name: str) -> str:
    return "float32" if name == "auto" else name


def _has_gpu() -> bool:
    """Return whether PyTorch can use a GPU. PyTorch is asked only if its build and the drivers make it possible."""
    if "torch" not in sys.modules and not _may_have_gpu():
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _may_have_gpu() -> bool:
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    found = importlib.util.find_spec("torch")
    folders = [Path(folder) / "lib" for folder in found.submodule_search_locations or ()] if found else []
    if not any((folder / name).exists() for folder in folders for name in _GPU_LIBRARIES):
        return False
    if sys.platform == "win32":
        system = Path("C:/Windows/System32")
        return any((system / name).exists() for name in _WINDOWS_DRIVERS)
    return any(Path(path).exists() for path in _DRIVERS)
