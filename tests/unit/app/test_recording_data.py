"""Every data format with a live recording, through the real sinks: prompts, thresholds and the size change."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from clipseg_live.app.recording_tools import recording_tools
from clipseg_live.core.mattes import Label
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import DATA_FORMATS
from clipseg_live.core.settings.recording import RecordingSettings, data_path
from clipseg_live.runtime.outputs.recording_segment import RecordingSegment
from tests.helpers.known_mattes import frames_with_mattes


@pytest.mark.slow
def test_a_recording_writes_all_data_formats(tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(5, (48, 64), prompts=2, rate=Fraction(30))
    _, larger, larger_mattes = frames_with_mattes(5, (60, 120), prompts=2, rate=Fraction(30))
    frames[3], mattes[3] = larger[3], larger_mattes[3]
    labels = [(Label("a", 0.5), Label("b", 0.5))] * 2 + [(Label("b", 0.7), Label("c/d", 0.2))] * 3
    settings = RecordingSettings(data=DATA_FORMATS, codec="ffv1", encoder="software", sound="off")
    part = RecordingSegment(tmp_path, "r", settings, recording_tools(), info)
    for number, (frame, each, said) in enumerate(zip(frames, mattes, labels, strict=True)):
        # A session restarts frame numbers after a seek; those of a recording increase.
        frame = replace(frame, index=100 - number, epoch=number)
        part.write(RenderedFrame(frame, frame.pixels, each, said), Fraction(number, 30), info)
    done, errors = part.finish()
    assert errors == [] and part.notices() == []
    names = {"r.mkv", *(data_path(tmp_path, "r", form).name for form in DATA_FORMATS)}
    assert {path.name for path in done} == {path.name for path in tmp_path.iterdir()} == names
    assert len(names) == 1 + len(DATA_FORMATS)

    index = json.loads((tmp_path / "r indexed" / "index.json").read_text("utf-8"))
    assert [each["prompt"] for each in index["prompts"]] == ["a", "b", "c/d"]
    assert [each["frame"] for each in index["frames"]] == [0, 1, 2, 3, 4]
    assert index["frames"][2]["thresholds"] == {"2": 0.7, "3": 0.2}
    with Image.open(tmp_path / "r indexed" / "000003.png") as picture:
        assert picture.size == (64, 48)  # letterboxed
        values = np.asarray(picture)
    assert set(np.unique(values)) == {0, 2, 3} and not values[:8].any() and not values[-8:].any()
    with av.open(str(tmp_path / "r alpha.mov")) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert np.allclose(times, np.arange(5) / 30, atol=1e-4)
    with Image.open(tmp_path / "r.gif") as picture:
        assert picture.is_animated and picture.info["loop"] == 0
