"""Deprecated names of options, values and commands work and are hidden."""

from collections.abc import Callable
from typing import Any

import pytest

from clipseg_live.cli import main
from clipseg_live.cli.commands import FORMER_NAMES
from tests.unit.cli.conftest import CommandSettings

Segment = Callable[..., CommandSettings]


@pytest.mark.parametrize("name", ["live", "watch", "record", "export"])
def test_deprecated_options_are_accepted(run_settings: Segment, name: str) -> None:
    former = run_settings(
        name, "-p", "mug", "--together", "exclusive", "--fit=letterbox", "--none-level", "0.2", "--no-follow",
        "--smallest", "0.5", "--fill=1",
    )  # fmt: skip
    assert (former.matte.overlap, former.engine.resize_mode) == ("exclusive", "letterbox")
    assert former == run_settings(
        name, "-p", "mug", "--overlap", "exclusive", "--resize-mode", "letterbox", "--background-threshold", "0.2",
        "--no-motion-tracking", "--min-area", "0.5", "--fill-holes", "1",
    )  # fmt: skip
    assert run_settings(name, "-p", "mug", "--follow").matte.motion_tracking


def test_the_deprecated_name_of_temporal_is_accepted(recorded_calls: list[tuple[Any, ...]]) -> None:
    for option in ("--temporal", "--time"):
        assert main.run(["export", "walk.mp4", "-p", "mug", "-o", "out.mp4", option, "causal"]) == 0
    assert [request.settings.temporal for request, *_ in recorded_calls] == ["causal", "causal"]


@pytest.mark.parametrize("name", main.COMMANDS)
def test_help_hides_deprecated_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    own = {"--fit"} if name in ("camera", "virtual-camera") else set()  # that of the virtual camera
    assert not (set(FORMER_NAMES.values()) - own) & set(words)


def test_help_hides_deprecated_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ") and line.strip()]
    assert "virtual-camera" in lines and "camera" not in lines


@pytest.mark.parametrize("track", ["source", "camera"])
def test_the_source_track_has_two_names(recorded_calls: list[tuple[Any, ...]], track: str) -> None:
    assert main.run(["record", "walk.mp4", "-p", "mug", "--track", "composed", "--track", track]) == 0
    assert recorded_calls[0][3].tracks == ("composed", "camera")


@pytest.mark.parametrize("name", ["virtual-camera", "camera"])
@pytest.mark.parametrize(
    ("arguments", "camera", "device"),
    [
        (["--camera", "OBS Virtual Camera"], "OBS Virtual Camera", "auto"),
        (["--device", "OBS Virtual Camera"], "OBS Virtual Camera", "auto"),
        (["--device", "/dev/video9"], "/dev/video9", "auto"),
        (["--device", "cuda:1"], "", "cuda:1"),
        (["--device", "cpu", "--camera", "/dev/video9"], "/dev/video9", "cpu"),
    ],
)
def test_an_unknown_device_is_a_virtual_camera(
    recorded_calls: list[tuple[Any, ...]], name: str, arguments: list[str], camera: str, device: str
) -> None:
    assert main.run([name, "walk.mp4", "-p", "mug", *arguments]) == 0
    settings, _, wanted = recorded_calls[0]
    assert (wanted.device, settings.engine.device) == (camera, device)


@pytest.mark.parametrize(
    ("arguments", "rate", "sequence"),
    [
        (["--frame-rate", "25"], 25.0, None),
        (["--rate", "12.5"], 12.5, None),
        (["--rate", "10", "--sequence"], 10.0, 10),
        (["--rate", "10", "--sequence", "--frame-rate", "30"], 30.0, 10),
        (["--sequence"], None, 25),
    ],
)
def test_rate_option_sets_the_rate_of_a_virtual_camera(
    recorded_calls: list[tuple[Any, ...]], tmp_path: Any, arguments: list[str], rate: float | None, sequence: int | None
) -> None:
    source = str(tmp_path) if "--sequence" in arguments else "walk.mp4"
    assert main.run(["virtual-camera", source, "-p", "mug", *arguments]) == 0
    _, spec, wanted = recorded_calls[0]
    assert (wanted.rate, spec.sequence) == (rate, sequence)


def test_virtual_camera_fit_differs_from_engine_fit(recorded_calls: list[tuple[Any, ...]]) -> None:
    assert main.run(["virtual-camera", "walk.mp4", "-p", "mug", "--fit", "fill", "--resize-mode", "aspect"]) == 0
    settings, _, wanted = recorded_calls[0]
    assert (wanted.fit, settings.engine.resize_mode) == ("fill", "aspect")
