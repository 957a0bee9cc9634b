"""Videos with transparency (ProRes 4444 in MOV, VP9 in WebM) and single transparent images."""

from abc import ABC, abstractmethod
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.media.images.writers import ImageWriter
from clipseg_live.media.writers.video import VideoWriter
from clipseg_live.rendering.blending import union_of
from clipseg_live.rendering.foreground import transparent

AlphaCodec = Literal["prores", "vp9"]

ALPHA_KEYFRAME_INTERVAL = "120"
"""Frames between two key frames."""
_SUFFIXES: dict[AlphaCodec, str] = {"prores": ".mov", "vp9": ".webm"}


class WriterSink(ABC):
    """Base of exporters that make one image of each frame with its mattes and pass it to a writer."""

    def __init__(self, writer: VideoWriter | ImageWriter) -> None:
        self._writer = writer
        self._count = 0

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._writer.path

    @property
    def notices(self) -> list[str]:
        """Messages for the user."""
        return self._writer.notices

    def open(self, info: SourceInfo) -> None:
        """Start the file under a temporary name.

        Raises:
            SinkError: if the file cannot be started, or a video is to hold a set of photos.
        """
        if isinstance(self._writer, VideoWriter):
            require_video(self.path, info)
        self._count = 0
        self._writer.open(replace(info, fields=None))  # transparent images are always progressive

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame with its mattes.

        Raises:
            SinkError: if the frame cannot be written.
        """
        pixels = self._image(rendered.frame, rendered.mattes)
        self._writer.write(RenderedFrame.of(replace(rendered.frame, pixels=pixels)))
        self._count += 1

    def finish(self) -> None:
        """Complete the file and move it to its path, or leave no file if there was no frame.

        Raises:
            SinkError: if the file cannot be completed.
        """
        if self._count:
            self._writer.finish()
        else:
            self._writer.abort()
            self.notices.append(empty_notice(self.path))

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop and delete the file, or complete and keep it as ``NAME.partial.SUFFIX``. Never raises."""
        return self._writer.abort(keep_partial)

    @abstractmethod
    def _image(self, frame: Frame, mattes: Mattes) -> Pixels:
        """Return the image for the writer."""


class _AlphaSink(WriterSink):
    """Cut-out of everything that drawn mattes cover, as RGBA images with straight alpha."""

    def _image(self, frame: Frame, mattes: Mattes) -> Pixels:
        return transparent(frame.pixels, union_of(mattes))


class AlphaVideoSink(_AlphaSink):
    """Video of everything that drawn mattes cover, with straight alpha.

    Times of the frames, colours and sound are those of the source. ProRes 4444 is yuva444p10le with exact alpha. VP9 is
    yuva420p with lossy alpha and colours.
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
        """Check the path and the codec.

        Raises:
            UsageError: if the suffix does not belong to the codec; other errors as for ``VideoWriter``.
        """
        path = Path(path)
        if path.suffix.lower() != _SUFFIXES[codec]:
            name = "ProRes" if codec == "prores" else "VP9"
            raise UsageError(f"{path.name} cannot hold {name} with alpha: use a {_SUFFIXES[codec]} file.")
        writer_class = _ProRes if codec == "prores" else _Vp9
        super().__init__(writer_class(path, codec, quality, overwrite, start, end, live))


class AlphaPictureSink(_AlphaSink):
    """PNG with straight alpha for a source of one frame."""

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        """Check the path; errors as for ``ImageWriter``."""
        super().__init__(ImageWriter(path, overwrite=overwrite))


def open_prores(path: Path, options: DataOptions) -> AlphaVideoSink:
    """Return the exporter of ProRes 4444 with alpha, not yet opened."""
    return _alpha_video(path, "prores", options)


def open_vp9(path: Path, options: DataOptions) -> AlphaVideoSink:
    """Return the exporter of VP9 with alpha, not yet opened."""
    return _alpha_video(path, "vp9", options)


def _alpha_video(path: Path, codec: AlphaCodec, options: DataOptions) -> AlphaVideoSink:
    return AlphaVideoSink(path, codec, options.quality, options.overwrite, options.start, options.end, options.live)


def empty_notice(path: Path) -> str:
    """Return the notice for a file without any frame."""
    return f"{path.name} was not written because no prompt was detected."


def require_video(path: Path, info: SourceInfo) -> None:
    """Raise SinkError if the frames are independent photos, which a video or animation cannot hold."""
    if info.independent and info.frame_count != 1:
        raise SinkError(
            f"{info.name} is a set of photos, which {path.name} cannot hold: use an image format, or add --sequence "
            "to make a video from them."
        )


class _AlphaWriter(VideoWriter):
    """Writer of frames whose pixels are uint8 RGBA (height, width, 4), with straight alpha."""

    _takes_hdr = False


class _ProRes(_AlphaWriter):
    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        return "prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}


class _Vp9(_AlphaWriter):
    _metadata: ClassVar = {"alpha_mode": "1"}

    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        encoder, _, options = super()._encoding(info)
        # Alternate references do not support alpha. A live session's writer sets no key frames by itself.
        return encoder, "yuva420p", {**options, "auto-alt-ref": "0", "g": ALPHA_KEYFRAME_INTERVAL}
