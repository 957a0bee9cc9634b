"""Choice of the exporter for a data format, and selection of frames."""

from pathlib import Path
from pkgutil import resolve_name

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.mattes import Mattes, mask_of
from clipseg_live.core.protocols import FileOutput
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import Codec
from clipseg_live.core.settings.data_formats import FormatSpec, find_format, transparent_formats
from clipseg_live.exporters.alpha_video import AlphaPictureSink
from clipseg_live.exporters.data_options import NO_OPTIONS, DataOptions
from clipseg_live.rendering.blending import area_of


def open_data_sink(form: str, path: str | Path, options: DataOptions = NO_OPTIONS) -> FileOutput:
    """Return the exporter of a data format, not yet opened.

    Args:
        form: Name of the format.
        path: The file or folder.
        options: How the data are written.

    Raises:
        UsageError: If there is no such format, or if the path does not fit it or exists.
        SinkError: If the folder of the path does not exist.
    """
    spec, path = find_format(form), Path(path)
    if spec.suffixes and path.suffix.lower() not in spec.suffixes:
        raise UsageError(f"{form} cannot be written to {path.name}: use a name ending in {' or '.join(spec.suffixes)}.")
    return _create(spec, path, options)


def open_transparent_sink(
    path: str | Path, options: DataOptions = NO_OPTIONS, codec: Codec | None = None
) -> FileOutput:
    """Return the exporter with transparency for a path, not yet opened.

    The suffix selects it: ``.mov`` (ProRes 4444), ``.webm`` (VP9), ``.webp`` or ``.gif`` (animations), ``.png`` for a
    source of one frame, and a folder for PNG images.

    Args:
        path: The file or folder.
        options: How the result is written.
        codec: Codec that is asked for.

    Raises:
        UsageError: If the suffix is another one, or the codec does not belong to it; other errors as for
            ``open_data_sink``.
    """
    path, formats = Path(path), transparent_formats()
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix not in formats and suffix != ".png":
        raise UsageError(
            f"{path.name} cannot be transparent: use a {', '.join(filter(None, formats))} file, a .png file for a "
            "single image, or a folder for PNG images."
        )
    if codec is not None and (suffix == ".png" or codec != formats[suffix].codec):
        codec_names = ", ".join(
            f"{format_suffix} is {spec.title}" for format_suffix, spec in formats.items() if spec.codec is not None
        )
        raise UsageError(f"{codec} in {path.name} cannot be transparent: leave out --codec; {codec_names}.")
    return AlphaPictureSink(path, options.overwrite) if suffix == ".png" else _create(formats[suffix], path, options)


def _create(spec: FormatSpec, path: Path, options: DataOptions) -> FileOutput:
    sink: FileOutput = resolve_name(spec.exporter)(path, options)
    return sink


class SelectedFrames:
    """Exporter that passes a selection of the frames to another one.

    Args:
        sink: the other exporter.
        every: pass only every N-th frame, from the first.
        only_present: pass only frames where the mask of a prompt is not empty and its presence is at least ``present``.
        present: smallest presence, 0..1.
    """

    def __init__(self, sink: FileOutput, every: int = 1, only_present: bool = False, present: float = 0.35) -> None:
        """Check the selection.

        Raises:
            UsageError: if ``every`` is below 1.
        """
        if every < 1:
            raise UsageError(f"--every must be 1 or more, not {every}.")
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

    def write(self, rendered: RenderedFrame) -> None:
        """Pass the frame on if it is selected."""
        self._count += 1
        if (self._count - 1) % self._every == 0 and (not self._only_present or self._has_mask(rendered.mattes)):
            self._sink.write(rendered)

    def finish(self) -> None:
        """Finish the other exporter."""
        self._sink.finish()

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Abandon the other exporter."""
        return self._sink.abort(keep_partial)

    def _has_mask(self, mattes: Mattes) -> bool:
        return any(
            presence >= self._present and any(mask_of(matte.alpha[area_of(box)]).any() for box in matte.boxes)
            for matte, presence in zip(mattes.each, mattes.presence, strict=True)
        )
