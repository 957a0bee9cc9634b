"""Which engine runs the network."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.model import engines
from clipseg_live.model.engines import available_engines, choose_engine
from clipseg_live.model.openvino import library


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "is_installed", lambda: True)
    monkeypatch.setattr(engines, "_has_gpu", lambda: False)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (("auto", "auto", "auto"), ("openvino", "cpu", "float32")),
        (("auto", "cpu", "int8"), ("openvino", "cpu", "int8")),
        (("auto", "cpu", "float16"), ("torch", "cpu", "float16")),
        (("openvino", "auto", "bfloat16"), ("openvino", "cpu", "bfloat16")),
        (("torch", "cpu", "auto"), ("torch", "cpu", "float32")),
    ],
)
def test_the_best_available_engine_is_chosen(asked: tuple[str, str, str], chosen: tuple[str, str, str]) -> None:
    found = choose_engine(*asked)
    assert (found.engine, found.device, found.dtype) == chosen
    assert found.fallback == (asked[0] == "auto" and chosen[0] == "openvino")


@pytest.mark.usefixtures("installed")
def test_a_gpu_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_has_gpu", lambda: True)
    assert not engines._suits_openvino("auto", "auto")
    assert choose_engine("auto", "cpu").engine == "openvino"


@pytest.mark.usefixtures("installed")
def test_all_engines_for_a_device_are_listed() -> None:
    assert available_engines("cpu") == ("openvino", "torch")
    assert available_engines("cpu", "int8") == ("openvino",)
    assert available_engines("cpu", "float16") == ("torch",)


def test_without_openvino_pytorch_runs() -> None:  # the folder's conftest makes OpenVINO absent
    assert choose_engine("auto", "cpu").engine == "torch"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("tensorflow", "auto", "auto"), "auto, torch, openvino"),
        (("auto", "cpu", "int4"), "not a precision: use auto, float32, bfloat16, float16, int8"),
        (("openvino", "cuda", "auto"), "runs on the CPU, not on cuda"),
        (("openvino", "cpu", "float16"), "no float16"),
        (("torch", "cpu", "int8"), "needs the engine openvino"),
    ],
)
def test_impossible_choices_are_refused(asked: tuple[str, str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_engine(*asked)


def test_openvino_that_is_missing_is_named_with_its_installation() -> None:
    with pytest.raises(UsageError, match=r"not installed: run .*pip install .openvino.*, or use the engine torch"):
        choose_engine("openvino")


def test_a_gpu_is_possible_only_with_a_build_and_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    place = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: place)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(engines, "_DRIVERS", (str(tmp_path),))
    assert not engines._may_have_gpu()  # a build for CPUs
    (tmp_path / "lib" / "libtorch_cuda.so").touch()
    assert engines._may_have_gpu()
    monkeypatch.setattr(engines, "_DRIVERS", (str(tmp_path / "nothing"),))
    assert not engines._may_have_gpu()


def test_session_files_without_an_engine_mean_auto() -> None:
    assert EngineSettings.model_validate({"device": "cpu"}).engine == "auto"


@pytest.mark.slow
def test_the_engine_is_imported_without_its_libraries() -> None:
    code = (
        "import sys, clipseg_live.model.driver\n"
        "print([name for name in ('torch', 'transformers', 'openvino') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
