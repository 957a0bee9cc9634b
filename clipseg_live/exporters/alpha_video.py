"""Videos with transparency, ProRes 4444 in MOV and VP9 in WebM, and single pictures."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.media.images.writers import ImageWriter
from clipseg_live.media.writers.video import VideoWriter
from clipseg_live.rendering.blending import union_of
from clipseg_live.rendering.foreground import transparent

AlphaCodec = Literal["prores", "vp9"]

ALPHA_KEYFRAME_INTERVAL = "120"
"""Frames from one that can be jumped to, to the next."""
_SUFFIXES: dict[AlphaCodec, str] = {"prores": ".mov", "vp9": ".webm"}


class WriterSink(ABC):
    """Makes one picture of each frame with its mattes, and passes it to a writer."""

    def __init__(self, writer: VideoWriter | ImageWriter) -> None:
        self._writer = writer
        self._count = 0

    @property
    def path(self) -> Path:
        return self._writer.path

    @property
    def notices(self) -> list[str]:
        return self._writer.notices

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place. Raises SinkError."""
        if isinstance(self._writer, VideoWriter):
            require_film(self.path, info)
        self._count = 0
        self._writer.open(replace(info, fields=None))  # transparent pictures are shown as whole frames

    def write(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Add a frame with its mattes. Raises SinkError."""
        self._writer.write(replace(frame, pixels=self._picture(frame, mattes)))
        self._count += 1

    def finish(self) -> None:
        """Complete the file and move it to its place; without a frame nothing is left. Raises SinkError."""
        if self._count:
            self._writer.finish()
        else:
            self._writer.abandon()
            self.notices.append(nothing_in(self.path))

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop: remove what was written, or complete and keep it as ``NAME.partial.SUFFIX``. Never raises."""
        return self._writer.abandon(keep_partial)

    @abstractmethod
    def _picture(self, frame: Frame, mattes: Mattes) -> Pixels:
        """What the writer takes."""


class _AlphaSink(WriterSink):
    """Cuts out what all drawn mattes cover, with straight alpha: RGBA pictures."""

    def _picture(self, frame: Frame, mattes: Mattes) -> Pixels:
        return transparent(frame.pixels, union_of(mattes))


class AlphaVideoSink(_AlphaSink):
    """What all drawn mattes cover, with straight alpha: the frames' times, the colours and the sound are the source's.

    ProRes 4444: yuva444p10le, its alpha exact. VP9: yuva420p, its alpha as lossy as its colours.
    """

    def __init__(
        self,
        path: str | Path,
        codec: AlphaCodec,
        quality: int = 70,
        overwrite: bool = False,
        start: Fraction | None = None,
        end: Fraction | None = None,
        live: bool = False,
    ) -> None:
        """Raises UsageError for another suffix than the codec's, otherwise as ``VideoWriter``."""
        path = Path(path)
        if path.suffix.lower() != _SUFFIXES[codec]:
            name = "ProRes" if codec == "prores" else "VP9"
            raise UsageError(f"{path.name} cannot hold {name} with alpha: name a {_SUFFIXES[codec]} file for it.")
        made = _ProRes if codec == "prores" else _Vp9
        super().__init__(made(path, codec, quality, overwrite, start, end, live))


class AlphaPictureSink(_AlphaSink):
    """The one frame of a source as a PNG with straight alpha."""

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        """Raises as ``ImageWriter``."""
        super().__init__(ImageWriter(path, overwrite=overwrite))


def nothing_in(path: Path) -> str:
    """What a person is told where no frame was chosen for a file."""
    return f"{path.name} was not written: nothing was found to put into it."


def require_film(path: Path, info: SourceInfo) -> None:
    """Raise SinkError if the frames are independent photos, which a video or animation cannot hold."""
    if info.independent and info.frame_count != 1:
        raise SinkError(
            f"{info.name} is a set of photos, not a film, so {path.name} cannot hold it: write images, such as png, "
            "indexed or alpha-png, or give --sequence."
        )


class _AlphaWriter(VideoWriter):
    """Takes frames whose pixels are uint8 RGBA (height, width, 4), straight alpha."""

    _takes_hdr = False


class _ProRes(_AlphaWriter):
    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        return "prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}


class _Vp9(_AlphaWriter):
    _metadata: ClassVar = {"alpha_mode": "1"}

    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        encoder, _, options = super()._encoding(info)
        # Alternate references know no alpha; a live session's writer asks for no key frames by itself.
        return encoder, "yuva420p", {**options, "auto-alt-ref": "0", "g": ALPHA_KEYFRAME_INTERVAL}
