"""Recognition of the layout of a data set, and the choice of its reader."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.evaluation.dataset import TrueSet
from clipseg_live.evaluation.readers.coco import find_instances, read_coco
from clipseg_live.evaluation.readers.davis import read_davis
from clipseg_live.evaluation.readers.files import folders_in, reading
from clipseg_live.evaluation.readers.folders import read_class_folders, read_exported_masks, read_prompt_folders
from clipseg_live.evaluation.readers.phrasecut import TASKS, read_phrasecut
from clipseg_live.evaluation.readers.voc import read_voc
from clipseg_live.evaluation.readers.yolo import read_yolo

_READERS: Mapping[str, Callable[[Path, Path | None], TrueSet]] = {
    "folder": read_prompt_folders,
    "one-shot": read_class_folders,
    "coco": read_coco,
    "yolo": read_yolo,
    "masks": read_exported_masks,
}
_LISTED: Mapping[str, Callable[[Path, Path | None, Path | None], TrueSet]] = {
    "voc": read_voc,
    "davis": read_davis,
    "phrasecut": read_phrasecut,
}
"""Readers that take a list of images."""
DATA_SET_LAYOUTS = (*_READERS, *_LISTED)
"""Names of the layouts."""


def read_data_set(
    path: Path, layout: str | None = None, *, images: Path | None = None, listing: Path | None = None
) -> TrueSet:
    """Read a data set with ground truth.

    Args:
        path: Folder, or annotation file of COCO.
        layout: One of ``DATA_SET_LAYOUTS``; None to recognise it.
        images: Folder of the images, if they are not where the layout has them.
        listing: List of images, for the layouts "voc", "davis" and "phrasecut".

    Raises:
        UsageError: The layout is unknown or has no lists.
        SourceError: The data set is missing, damaged or of no known layout.
    """
    if layout is not None and layout not in DATA_SET_LAYOUTS:
        raise UsageError(f"{layout!r} is not a layout of data sets: use one of {', '.join(DATA_SET_LAYOUTS)}.")
    with reading(path):
        if not path.exists():
            raise SourceError(f"There is no data set {path}.")
        if images is not None and not images.is_dir():
            raise SourceError(f"There is no folder {images}.")
        name = layout or recognise_layout(path)
        if name in _LISTED:
            data = _LISTED[name](path, images, listing)
        elif listing is not None:
            raise UsageError(f"A list is for the layouts {', '.join(_LISTED)}; {path} has the layout {name}.")
        else:
            data = _READERS[name](path, images)
        return replace(data, name=path.resolve().name)


def recognise_layout(path: Path) -> str:
    """Return the layout of a data set.

    Raises:
        SourceError: It has no known layout.
    """
    if path.is_file():
        if find_instances(path) is not None:
            return "coco"
        raise SourceError(f"{path} is not a data set: name a folder, or the JSON file of a COCO data set.")
    marks = (
        ("phrasecut", (path / TASKS).is_file()),
        ("voc", (path / "SegmentationClass").is_dir() or (path / "ImageSets" / "Segmentation").is_dir()),
        ("davis", (path / "JPEGImages").is_dir() and (path / "Annotations").is_dir()),
        ("coco", (path / "annotations").is_dir()),
        ("yolo", (path / "data.yaml").is_file()),
        ("masks", (path / "index.json").is_file()),
        ("folder", (path / "masks").is_dir() and not _has_classes(path)),
        ("one-shot", _has_classes(path)),
    )
    for name, fits in marks:
        if fits:
            return name
    raise SourceError(
        f"{path} has no known layout: use images/NAME.jpg with masks/PROMPT/NAME.png, or name one with --layout."
    )


def _has_classes(path: Path) -> bool:
    """Return whether images are in folders of classes."""
    if (path / "images").is_dir():
        return bool(folders_in(path / "images"))
    return any(next(folder.glob("*.png"), None) is not None for folder in folders_in(path))
