"""Detected hardware, measurements, and advice that follows only from them."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipseg_live.model import benchmark, probe

CPU_INFO = """\
processor\t: {0}
model name\t: Some processor @ 3.00GHz
physical id\t: 0
core id\t: {1}
flags\t: fpu avx2 avx512f amx_bf16 amx_tile

"""
CPU = probe.Cpu("Some processor", 4, 8, 4, "AVX512", ())
DEVICES = probe.Devices(CPU, (), "CPU", (), "cpu", None)
BFLOAT16 = benchmark.Precision("bfloat16", "cpu", None, 0.0125, 0.0011, 20.0, 40.0)
FAST = benchmark.MatrixSpeed(10.0, 2.5, None)
LEVEL = benchmark.MatrixSpeed(10.0, 9.5, None)


def test_two_threads_per_core_are_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    information = tmp_path / "cpuinfo"
    information.write_text("".join(CPU_INFO.format(number, number // 2) for number in range(4)))
    found = probe.cpu(2, "AVX512", information, tmp_path / "unlimited")
    assert found == probe.Cpu("Some processor @ 3.00GHz", 2, 4, 2, "AVX512", ("AVX2", "AVX-512", "AMX bf16"))


def test_cpu_affinity_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.os, "sched_getaffinity", lambda _: {0}, raising=False)
    information = tmp_path / "cpuinfo"
    information.write_text("".join(CPU_INFO.format(number, number) for number in range(4)))
    assert probe.cpu(1, "AVX512", information, tmp_path / "unlimited").cores == 1


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("", 4)])
def test_container_limits_are_detected(limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    (tmp_path / "cpu.max").write_text(limit)
    assert probe.cpu(4, "AVX512", tmp_path / "missing", tmp_path / "cpu.max").cores == cores


def test_missing_cpuinfo_is_handled(tmp_path: Path) -> None:
    found = probe.cpu(1, "DEFAULT", tmp_path / "missing", tmp_path / "missing")
    assert found.name and found.cores == found.logical >= 1 and found.instructions == ()


def test_devices_of_this_machine_are_listed() -> None:
    found = probe.find_devices()
    assert found.cpu.threads == torch.get_num_threads()
    assert (found.chosen == "cpu") is (not found.gpus)
    assert found.engine == "torch"  # the folder's conftest makes OpenVINO absent


def test_nvidia_gpus_are_read_from_the_driver(tmp_path: Path) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA Something\nIRQ: 3\n")
    assert probe.nvidia_gpus(tmp_path) == ("NVIDIA Something",)


def test_an_unresponsive_driver_tool_is_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **options: object) -> None:
        assert options["timeout"]
        raise subprocess.TimeoutExpired("nvidia-smi", 3)

    monkeypatch.setattr(probe.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(probe.subprocess, "run", hang)
    assert probe.nvidia_gpus(tmp_path) == ()


def test_no_advice_without_a_measured_gain() -> None:
    assert probe.advice(None, FAST) == ()
    assert probe.advice(DEVICES, None) == ()
    assert probe.advice(DEVICES, LEVEL, (BFLOAT16,)) == ()
    assert probe.advice(replace(DEVICES, chosen="mps"), FAST) == ()


def test_bfloat16_advice_states_the_measurement() -> None:
    (said,) = probe.advice(DEVICES, FAST, (BFLOAT16,))
    for part in ("--dtype bfloat16", "4.0 times as fast", "2.0 times as fast", "0.013 at most"):
        assert part in said
    (unsure,) = probe.advice(DEVICES, FAST)
    assert "was not measured" in unsure
    refused = replace(BFLOAT16, refusal="no", largest=None, mean=None, milliseconds=None)
    assert probe.advice(DEVICES, FAST, (refused,)) == ()


def test_precisions_of_openvino_are_advised_by_their_own_times() -> None:
    found = replace(DEVICES, engine="openvino")
    low = replace(BFLOAT16, engine="openvino")
    slow = replace(low, dtype="int8", milliseconds=39.0)
    (said,) = probe.advice(found, FAST, (low, slow))
    for part in ("--dtype bfloat16", "2.0 times as fast", "with OpenVINO", "0.013 at most"):
        assert part in said
    assert probe.advice(found, FAST, (BFLOAT16,)) == ()  # PyTorch's
    refused = replace(low, refusal="no", largest=None, mean=None, milliseconds=None)
    assert probe.advice(found, FAST, (refused,)) == ()


def test_idle_cores_are_reported_if_they_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = replace(DEVICES, cpu=replace(CPU, threads=1))
    (said,) = probe.advice(one, replace(LEVEL, all_cores=4.0))
    assert "1 thread for 4 cores because OMP_NUM_THREADS is 1" in said and "2.5 times" in said
    crowded = replace(DEVICES, cpu=replace(CPU, threads=16, cores=1))
    assert "16 threads for 1 core because" in probe.advice(crowded, replace(LEVEL, all_cores=2.0))[0]
    monkeypatch.delenv("OMP_NUM_THREADS")
    (said,) = probe.advice(one, replace(LEVEL, all_cores=4.0))
    assert "because" not in said
    assert probe.advice(one, replace(LEVEL, all_cores=9.9)) == ()


def test_a_busy_processor_is_reported() -> None:
    assert probe.advice(replace(DEVICES, load=8.0), LEVEL) == ()
    (said,) = probe.advice(replace(DEVICES, load=11.5), LEVEL)
    assert "a load of 11.5" in said and "8 processors" in said


def test_an_unusable_gpu_is_reported() -> None:
    seen = replace(DEVICES, nvidia=("NVIDIA Something", "NVIDIA Something"))
    (said,) = probe.advice(seen, LEVEL)
    assert "(NVIDIA Something)" in said and "built for CPUs" in said
    (said,) = probe.advice(replace(seen, build="CUDA 12.6", warning="The driver is too old."), LEVEL)
    assert "cannot use it: The driver is too old." in said
    gpu = probe.Gpu("cuda:0", "NVIDIA Something", 1, 1)
    assert probe.advice(replace(seen, build="CUDA 12.6", gpus=(gpu,), chosen="cuda"), LEVEL) == ()
