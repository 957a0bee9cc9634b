"""COCO data sets: ``instances_*.json`` with the images beside it, and this program's own COCO exports."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueSet
from clipseg_live.evaluation.readers.files import Described, find_image, read_checked
from clipseg_live.evaluation.truths import AbsentTruth, CocoTruth


class _Image(Described):
    id: int | str
    file_name: str
    width: int
    height: int


class _RunLengths(Described):
    counts: str | tuple[int, ...]


class _Annotation(Described):
    image_id: int | str
    category_id: int
    segmentation: tuple[tuple[float, ...], ...] | _RunLengths


class _Category(Described):
    id: int
    name: str


class _Instances(Described):
    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...]
    categories: tuple[_Category, ...]


def find_instances(path: Path) -> Path | None:
    """Return the annotation file of a data set: the file itself, or the only one in its folder ``annotations``."""
    if path.is_file():
        return path if path.suffix.lower() == ".json" else None
    files = sorted((path / "annotations").glob("*.json"))
    named = [file for file in files if file.name.startswith("instances")] or files
    return named[0] if len(named) == 1 else None


def read_coco(path: Path, images: Path | None = None) -> TrueSet:
    """Read instances of COCO as one mask for each image and category. Groups (``iscrowd``) belong to it.

    Every category counts in every image, so a category without an annotation is absent there.

    Args:
        path: Annotation file, or a folder with one in ``annotations``.
        images: Folder of the images. Without it, they are searched beside the annotations.

    Raises:
        SourceError: A file is missing or damaged.
    """
    file = find_instances(path)
    if file is None:
        raise SourceError(f"{path / 'annotations'} needs exactly one JSON file: name the annotation file itself.")
    content = read_checked(file, _Instances, "a COCO annotation file")
    names = {category.id: category.name for category in content.categories}
    if not names or not content.images:
        raise SourceError(f"{file} lists no image or no category.")
    parts: dict[tuple[Any, int], list[Any]] = defaultdict(list)
    for annotation in content.annotations:
        if annotation.category_id not in names:
            raise SourceError(f"{file} has an annotation of category {annotation.category_id}, which it does not list.")
        form = annotation.segmentation
        whole = form.counts if isinstance(form, _RunLengths) else form
        parts[annotation.image_id, annotation.category_id].append(whole)
    beside = (file.parent, file.parent.parent / "images", file.parent / "images", file.parent.parent)
    split = file.parent.parent / file.stem.removeprefix("instances_")
    folders = (images,) if images is not None else (split, *beside)
    found = []
    for image in content.images:
        size = (image.height, image.width)
        targets = []
        for number, name in names.items():
            own = tuple(parts.get((image.id, number), ()))
            targets.append(Target(name, CocoTruth(own, size, file) if own else AbsentTruth()))
        found.append(TrueImage(image.file_name, find_image(image.file_name, folders, file), tuple(targets)))
    return TrueSet(path.name, "coco", tuple(found), {name: name for name in names.values()})
