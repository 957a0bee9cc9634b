"""Choice of the exporter for a data format, and selection of frames."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.protocols import MaskSink
from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings
from clipseg_live.core.settings.base import Codec, DataFormat
from clipseg_live.exporters.alpha_video import AlphaCodec, AlphaPictureSink, AlphaVideoSink
from clipseg_live.exporters.animation import GifAnimation, WebpAnimation
from clipseg_live.exporters.contact_sheet import ContactSheetSink
from clipseg_live.exporters.datasets.coco import CocoSink
from clipseg_live.exporters.datasets.yolo import YoloSink
from clipseg_live.exporters.frame_files import AlphaSequence, IndexedSink, MapsSink
from clipseg_live.exporters.mask_video import MaskVideoFolder, MaskVideoSink
from clipseg_live.exporters.masks import PngMaskSink
from clipseg_live.exporters.tables import CsvSink, JsonLinesMaskSink
from clipseg_live.rendering.blending import area_of

_FILES: Mapping[DataFormat, tuple[str, ...]] = {
    "jsonl": (".jsonl", ".ndjson"), "csv": (".csv",), "alpha-prores": (".mov",), "alpha-vp9": (".webm",),
    "animation-webp": (".webp",), "animation-gif": (".gif",), "sheet": (".png",),
}  # fmt: skip
"""Suffixes of formats that are one file. All others are folders; mask videos can be either."""
_FOLDERS: Mapping[DataFormat, Callable[[Path, Mapping[str, Any], Sequence[Label], bool, bool], MaskSink]] = {
    "png": PngMaskSink, "indexed": IndexedSink, "npz": MapsSink,
}  # fmt: skip
_BY_SUFFIX: Mapping[str, DataFormat] = {
    ".mov": "alpha-prores", ".webm": "alpha-vp9", ".webp": "animation-webp", ".gif": "animation-gif", "": "alpha-png",
}  # fmt: skip


def open_data_sink(
    form: DataFormat,
    path: str | Path,
    header: Mapping[str, Any],
    labels: Sequence[Label] = (),
    overwrite: bool = False,
    *,
    quality: int = 70,
    start: Fraction | None = None,
    end: Fraction | None = None,
    live: bool = False,
    annotations: AnnotationSettings = DEFAULT_ANNOTATIONS,
) -> MaskSink:
    """Return the exporter of a format, not yet opened.

    Args:
        form: the format.
        path: the file or folder.
        header: how the masks are made.
        labels: prompts that are listed even if they never appear.
        overwrite: replace an existing file or folder.
        quality: as for ``VideoWriter``; for videos only.
        start: as for ``VideoWriter``; for videos only.
        end: as for ``VideoWriter``; for videos only.
        live: written by a recording: under a visible name, and in such a way that ``recovery`` can complete it if the
            process is killed.
        annotations: how annotations are written.

    Raises:
        UsageError: if the path does not fit the format or exists.
        SinkError: if the folder does not exist.
    """
    if form not in get_args(DataFormat):
        raise UsageError(f"There is no data format {form!r}: use one of {', '.join(get_args(DataFormat))}.")
    path = Path(path)
    suffix = path.suffix.lower()
    wanted = _FILES.get(form)
    if wanted is not None and suffix not in wanted:
        raise UsageError(f"{form} cannot be written to {path.name}: use a name ending in {' or '.join(wanted)}.")
    match form:
        case "jsonl" | "csv":
            table = JsonLinesMaskSink if form == "jsonl" else CsvSink
            return table(path, header, overwrite, live, annotations.instances)
        case "coco" | "yolo":
            images = CocoSink if form == "coco" else YoloSink
            return images(path, header, labels, overwrite, live, annotations)
        case "alpha-prores" | "alpha-vp9":
            codec: AlphaCodec = "prores" if form == "alpha-prores" else "vp9"
            return AlphaVideoSink(path, codec, quality, overwrite, start, end, live)
        case "animation-webp" | "animation-gif":
            return (WebpAnimation if form == "animation-webp" else GifAnimation)(path, overwrite, live)
        case "sheet":
            return ContactSheetSink(path, header, labels, overwrite, live)
        case "mask-video" if suffix and not path.is_dir():
            return MaskVideoSink(path, overwrite, start, end, live)
        case "mask-video":
            return MaskVideoFolder(path, header, labels, overwrite, start, live)
        case "alpha-png" | "alpha-webp":
            return AlphaSequence(path, header, labels, overwrite, "png" if form == "alpha-png" else "webp", live)
        case _:
            return _FOLDERS[form](path, header, labels, overwrite, live)


def open_transparent_sink(
    path: str | Path,
    header: Mapping[str, Any],
    labels: Sequence[Label] = (),
    overwrite: bool = False,
    *,
    codec: Codec | None = None,
    quality: int = 70,
    start: Fraction | None = None,
    end: Fraction | None = None,
) -> MaskSink:
    """Return the exporter with transparency for a path, not yet opened.

    The suffix selects it: ``.mov`` (ProRes 4444), ``.webm`` (VP9), ``.webp`` or ``.gif`` (animations), ``.png`` for a
    source of one frame, and a folder for PNG images.

    Raises:
        UsageError: if the suffix is another one, or the codec does not belong to it; other errors as for
            ``open_data_sink``.
    """
    path = Path(path)
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix not in _BY_SUFFIX and suffix != ".png":
        raise UsageError(
            f"{path.name} cannot be transparent: name a .mov (ProRes 4444), .webm (VP9), .webp or .gif file, a .png "
            "for a single picture, or a folder for PNG pictures."
        )
    if codec is not None and codec != {".mov": "prores", ".webm": "vp9"}.get(suffix):
        raise UsageError(
            f"{codec} in {path.name} cannot be transparent: leave out --codec; .mov is ProRes 4444, .webm is VP9."
        )
    if suffix == ".png":
        return AlphaPictureSink(path, overwrite)
    return open_data_sink(_BY_SUFFIX[suffix], path, header, labels, overwrite, quality=quality, start=start, end=end)


class SelectedFrames:
    """Exporter that passes a selection of the frames to another one.

    Args:
        sink: the other exporter.
        every: pass only every N-th frame, from the first.
        only_present: pass only frames where the mask of a prompt is not empty and its presence is at least ``present``.
        present: smallest presence, 0..1.
    """

    def __init__(self, sink: MaskSink, every: int = 1, only_present: bool = False, present: float = 0.35) -> None:
        """Check the selection.

        Raises:
            UsageError: if ``every`` is below 1.
        """
        if every < 1:
            raise UsageError(f"Every {every}-th frame is not possible: --every goes from 1 (all of them).")
        self._sink, self._every, self._only_present, self._present = sink, every, only_present, present
        self._count = 0

    @property
    def path(self) -> Path:
        """Path of the other exporter."""
        return self._sink.path

    @property
    def notices(self) -> list[str]:
        """Messages of the other exporter for the user."""
        return self._sink.notices

    def open(self, info: SourceInfo) -> None:
        """Open the other exporter."""
        self._count = 0
        self._sink.open(info)

    def write(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Pass the frame on if it is selected."""
        self._count += 1
        if (self._count - 1) % self._every == 0 and (not self._only_present or self._shows(mattes)):
            self._sink.write(frame, mattes, labels)

    def finish(self) -> None:
        """Finish the other exporter."""
        self._sink.finish()

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Abandon the other exporter."""
        return self._sink.abandon(keep_partial)

    def _shows(self, mattes: Mattes) -> bool:
        return any(
            presence >= self._present and any((matte.alpha[area_of(box)] >= 128).any() for box in matte.boxes)
            for matte, presence in zip(mattes.each, mattes.presence, strict=True)
        )
