"""Video data sets in the layout of DAVIS: ``JPEGImages/480p/VIDEO`` and ``Annotations/480p/VIDEO``."""

from pathlib import Path

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueSet
from clipseg_live.evaluation.readers.files import folders_in, images_by_stem, read_lines
from clipseg_live.evaluation.truths import MaskFile


def read_davis(folder: Path, images: Path | None = None, listing: Path | None = None) -> TrueSet:
    """Read the frames of videos that have an annotation. All objects of a video are one class, named like the video.

    Args:
        folder: Folder with ``JPEGImages`` and ``Annotations``.
        images: Folder of the videos' images in place of ``JPEGImages/480p``.
        listing: File with the names of videos; without it, all videos count.

    Raises:
        SourceError: A file is missing or damaged.
    """
    annotations = _resolution(folder / "Annotations")
    root = images or _resolution(folder / "JPEGImages")
    videos = read_lines(listing) if listing is not None else [each.name for each in folders_in(annotations)]
    found = []
    for video in videos:
        frames, masks = images_by_stem(root / video), images_by_stem(annotations / video)
        if strangers := sorted(masks.keys() - frames.keys()):
            raise SourceError(f"The mask {masks[strangers[0]]} belongs to no frame.")
        found += [
            TrueImage(f"{video}/{stem}", frames[stem], (Target(video, MaskFile(mask)),), video)
            for stem, mask in masks.items()
        ]
    if not found:
        raise SourceError(f"There is no video in {annotations}.")
    return TrueSet(folder.name, "davis", tuple(found), {video: video.replace("-", " ") for video in videos})


def _resolution(folder: Path) -> Path:
    """Return the folder of the videos: the only resolution inside, 480p of several, or the folder itself."""
    inside = folders_in(folder)
    named = [each for each in inside if each.name.rstrip("p").isdigit() or each.name == "Full-Resolution"]
    return next((each for each in named if each.name == "480p"), named[0]) if named else folder
