"""``doctor``: checks are independent, the report matches the results, and no resources are leaked."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from clipseg_live.cli import doctor as command
from clipseg_live.cli.main import app
from clipseg_live.media import probe as video_probe
from clipseg_live.model import benchmark
from clipseg_live.model import probe as model_probe
from clipseg_live.model.store import catalogue, hub

RUNNER = CliRunner()
CPU = model_probe.Cpu("Some processor", 8, 16, 8, "AVX512", ("AVX2", "AVX-512", "AMX bf16"))
DEVICES = model_probe.Devices(CPU, (), "CPU", (), "cpu", None)
GPU = model_probe.Gpu("cuda:0", "NVIDIA Something", 24_000_000_000, 20_000_000_000)
SPEED = benchmark.MatrixSpeed(10.0, 2.5, None)
BFLOAT16 = benchmark.Precision("bfloat16", "cpu", None, 0.0125, 0.0011, 20.0, 40.0)
SECTIONS = {"versions", "devices", "precision", "matrix_speed", "codecs", "cameras", "caches", "faster", "log"}


@pytest.fixture(autouse=True)
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Provide a machine without slow checks and network, and check for leaked threads."""
    whole = catalogue.CatalogueEntry("shapes", (), "", False, True, tmp_path, 1, True, None)
    monkeypatch.setattr(catalogue, "catalogue", lambda: (whole,))
    monkeypatch.setattr(model_probe, "find_devices", lambda: DEVICES)
    monkeypatch.setattr(benchmark, "matrix_speed", lambda cores: SPEED)
    monkeypatch.setattr(benchmark, "precisions", lambda device, engine: (BFLOAT16,))
    monkeypatch.setattr(video_probe, "cameras", tuple)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("COLUMNS", "100")

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def page(*options: str) -> str:
    result = RUNNER.invoke(app, ["doctor", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_text_report_has_all_sections(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "weights").write_bytes(b"x" * 5000)
    text = page()
    for said in ("Some processor", "8 cores", "AMX bf16", "libx264, libvpx-vp9, ffv1", "aac, libopus", "0.0125"):
        assert said in text
    assert f"5.0 kB, {tmp_path / 'hub'}" in text  # on one line, to be copied
    assert "No camera was found." in text
    assert "4.0 times as fast" in " ".join(text.split())


def test_json_has_every_section() -> None:
    report = json.loads(page("--json"))
    assert set(report) == SECTIONS
    assert report["versions"]["packages"]["torch"]
    assert report["devices"]["cpu"]["cores"] == 8
    assert report["precision"][0]["largest"] == 0.0125
    assert all(encoder["works"] for encoder in report["codecs"]["encoders"])
    assert report["cameras"] == []
    assert len(report["faster"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "section"),
    [
        (model_probe, "find_devices", "devices"),
        (benchmark, "precisions", "precision"),
        (benchmark, "matrix_speed", "matrix_speed"),
        (model_probe, "advice", "faster"),
        (video_probe, "probe_encoder", "codecs"),
        (video_probe, "cameras", "cameras"),
        (hub, "folder_bytes", "caches"),
        (command, "_versions", "versions"),
    ],
)
def test_a_failed_check_is_reported(
    module: object, name: str, section: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hub").mkdir()

    def fail(*_: object) -> None:
        raise OSError("the thing\nis broken")

    monkeypatch.setattr(module, name, fail)
    report = json.loads(page("--json"))
    assert report[section] == {"problem": "the thing is broken"}
    failed = {key for key, value in report.items() if isinstance(value, dict) and "problem" in value}
    assert failed == ({section, "faster"} if section == "devices" else {section})
    assert "the thing is broken" in page()


def test_a_missing_shapes_model_skips_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = catalogue.CatalogueEntry("shapes", (), "", False, True, None, 0, False, None)
    monkeypatch.setattr(catalogue, "catalogue", lambda: (absent,))
    report = json.loads(page("--json"))
    assert "shapes is missing from this installation" in report["precision"]["problem"]
    assert "was not measured" in report["faster"][0]


def test_an_unavailable_device_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def refuse(device: str, engine: str) -> None:
        asked.append((device, engine))
        raise ValueError("The device cuda:7 is not there.")

    monkeypatch.setattr(benchmark, "precisions", refuse)
    assert "cuda:7 is not there" in page("--device", "cuda:7", "--engine", "torch")
    assert asked == [("cuda:7", "torch")]


def test_problems_of_cameras_encoders_and_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    found = (
        video_probe.FoundCamera(0, "Front", "/dev/video0", True),
        video_probe.FoundCamera(2, "Side", "/dev/video2", False),
    )
    monkeypatch.setattr(video_probe, "cameras", lambda: found)
    monkeypatch.setattr(video_probe, "ENCODERS", ("ffv1", "nonsense"))
    monkeypatch.setattr(command, "PACKAGES", ("numpy", "a-package-that-is-not-there"))
    text = page()
    assert "Front, /dev/video0\n" in text
    assert "Side, /dev/video2 (this user may not open it: join the group video)" in text
    assert "does not work: this build of FFmpeg has no such encoder" in text
    assert "not installed" in text


def test_gpus_are_listed_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        model_probe, "find_devices", lambda: model_probe.Devices(CPU, (GPU,), "CUDA 12.6", (), "cuda", None)
    )
    text = page()
    assert "NVIDIA Something, 24.0 GB (20.0 GB free)" in text
    assert "The checks found nothing to improve." in text  # bfloat16 on the CPU is not advised with a GPU
