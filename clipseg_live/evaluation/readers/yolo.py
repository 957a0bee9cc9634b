"""YOLO segmentation data sets: ``data.yaml``, ``images`` and ``labels``, and this program's own YOLO exports."""

from pathlib import Path

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueSet
from clipseg_live.evaluation.readers.files import Described, folders_in, images_by_stem, read_checked
from clipseg_live.evaluation.truths import AbsentTruth, YoloTruth


class _Data(Described):
    names: dict[int, str] | list[str]


def read_yolo(folder: Path, images: Path | None = None) -> TrueSet:
    """Read all images of a data set, of every part (``train``, ``val``).

    An image without a label file has no objects.

    Args:
        folder: Folder with ``data.yaml``.
        images: Folder of the images in place of ``images``.

    Raises:
        SourceError: A file is missing or damaged.
    """
    data = read_checked(folder / "data.yaml", _Data, "a description of a YOLO data set")
    names = data.names if isinstance(data.names, dict) else dict(enumerate(data.names))
    if not names:
        raise SourceError(f"{folder / 'data.yaml'} lists no class.")
    root = images or folder / "images"
    parts = folders_in(root)
    found = []
    for part in parts or [root]:
        labels = folder / "labels" / (part.name if parts else "")
        for stem, file in images_by_stem(part).items():
            label = labels / f"{stem}.txt"
            truths = {n: YoloTruth(label, n) if label.is_file() else AbsentTruth() for n in names}
            targets = tuple(Target(names[number], truth) for number, truth in truths.items())
            found.append(TrueImage(f"{part.name}/{stem}" if parts else stem, file, targets))
    return TrueSet(folder.name, "yolo", tuple(found), {name: name for name in names.values()})
