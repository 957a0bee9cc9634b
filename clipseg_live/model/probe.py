"""Report on the hardware of this machine: processor, GPUs, precisions, and advice for more speed."""

import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.model.store import loading

if TYPE_CHECKING:
    from clipseg_live.model.benchmark import MatrixSpeed, Precision

FASTER = 1.2
"""Ratio of times from which a gain is reported; smaller ones are lost in the noise of other processes."""

_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_fp16": "AVX-512 fp16",
    "amx_bf16": "AMX bf16",
    "asimd": "NEON",
    "bf16": "bf16",
}
_CPU_INFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor.

    Attributes:
        name: name of the processor.
        cores: physical cores that this process may use, by its affinity and its container's quota; logical ones if the
            system does not report them.
        logical: logical cores that this process may use.
        threads: threads that PyTorch uses.
        capability: instruction set that PyTorch's own kernels use.
        instructions: supported instruction sets.
    """

    name: str
    cores: int
    logical: int
    threads: int
    capability: str
    instructions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """GPU that PyTorch can use.

    Attributes:
        device: its device name.
        name: its product name.
        total_bytes: its memory; None if the driver does not report it.
        free_bytes: its free memory; None if the driver does not report it.
    """

    device: str
    name: str
    total_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices of this machine.

    Attributes:
        cpu: the processor.
        gpus: GPUs that PyTorch can use.
        build: platform that PyTorch was built for ("CPU", "CUDA 12.6").
        nvidia: names of the GPUs that NVIDIA's driver reports.
        chosen: the device that ``--device auto`` selects.
        engine: the engine that ``--engine auto`` selects.
        warning: warning of PyTorch when it looked for a GPU.
        load: mean number of threads that were ready to run over the last minute; None if the system does not count
            them.
    """

    cpu: Cpu
    gpus: tuple[Gpu, ...]
    build: str
    nvidia: tuple[str, ...]
    chosen: str
    warning: str | None
    load: float | None = None
    engine: str = "torch"


def find_devices() -> Devices:
    """Return the processor and the GPUs, as PyTorch sees them."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    import torch

    from clipseg_live.model.engines import choose_engine

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [_cuda(index) for index in range(count)]
    if torch.backends.mps.is_available():
        gpus.append(Gpu("mps", "Apple GPU", torch.mps.recommended_max_memory(), None))
    choice = choose_engine()
    return Devices(
        cpu=cpu(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()),
        gpus=tuple(gpus),
        build=_build(torch.version.cuda, torch.version.hip),
        nvidia=nvidia_gpus(),
        chosen=choice.device,
        warning=" ".join(str(caught[0].message).split()) if caught else None,
        load=load,
        engine=choice.engine,
    )


def cpu(threads: int, capability: str, information: Path = _CPU_INFO, quota: Path = _QUOTA) -> Cpu:
    """Return the processor, read from /proc/cpuinfo and cpu.max of Linux, or from Python elsewhere.

    Args:
        threads: threads that PyTorch uses.
        capability: instruction set that PyTorch's own kernels use.
        information: file in the format of /proc/cpuinfo.
        quota: file in the format of cpu.max.
    """
    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
    names = [value for key, value in pairs if key == "model name"]
    flags = {flag for key, value in pairs if key in ("flags", "Features") for flag in value.split()}
    return Cpu(
        name=names[0] if names else platform.processor() or platform.machine() or "unknown",
        cores=min(logical, _physical_cores(pairs) or logical, _quota(quota) or logical),
        logical=logical,
        threads=threads,
        capability=capability,
        instructions=tuple(title for flag, title in _INSTRUCTIONS.items() if flag in flags),
    )


def nvidia_gpus(folder: Path = _NVIDIA) -> tuple[str, ...]:
    """Return the names of the GPUs that NVIDIA's driver reports, whether or not PyTorch can use them.

    The result is empty without a driver.
    """
    names = []
    for information in sorted(folder.glob("*/information")):
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    tool = shutil.which("nvidia-smi")
    if names or tool is None:
        return tuple(names)
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=3, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # the tool is installed, but no driver responds
        return ()
    return tuple(line.strip() for line in output.splitlines() if line.strip())


def advice(
    found: Devices | None, speed: "MatrixSpeed | None", compared: "tuple[Precision, ...]" = ()
) -> tuple[str, ...]:
    """Return advice for more speed, based only on facts that were detected or measured.

    Args:
        found: the devices; None if they were not detected.
        speed: the speed of matrix products; None if it was not measured.
        compared: the precisions; empty if they were not compared.
    """
    if found is None:
        return ()
    messages = []
    if found.nvidia and not any(gpu.device.startswith("cuda") for gpu in found.gpus):
        messages.append(_unused_gpu(found))
    if found.chosen == "cpu" and speed is not None:
        messages += _more_threads(found.cpu, speed)
        messages += _faster_torch(speed, compared) if found.engine == "torch" else _faster_openvino(compared)
    if found.load is not None and found.load > found.cpu.logical:
        messages.append(
            f"Other programs keep the processor busy (a load of {found.load:.1f} over the last minute on "
            f"{_count(found.cpu.logical, 'processor')}): close them; until then the times above are not reliable."
        )
    return tuple(messages)


def _build(cuda: str | None, hip: str | None) -> str:
    return f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "CPU"


def _unused_gpu(found: Devices) -> str:
    names = ", ".join(sorted(set(found.nvidia)))
    if found.build == "CPU":
        return (
            f"This machine has an NVIDIA GPU ({names}), but this PyTorch is built for CPUs only: "
            "install its CUDA build (pytorch.org/get-started)."
        )
    reason = f": {found.warning}" if found.warning else "; CUDA_VISIBLE_DEVICES and the driver's version decide that."
    return f"This machine has an NVIDIA GPU ({names}), but PyTorch ({found.build}) cannot use it{reason}"


def _more_threads(processor: Cpu, speed: "MatrixSpeed") -> Iterable[str]:
    if speed.all_cores is not None and speed.float32 / speed.all_cores >= FASTER:
        variable = "OMP_NUM_THREADS"
        cause = f" because {variable} is {os.environ[variable]}" if variable in os.environ else ""
        threads, cores = _count(processor.threads, "thread"), _count(processor.cores, "core")
        yield (
            f"PyTorch uses {threads} for {cores}{cause}: with one thread per core the encoder's "
            f"largest matrix product ran {speed.float32 / speed.all_cores:.1f} times as fast here "
            f"({variable}={processor.cores})."
        )


def _faster_torch(speed: "MatrixSpeed", compared: "tuple[Precision, ...]") -> Iterable[str]:
    ratio = speed.float32 / speed.bfloat16
    low = next((one for one in compared if one.dtype == "bfloat16" and one.device == "cpu"), None)
    if ratio < FASTER or (low is not None and low.refusal is not None):
        return
    gain = (
        f"--dtype bfloat16: the largest matrix product of the published models' encoder ran {ratio:.1f} times as fast "
        "as in float32 here"
    )
    if low is None or low.largest is None or low.milliseconds is None:
        yield f"{gain}; its effect on the masks was not measured (the model {loading.SHAPES_MODEL} is needed)."
        return
    factor = low.float32_milliseconds / low.milliseconds
    yield (
        f"{gain}; a whole frame of the model {loading.SHAPES_MODEL} ran {factor:.1f} times as fast, "
        f"with probabilities that differ by {low.largest:.2g} at most."
    )


def _faster_openvino(compared: "tuple[Precision, ...]") -> Iterable[str]:
    for low in compared:
        if low.engine != "openvino" or low.largest is None or low.milliseconds is None:
            continue
        factor = low.float32_milliseconds / low.milliseconds
        if factor >= FASTER:
            yield (
                f"--dtype {low.dtype}: a whole frame of the model {loading.SHAPES_MODEL} ran {factor:.1f} times as "
                f"fast as in float32 with OpenVINO here, with probabilities that differ by {low.largest:.2g} at most."
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cuda(index: int) -> Gpu:
    import torch

    properties = torch.cuda.get_device_properties(index)
    try:
        free: int | None = torch.cuda.mem_get_info(index)[0]
    except RuntimeError:  # a GPU in exclusive use reports its total memory, but not its free memory
        free = None
    return Gpu(f"cuda:{index}", properties.name, properties.total_memory, free)


def _physical_cores(pairs: list[tuple[str, str]]) -> int:
    """Return the number of distinct (socket, core) pairs in /proc/cpuinfo, or 0 if it has none."""
    cores, socket = set(), "0"
    for key, value in pairs:
        if key == "physical id":
            socket = value
        elif key == "core id":
            cores.add((socket, value))
    return len(cores)


def _quota(file: Path) -> int:
    """Return the container's quota of CPU time in whole cores, at least 1, or 0 without a limit."""
    try:
        share, period = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0
    return 0 if share == "max" else max(1, int(share) // int(period))
