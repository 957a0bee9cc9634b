"""Contact sheet: one image that shows the detected prompts over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, Matte, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import PALETTE, RGB, PromptStyle
from clipseg_live.core.settings.effects import Outline, Tint
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.core.system.times import format_time
from clipseg_live.exporters.alpha_video import empty_notice
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.datasets.categories import Categories
from clipseg_live.exporters.folder import write_error
from clipseg_live.media.atomic_output import AtomicOutput
from clipseg_live.media.images.icc_profiles import srgb_tag
from clipseg_live.rendering.renderer import EffectRenderer

MAX_IMAGES = 24
"""Largest number of images on a sheet."""
_MAX_KEPT = 2 * MAX_IMAGES
_WIDE, _HIGH = 336, 252
_SHEET_WIDTH = 1464
_MARGIN, _GAP = 36, 16
_BACKGROUND, _CARD, _BRIGHT, _DIM = (15, 16, 18), (28, 29, 33), (238, 239, 242), (150, 153, 162)
_EFFECTS = (Tint(), Outline(width=0.7))

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "Hiragino Sans GB.ttc",
    "arial.ttf", "msyh.ttc", "YuGothR.ttc", "malgun.ttf", "seguisym.ttf", "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf",
)  # fmt: skip
"""Fonts of Linux, macOS and Windows; Pillow knows their folders."""
_UNSUPPORTED = "\U0010fffd"
"""Character that no font has, drawn as a missing glyph."""


@dataclass(frozen=True, slots=True)
class _SheetImage:
    """Image on the sheet.

    Attributes:
        picture: the frame with its mattes, reduced, uint8 (h, w, 3).
        time: time of the frame in seconds.
        detections: number and area of each detected prompt.
    """

    picture: Pixels
    time: Fraction
    detections: tuple[tuple[int, float], ...]


class ContactSheetSink:
    """PNG with up to 24 evenly chosen frames in which a prompt was detected, each with its time and prompts.

    For long recordings every second, then every fourth (and so on) of these frames is kept, so memory does not grow.
    """

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, Any],
        labels: Sequence[Label] = (),
        overwrite: bool = False,
        live: bool = False,
    ) -> None:
        """Check the path.

        Raises:
            UsageError: if the path exists.
            SinkError: if its folder does not exist.
        """
        self.path = Path(path)
        self.notices: list[str] = []
        self._header, self._labels = dict(header), tuple(labels)
        self._output = AtomicOutput(path, overwrite, visible=live)
        self._output.check()
        self._working: Path | None = None

    @classmethod
    def create(cls, path: Path, options: DataOptions) -> Self:
        """Return the exporter of a sheet, not yet opened."""
        return cls(path, options.header, options.labels, options.overwrite, options.live)

    def open(self, info: SourceInfo) -> None:
        """Start the file under a temporary name.

        Raises:
            SinkError: if the file cannot be started.
        """
        self._working = self._output.begin()
        self._name = info.name
        self._categories = Categories(self._labels)
        self._images: list[_SheetImage] = []
        self._stride, self._detected_frames, self._frames = 1, 0, 0
        self._frames_by_prompt: dict[int, int] = {}
        self._last_time = Fraction(0)

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame with its mattes.

        Raises:
            SinkError: if the sheet is not open.
        """
        frame, mattes, labels = rendered.frame, rendered.mattes, rendered.labels
        if self._working is None:
            raise SinkError(f"{self.path.name} is not open.")
        self._frames += 1
        self._last_time = frame.time
        numbers = self._categories.numbers(labels)
        shares = [matte.area for matte in mattes.each]
        detected = tuple((number, share) for number, share in zip(numbers, shares, strict=True) if share > 0)
        for number, _ in detected:
            self._frames_by_prompt[number] = self._frames_by_prompt.get(number, 0) + 1
        if not detected:
            return
        if self._detected_frames % self._stride == 0:
            if len(self._images) == _MAX_KEPT:
                self._images = self._images[::2]
                self._stride *= 2
            if self._detected_frames % self._stride == 0:
                self._images.append(_SheetImage(_thumbnail(frame, mattes, numbers), frame.time, detected))
        self._detected_frames += 1

    def finish(self) -> None:
        """Draw the sheet and move it to its path, or leave no file if no prompt was detected.

        Raises:
            SinkError: if the file cannot be written.
        """
        if self._working is None:
            raise SinkError(f"{self.path.name} is not open.")
        if not self._images:
            self.abort()
            self.notices.append(empty_notice(self.path))
            return
        self._draw(self._working)
        self._output.commit()
        self._working = None

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop and delete the file, or draw the frames so far as ``NAME.partial.png``. Never raises."""
        kept = self._output.finished
        if keep_partial and kept is None and self._working is not None and self._images:
            try:
                self._draw(self._working)
                kept = self._output.keep_partial()
            except SinkError:
                kept = None
        self._working = None
        self._output.discard()
        return kept

    def _draw(self, working: Path) -> None:
        indices = np.unique(
            np.linspace(0, len(self._images) - 1, min(MAX_IMAGES, len(self._images))).round().astype(int)
        )
        images = [self._images[index] for index in indices]
        sheet = self._sheet(images)
        try:
            with working.open("wb") as file:
                sheet.save(file, "PNG", optimize=True, **srgb_tag("PNG"))
        except OSError as error:
            raise write_error(self.path, error) from error

    def _sheet(self, images: Sequence[_SheetImage]) -> Image.Image:
        image_width = max(image.picture.shape[1] for image in images)
        image_height = max(image.picture.shape[0] for image in images)
        max_columns = max((_SHEET_WIDTH - 2 * _MARGIN + _GAP) // (image_width + _GAP), 1)
        columns = min(max_columns, len(images)) if len(images) < max_columns else max_columns
        rows = -(-len(images) // columns)
        card = image_height + 62
        width = max(2 * _MARGIN + columns * (image_width + _GAP) - _GAP, 2 * _MARGIN + 2 * _WIDE)
        legend = _Legend(self._legend(), width - 2 * _MARGIN)
        top = _MARGIN + 74 + legend.height + 20
        height = top + rows * (card + _GAP) - _GAP + _MARGIN
        sheet = Image.new("RGB", (width, height), _BACKGROUND)
        pen = ImageDraw.Draw(sheet)
        _write(pen, _MARGIN, _MARGIN, self._title(), 28, _BRIGHT, width - 2 * _MARGIN)
        _write(pen, _MARGIN, _MARGIN + 42, self._summary(len(images)), 16, _DIM, width - 2 * _MARGIN)
        legend.draw(pen, _MARGIN, _MARGIN + 74)
        for number, image in enumerate(images):
            x = _MARGIN + number % columns * (image_width + _GAP)
            y = top + number // columns * (card + _GAP)
            pen.rounded_rectangle((x, y, x + image_width - 1, y + card - 1), 8, _CARD)
            picture, shape = Image.fromarray(image.picture), Image.new("L", image.picture.shape[1::-1])
            ImageDraw.Draw(shape).rounded_rectangle((0, 0, shape.width - 1, shape.height + 8), 8, 255)
            sheet.paste(
                picture, (x + (image_width - picture.width) // 2, y + (image_height - picture.height) // 2), shape
            )
            _write(pen, x + 12, y + image_height + 10, format_time(image.time, 2), 16, _BRIGHT, image_width - 24)
            self._caption(pen, x + 12, y + image_height + 35, image, image_width - 24)
        return sheet

    def _title(self) -> str:
        return self._name or str(self._header.get("source", "A recording"))

    def _summary(self, shown: int) -> str:
        frames = "1 frame" if self._frames == 1 else f"{self._frames:,} frames"
        parts = [
            f"something was found in {self._detected_frames:,} of {frames}",
            f"until {format_time(self._last_time, 2)}",
        ]
        if shown < self._detected_frames:
            parts.append(f"{shown} of them, evenly chosen")
        if "model" in self._header:
            parts.append(str(self._header["model"]))
        text = "  ·  ".join(parts)
        return text[0].upper() + text[1:]

    def _legend(self) -> list[tuple[RGB, str, str]]:
        return [
            (_colour(number), name, f"{100 * self._frames_by_prompt.get(number, 0) / self._frames:.0f} % of the frames")
            for number, name in enumerate(self._categories.names, start=1)
        ]

    def _caption(self, pen: ImageDraw.ImageDraw, x: int, y: int, image: _SheetImage, width: int) -> None:
        end = x + width
        for index, (number, share) in enumerate(image.detections):
            rest = len(image.detections) - index
            name, area = self._categories.names[number - 1], _percent(share)
            left = end - x - (30 if rest > 1 else 0)
            text = _shorten(f"{name}", 14, left - 18 - round(_length(area, 14)) - 6)
            if left < 84 or not text:
                _write(pen, x, y, f"+{rest}", 14, _DIM, 30)
                return
            pen.ellipse((x, y + 4, x + 9, y + 13), fill=_colour(number))
            x += 16
            x += round(_write(pen, x, y, text, 14, _BRIGHT, left)) + 6
            x += round(_write(pen, x, y, area, 14, _DIM, left)) + 16


class _Legend:
    """Legend of the prompts: their colours and how often they were detected, on as many lines as needed."""

    def __init__(self, entries: Sequence[tuple[RGB, str, str]], width: int) -> None:
        self._entries: list[tuple[int, int, RGB, str, str]] = []
        x = y = 0
        for colour, name, frequency in entries:
            name = _shorten(name, 16, width // 2)
            length = 20 + round(_length(name, 16)) + 8 + round(_length(frequency, 16)) + 28
            if x and x + length > width:
                x, y = 0, y + 26
            self._entries.append((x, y, colour, name, frequency))
            x += length
        self.height = y + 26

    def draw(self, pen: ImageDraw.ImageDraw, left: int, top: int) -> None:
        for x, y, colour, name, frequency in self._entries:
            pen.ellipse((left + x, top + y + 5, left + x + 11, top + y + 16), fill=colour)
            name_width = _write(pen, left + x + 20, top + y, name, 16, _BRIGHT, 1 << 16)
            _write(pen, left + x + 28 + round(name_width), top + y, frequency, 16, _DIM, 1 << 16)


def _thumbnail(frame: Frame, mattes: Mattes, numbers: Sequence[int]) -> Pixels:
    """Return a small image of a frame with its mattes drawn."""
    scale = min(_WIDE / frame.width, _HIGH / frame.height, 1.0)
    size = max(round(frame.width * scale), 1), max(round(frame.height * scale), 1)
    pixels = _shrink(frame.pixels, size)
    whole = ((0, 0, *size),)
    small_mattes = tuple(Matte(_shrink(matte.alpha, size), whole) for matte in mattes.each)
    styles = tuple(PromptStyle(colour=_colour(number), opacity=0.45) for number in numbers)
    small = Mattes(size[1], size[0], small_mattes, mattes.maps, mattes.presence)
    return EffectRenderer(RenderSettings(effects=_EFFECTS, styles=styles)).compose(pixels, small)


def _shrink(picture: Any, size: tuple[int, int]) -> Any:
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8).reshape(size[1], size[0], *picture.shape[2:])


def _colour(number: int) -> RGB:
    return PALETTE[(number - 1) % len(PALETTE)]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0095 else f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"


def _write(pen: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, colour: RGB, width: int) -> float:
    """Write a line from its top left corner, shortened to a width; return the width of the text."""
    text = _shorten(text, size, width)
    pen.text((x, y + size), text, colour, font_for(text, size), anchor="ls")
    return _length(text, size)


def _length(text: str, size: int) -> float:
    return font_for(text, size).getlength(text)


def _shorten(text: str, size: int, width: float) -> str:
    """Return the text, cut at the end if it is longer than a width in pixels; "" if nothing fits."""
    text = " ".join(text.split())
    if _length(text, size) <= width:
        return text
    while text and _length(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def is_whole_image(path: Path) -> bool:
    """Return whether the sheet of a killed recording is complete; it is written at the end, or not at all."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def font_for(text: str, size: int) -> Font:
    """Return Pillow's own font if it has every letter of the text, else the system font that lacks the fewest."""
    best, best_missing = ImageFont.load_default(size), _missing(ImageFont.load_default(size), text)
    for name in _SYSTEM_FONTS if best_missing else ():
        try:
            font = ImageFont.truetype(name, size)
        except OSError:  # it is not installed
            continue
        missing = _missing(font, text)
        if missing < best_missing:
            best, best_missing = font, missing
        if not best_missing:
            break
    return best


def _missing(font: Font, text: str) -> int:
    missing_glyph = bytes(font.getmask(_UNSUPPORTED))
    return sum(bytes(font.getmask(letter)) == missing_glyph for letter in set(text) if not letter.isspace())
