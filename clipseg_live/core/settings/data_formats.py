"""Data formats as values. The ``exporters`` package writes them; an exporter is imported with its first use."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.plugins import PluginError, Registry, check_interface

if TYPE_CHECKING:
    from clipseg_live.core.settings.base import Codec

_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSpec:
    """A data format.

    Attributes:
        name: Name in options, session files and Python.
        title: Name in the window.
        help: One sentence that says what is written.
        file_name: Name of the data of a recording; "{}" is the name of the recording. Without a suffix it is a folder.
        exporter: "module:function" that takes a path and ``exporters.data_options.DataOptions`` and returns an exporter
            that is not open yet (``core.protocols.FileOutput``).
        suffixes: Suffixes of the file, in lower case. Empty for a folder, or if the exporter checks the path itself.
        options: Fields of ``DataOptions`` and ``AnnotationSettings`` that change the data.
        needs_film: The format holds a video, not a set of independent photos.
        source_pixels: The format holds pixels of the source, in which privacy effects hide nothing.
        transparent: ``--alpha`` selects this format for results with this suffix; "" for a folder.
        codec: The only codec that may be asked for with ``--alpha``.
        repair: "module:function" that completes the file of a killed recording. It takes the path, and returns False if
            nothing in the file can be used. None for folders and videos, which are completed anyway.
        interface: Version of the interface that the format is made for.
    """

    name: str
    title: str
    help: str
    file_name: str
    exporter: str
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    needs_film: bool = False
    source_pixels: bool
    transparent: str | None = None
    codec: "Codec | None" = None
    repair: str | None = None
    interface: int = 1

    @property
    def is_folder(self) -> bool:
        """True if a recording writes the format as a folder."""
        return "." not in self.file_name


_ANNOTATED = ("instances",)
_VIDEO = ("quality", "start", "end")

_OWN = (
    FormatSpec(
        name="jsonl",
        title="JSON lines",
        help="A line for each annotation: mask, box, area, probability and presence.",
        file_name="{}.jsonl",
        exporter="clipseg_live.exporters.tables:JsonLinesMaskSink.create",
        suffixes=(".jsonl", ".ndjson"),
        options=_ANNOTATED,
        source_pixels=False,
        repair="clipseg_live.exporters.folder:cut_to_whole_lines",
    ),
    FormatSpec(
        name="csv",
        title="CSV table",
        help="A row for each frame and prompt: presence, area and box.",
        file_name="{}.csv",
        exporter="clipseg_live.exporters.tables:CsvSink.create",
        suffixes=(".csv",),
        source_pixels=False,
        repair="clipseg_live.exporters.tables:cut_to_whole_rows",
    ),
    FormatSpec(
        name="png",
        title="PNG masks",
        help="A black and white PNG file for each frame and prompt.",
        file_name="{} masks",
        exporter="clipseg_live.exporters.masks:PngMaskSink.create",
        source_pixels=False,
    ),
    FormatSpec(
        name="coco",
        title="COCO dataset",
        help="A COCO data set with images.",
        file_name="{} coco",
        exporter="clipseg_live.exporters.datasets.coco:CocoSink.create",
        options=("segmentation", *_ANNOTATED),
        source_pixels=True,
    ),
    FormatSpec(
        name="yolo",
        title="YOLO labels",
        help="A data set for the segmentation of YOLO.",
        file_name="{} yolo",
        exporter="clipseg_live.exporters.datasets.yolo:YoloSink.create",
        options=(*_ANNOTATED, "split", "seed"),
        source_pixels=True,
    ),
    FormatSpec(
        name="indexed",
        title="Indexed PNG",
        help="A palette PNG file for each frame; its values are the numbers of the prompts.",
        file_name="{} indexed",
        exporter="clipseg_live.exporters.frame_files:IndexedSink.create",
        source_pixels=False,
    ),
    FormatSpec(
        name="npz",
        title="NumPy maps",
        help="The probability maps of each frame, before any threshold.",
        file_name="{} maps",
        exporter="clipseg_live.exporters.frame_files:MapsSink.create",
        source_pixels=False,
    ),
    FormatSpec(
        name="mask-video",
        title="Mask video",
        help="The masks as a grey video, or a folder with one video for each prompt.",
        file_name="{} masks.mkv",
        exporter="clipseg_live.exporters.mask_video:open_mask_video",
        options=("start", "end"),
        needs_film=True,
        source_pixels=False,
    ),
    FormatSpec(
        name="alpha-prores",
        title="Alpha video (ProRes 4444)",
        help="A ProRes 4444 video with alpha, for editors.",
        file_name="{} alpha.mov",
        exporter="clipseg_live.exporters.alpha_video:open_prores",
        suffixes=(".mov",),
        options=_VIDEO,
        needs_film=True,
        source_pixels=True,
        transparent=".mov",
        codec="prores",
    ),
    FormatSpec(
        name="alpha-vp9",
        title="Alpha video (VP9)",
        help="A VP9 video with alpha, for web pages and OBS.",
        file_name="{} alpha.webm",
        exporter="clipseg_live.exporters.alpha_video:open_vp9",
        suffixes=(".webm",),
        options=_VIDEO,
        needs_film=True,
        source_pixels=True,
        transparent=".webm",
        codec="vp9",
    ),
    FormatSpec(
        name="alpha-png",
        title="Alpha images (PNG)",
        help="A PNG file with alpha for each frame.",
        file_name="{} alpha",
        exporter="clipseg_live.exporters.frame_files:open_alpha_png",
        source_pixels=True,
        transparent="",
    ),
    FormatSpec(
        name="alpha-webp",
        title="Alpha images (WebP)",
        help="A lossless WebP file with alpha for each frame.",
        file_name="{} alpha webp",
        exporter="clipseg_live.exporters.frame_files:open_alpha_webp",
        source_pixels=True,
    ),
    FormatSpec(
        name="animation-webp",
        title="Animation (WebP)",
        help="A short animated WebP file with alpha, in a loop.",
        file_name="{}.webp",
        exporter="clipseg_live.exporters.animation:WebpAnimation.create",
        suffixes=(".webp",),
        needs_film=True,
        source_pixels=True,
        transparent=".webp",
        repair="clipseg_live.exporters.animation:repair_webp",
    ),
    FormatSpec(
        name="animation-gif",
        title="Animation (GIF)",
        help="A short animated GIF file, in a loop.",
        file_name="{}.gif",
        exporter="clipseg_live.exporters.animation:GifAnimation.create",
        suffixes=(".gif",),
        needs_film=True,
        source_pixels=True,
        transparent=".gif",
        repair="clipseg_live.exporters.animation:repair_gif",
    ),
    FormatSpec(
        name="sheet",
        title="Contact sheet",
        help="One image that shows when each prompt was found.",
        file_name="{} sheet.png",
        exporter="clipseg_live.exporters.contact_sheet:ContactSheetSink.create",
        suffixes=(".png",),
        source_pixels=True,
        repair="clipseg_live.exporters.contact_sheet:is_whole_image",
    ),
)


def _accept(name: str, part: object) -> FormatSpec:
    if not isinstance(part, FormatSpec):
        raise PluginError(f"its entry point is {type(part).__name__}, not a FormatSpec")
    check_interface(part.interface)
    if part.name != name or not _NAME.fullmatch(name):
        raise PluginError(f"{part.name!r} and {name!r} must be the same name, of small letters, digits and hyphens")
    if part.file_name.count("{}") != 1:
        raise PluginError(f"the file name {part.file_name!r} needs one {{}}")
    return part


FORMAT_SPECS = Registry("clipseg_live.exporters", "data format", {spec.name: spec for spec in _OWN}, _accept)
"""All data formats, in the order of menus and help texts."""

DATA_FORMATS: tuple[str, ...] = tuple(FORMAT_SPECS.own)
"""Names of the data formats of this package. ``FORMAT_SPECS.names()`` has those of installed packages as well."""


def find_format(name: str) -> FormatSpec:
    """Return the data format of a name.

    Raises:
        UsageError: If there is none.
    """
    spec = FORMAT_SPECS.get(name)
    if spec is None:
        raise UsageError(f"There is no data format {name!r}: {FORMAT_SPECS.refusal(name)}.")
    return spec


def with_option(option: str) -> tuple[str, ...]:
    """Return the names of the formats that an option changes."""
    return tuple(name for name, spec in FORMAT_SPECS.all().items() if option in spec.options)


def transparent_formats() -> dict[str, FormatSpec]:
    """Return the formats of transparent results by suffix; the suffix of a folder is ""."""
    formats: dict[str, FormatSpec] = {}
    for spec in FORMAT_SPECS.all().values():
        if spec.transparent is not None:
            formats.setdefault(spec.transparent, spec)
    return formats


def shows_source(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the formats that hold pixels of the source."""
    return tuple(name for name in names if find_format(name).source_pixels)
