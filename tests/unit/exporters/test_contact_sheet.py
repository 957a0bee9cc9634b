"""The contact sheet: selection of frames, and their captions."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from clipseg_live.core.mattes import Label
from clipseg_live.exporters import contact_sheet
from clipseg_live.exporters.contact_sheet import ContactSheetSink, font_for
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, mattes_of, write_frames
from tests.helpers.rendered import rendered

FULL, NONE = np.full((9, 16), 255, np.uint8), np.zeros((9, 16), np.uint8)


def shown_of(present: list[bool], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the frames on a sheet. Their images are drawn by ``_sheet``."""
    info, frames, _ = frames_with_mattes(1, (9, 16))
    found: list[int] = []
    most = 0

    class Watched(ContactSheetSink):
        def _sheet(self, shots):
            found.extend(round(shot.time * 30) for shot in shots)
            return Image.new("RGB", (1, 1))

    with monkeypatch.context() as patch:
        patch.setattr(contact_sheet, "_thumbnail", lambda frame, mattes, numbers: np.zeros((1, 1, 3), np.uint8))
        sink = Watched(folder / "s.png", HEADER, overwrite=True)
        sink.open(info)
        for number, there in enumerate(present):
            placed = replace(frames[0], index=number, time=Fraction(number, 30))
            sink.write(rendered(placed, mattes_of([FULL if there else NONE]), LABELS[:1]))
            most = max(most, len(sink._images))
        sink.finish()
    assert most <= 2 * contact_sheet.MAX_IMAGES
    return found


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=8))
def test_frames_with_masks_are_selected_evenly(tmp_path_factory, runs) -> None:
    present = [there for there, length in runs for _ in range(length)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = shown_of(present, tmp_path_factory.mktemp("sheet"), monkeypatch)
    candidates = [number for number, there in enumerate(present) if there]
    assert set(shown) <= set(candidates) and shown == sorted(shown)
    if len(candidates) <= contact_sheet.MAX_IMAGES:
        assert shown == candidates
    else:
        assert len(shown) == contact_sheet.MAX_IMAGES
        places = [candidates.index(number) for number in shown]
        assert places[0] == 0
        steps = np.diff([*places, len(candidates)])
        assert steps.max() <= 3 * len(candidates) / contact_sheet.MAX_IMAGES


@pytest.mark.slow
def test_a_sheet_shows_frames_with_masks(tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(6, (90, 160))
    write_frames(ContactSheetSink(tmp_path / "s.png", HEADER, [*LABELS, Label("青い空", 0.5)]), info, frames, mattes)
    with Image.open(tmp_path / "s.png") as picture:
        drawn = np.asarray(picture)
    assert picture.info["srgb"] == 0
    assert picture.mode == "RGB" and picture.width > picture.height / 2
    for colour in ((255, 64, 88), (46, 134, 255), (255, 196, 0)):  # the dots of the legend
        assert (drawn == colour).all(axis=2).any()
    rows = (np.abs(drawn.astype(int) - (28, 29, 33)).sum(axis=2) == 0).any(axis=1)
    assert rows.any()  # the cards under the images


def test_the_font_with_the_fewest_missing_glyphs_is_used() -> None:
    own = ImageFont.load_default(14)
    assert font_for("plain words", 14).getname() == own.getname()
    assert font_for("\U0010fffd\U0010fffc", 14).getname() == own.getname()  # no font has these
    try:
        ImageFont.truetype("DejaVuSans.ttf", 14)
    except OSError:
        pytest.skip("this system has no font with Greek that is known here")
    assert font_for("γάτα", 14).getname() != own.getname()
