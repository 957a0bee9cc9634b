"""Mattes as grey videos: one of all prompts together, or a folder with one for each prompt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import ColourInfo, Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.exporters.alpha_video import ALPHA_KEYFRAME_INTERVAL, WriterSink, require_video
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.folder import FolderSink, slug
from clipseg_live.media.colour.conversion import tagged
from clipseg_live.media.colour.hdr import BT709
from clipseg_live.media.colour.planes import FULL_RANGE
from clipseg_live.media.writers.video import CONTAINERS, VideoWriter
from clipseg_live.rendering.blending import union_of

_QUALITY = 100
_NEUTRAL = 128
_TAGS = ColourInfo(FULL_RANGE, BT709, BT709, BT709)


class MaskVideoSink(WriterSink):
    """Grey video of everything that drawn mattes cover, 0 (nothing) to 255 (fully), without sound.

    ``.mkv`` is FFV1 with one grey plane, which is exact. Other video suffixes use their usual codec (H.264, VP9 for
    ``.webm``) in full range, so that all 256 levels are kept.
    """

    def __init__(
        self,
        path: str | Path,
        overwrite: bool = False,
        start: Fraction | None = None,
        end: Fraction | None = None,
        live: bool = False,
    ) -> None:
        """Check the path.

        Raises:
            UsageError: if the suffix is not that of a video; other errors as for ``VideoWriter``.
        """
        name = Path(path).name
        if Path(name).suffix.lower() not in CONTAINERS:
            raise UsageError(
                f"{name} cannot hold a mask video: use a .mkv (lossless), .mp4, .mov or .webm file, or a folder."
            )
        super().__init__(_GreyWriter(path, overwrite, start, end, live))

    def open(self, info: SourceInfo) -> None:
        """Start the file under a temporary name, without sound."""
        super().open(replace(info, audio_path=None, media_path=None))

    def _image(self, frame: Frame, mattes: Mattes) -> Pixels:
        return union_of(mattes).alpha


class MaskVideoFolder(FolderSink):
    """Folder with a lossless grey video of each prompt, such as ``1-red-circle.mkv``, and ``index.json``.

    The video of a prompt begins at the time of the first frame with this prompt. From then on it has every frame, black
    where the prompt is not in use.
    """

    ours = r"index\.json|\d+-[^/]*\.mkv"

    def __init__(
        self,
        folder: str | Path,
        header: Mapping[str, Any],
        labels: Sequence[Label] = (),
        overwrite: bool = False,
        start: Fraction | None = None,
        live: bool = False,
    ) -> None:
        super().__init__(folder, header, labels, overwrite, live)
        self._start = start
        self._first_time: Fraction | None = None
        self._writers: dict[int, _GreyWriter] = {}

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop and delete the folder, or keep it as ``FOLDER.partial``. Never raises."""
        kept = super().abort(keep_partial)
        for writer in self._writers.values():
            writer.abort()
        self._writers.clear()
        return kept

    def _begin(self, info: SourceInfo) -> None:
        require_video(self.path, info)
        self._first_time = None
        self._writers = {}

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        if self._first_time is None:
            self._first_time = frame.time if self._start else Fraction(0)
        numbers = self._categories.numbers(labels)
        alphas = {number: matte.alpha for number, matte in zip(numbers, mattes.each, strict=True)}
        for number in numbers:
            if number not in self._writers:
                self._writers[number] = self._start_video(number)
        for number, writer in self._writers.items():
            alpha = alphas.get(number, np.zeros((frame.height, frame.width), np.uint8))
            writer.write(RenderedFrame.of(replace(frame, pixels=alpha, time=frame.time - self._first_time)))
        thresholds = {self._name(number): label.threshold for number, label in zip(numbers, labels, strict=True)}
        self._list("frames", {"frame": frame.index, "time": float(frame.time), "thresholds": thresholds})

    def _start_video(self, number: int) -> "_GreyWriter":
        if self.info is None:
            raise SinkError(f"{self.path.name} is not open.")
        writer = _GreyWriter(self._require_folder() / self._name(number), live=self._live)
        writer.open(replace(self.info, audio_path=None, media_path=None, fields=None))
        return writer

    def _end(self) -> None:
        while self._writers:
            _, writer = self._writers.popitem()
            try:
                writer.finish()
            except SinkError:
                for unfinished in (writer, *self._writers.values()):
                    unfinished.abort()
                self._writers.clear()
                raise

    def _head(self) -> dict[str, Any]:
        prompts = [
            {"prompt": label.name, "threshold": label.threshold, "file": self._name(number)}
            for number, label in enumerate(self._categories.labels, start=1)
        ]
        return {"header": self._header, "prompts": prompts}

    def _name(self, number: int) -> str:
        return f"{number}-{slug(self._categories.labels[number - 1].name)}.mkv"


def open_mask_video(path: Path, options: DataOptions) -> MaskVideoSink | MaskVideoFolder:
    """Return the exporter of one video, or of a folder with a video for each prompt, not yet opened."""
    if path.suffix and not path.is_dir():
        return MaskVideoSink(path, options.overwrite, options.start, options.end, options.live)
    return MaskVideoFolder(path, options.header, options.labels, options.overwrite, options.start, options.live)


class _GreyWriter(VideoWriter):
    """Writer of frames whose pixels are uint8 (height, width)."""

    _takes_hdr = False

    def __init__(
        self,
        path: str | Path,
        overwrite: bool = False,
        start: Fraction | None = None,
        end: Fraction | None = None,
        live: bool = False,
    ) -> None:
        lossless = Path(path).suffix.lower() == ".mkv"
        super().__init__(path, "ffv1" if lossless else None, _QUALITY, overwrite, start, end, live)

    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        encoder, pixel_format, options = super()._encoding(info)
        if self.codec == "ffv1":
            options.pop("slices", None)  # a frame of one pixel cannot have four slices
            return encoder, "gray", options
        return encoder, pixel_format, {**options, "g": ALPHA_KEYFRAME_INTERVAL}

    def _tags(self, info: SourceInfo) -> ColourInfo:
        return _TAGS

    def _converter(self, pixel_format: str, tags: ColourInfo, info: SourceInfo) -> Callable[[Pixels], av.VideoFrame]:
        return _as_luma if pixel_format == "yuv420p" else _as_grey


def _as_grey(alpha: NDArray[np.uint8]) -> av.VideoFrame:
    return tagged(av.VideoFrame.from_ndarray(np.ascontiguousarray(alpha), "gray"), _TAGS)


def _as_luma(alpha: NDArray[np.uint8]) -> av.VideoFrame:
    """Return the values as luma, with neutral chroma."""
    height, width = alpha.shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for number, plane in enumerate(frame.planes):
        samples = np.full((plane.height, plane.line_size), _NEUTRAL, np.uint8)
        if number == 0:
            samples[:, :width] = alpha
        plane.update(samples.tobytes())
    return tagged(frame, _TAGS)
