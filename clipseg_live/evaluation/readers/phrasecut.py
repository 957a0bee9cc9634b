"""PhraseCut (VGPhraseCut_v0): phrases with polygons on images of Visual Genome."""

from pathlib import Path

from PIL import Image

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueSet
from clipseg_live.evaluation.readers.files import Described, find_image, read_checked
from clipseg_live.evaluation.truths import EvenOddTruth
from clipseg_live.media.images.reader import open_image

TASKS = "refer_test.json"
_SIZES = "image_data_split.json"
_FARTHEST = 1e6
"""Largest coordinate of a polygon in pixels."""


class _Task(Described):
    task_id: str
    image_id: int
    phrase: str
    Polygons: tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


class _Size(Described):
    image_id: int
    width: int
    height: int


def read_phrasecut(folder: Path, images: Path | None = None, listing: Path | None = None) -> TrueSet:
    """Read the phrases of the test split. Every phrase of an image is a class of its own in mIoU.

    Images whose size differs from the annotations' are left out, as in the published evaluation (17 of the real ones).

    Args:
        folder: Folder with ``refer_test.json``, ``image_data_split.json`` and ``images``.
        images: Folder of the images in place of ``images``.
        listing: Another file of tasks than ``refer_test.json``.

    Raises:
        SourceError: A file is missing or damaged.
    """
    path = listing or folder / TASKS
    tasks = read_checked(path, tuple[_Task, ...], "a list of PhraseCut tasks")
    sizes = read_checked(folder / _SIZES, tuple[_Size, ...], "a list of PhraseCut images")
    stated = {each.image_id: (each.width, each.height) for each in sizes}
    targets: dict[int, list[Target]] = {}
    for task in tasks:
        if task.image_id not in stated:
            raise SourceError(f"{folder / _SIZES} lacks the image {task.image_id} of {path.name}.")
        polygons = tuple(tuple(value for corner in each for value in corner) for part in task.Polygons for each in part)
        if any(len(polygon) < 6 or not max(map(abs, polygon)) < _FARTHEST for polygon in polygons):
            raise SourceError(f"{path} has a polygon that is damaged in the task {task.task_id}.")
        targets.setdefault(task.image_id, []).append(Target(task.phrase, EvenOddTruth(polygons, path)))
    found = []
    for number, own in targets.items():
        file = find_image(f"{number}.jpg", (images or folder / "images",), path)
        if _size_of(file) == stated[number]:
            found.append(TrueImage(str(number), file, tuple(own)))
    if not found:
        raise SourceError(f"{path} lists no task with a usable image.")
    left_out = len(targets) - len(found)
    notice = f"Images left out because their size differs from that of their annotations: {left_out}."
    words = {target.category: target.category for image in found for target in image.targets}
    return TrueSet(folder.name, "phrasecut", tuple(found), words, True, (notice,) if left_out else ())


def _size_of(path: Path) -> tuple[int, int]:
    opened: Image.Image
    with open_image(path) as (opened, _):
        return opened.size
