"""Data sets that are folders of images and mask files: by prompt, by class, and this program's own masks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueSet
from clipseg_live.evaluation.readers.files import Described, folders_in, images_by_stem, read_checked
from clipseg_live.evaluation.truths import AbsentTruth, MaskFile


def read_prompt_folders(folder: Path, images: Path | None = None) -> TrueSet:
    """Read ``images/NAME.*`` and ``masks/PROMPT/NAME.png``.

    Pixels that are not 0 belong to the object. A missing mask means that the object is not in the image. An empty
    folder of masks is an object that is in no image.

    Args:
        folder: Folder of the data set.
        images: Folder of the images in place of ``images``.

    Raises:
        SourceError: A folder is missing or empty, or a mask belongs to no image.
    """
    prompts = folders_in(folder / "masks")
    if not prompts:
        raise SourceError(f"There is no folder of masks in {folder / 'masks'}: it needs one for each prompt.")
    files = images_by_stem(images or folder / "images")
    masks = {prompt.name: _masks_of(prompt, files) for prompt in prompts}
    found = tuple(
        TrueImage(
            stem, file, tuple(Target(name, own.get(stem, AbsentTruth())) for name, own in masks.items())
        )
        for stem, file in files.items()
    )  # fmt: skip
    return TrueSet(folder.name, "folder", found, {name: name for name in masks})


def _masks_of(prompt: Path, files: Mapping[str, Path]) -> Mapping[str, MaskFile]:
    """Return the masks of a prompt by the name of their image."""
    if not any(prompt.iterdir()):
        return {}
    masks = {stem: MaskFile(path) for stem, path in images_by_stem(prompt).items()}
    if strangers := sorted(masks.keys() - files.keys()):
        raise SourceError(f"The mask {masks[strangers[0]].path} belongs to no image.")
    return masks


def read_class_folders(folder: Path, images: Path | None = None) -> TrueSet:
    """Read folders with one class in each image: FSS-1000 and sets for one-shot segmentation.

    The layout is ``images/CLASS/N.jpg`` with ``masks/CLASS/N.png``, or ``CLASS/N.jpg`` with ``CLASS/N.png``.
    Underscores in the name of a class become spaces in its text.

    Args:
        folder: Folder of the data set.
        images: Folder of the images in place of ``images``.

    Raises:
        SourceError: A folder is missing or empty, or an image has no mask.
    """
    shared = images is None and not (folder / "masks").is_dir()
    found: list[TrueImage] = []
    words = {}
    for own in folders_in(folder if shared else images or folder / "images"):
        pairs = _shared_pairs(own) if shared else _separate_pairs(own, folder / "masks" / own.name)
        words[own.name] = own.name.replace("_", " ")
        found += [
            TrueImage(f"{own.name}/{image.stem}", image, (Target(own.name, MaskFile(mask)),)) for image, mask in pairs
        ]
    if not found:
        raise SourceError(f"There is no folder of a class in {folder}.")
    return TrueSet(folder.name, "one-shot", tuple(found), words)


def _separate_pairs(images: Path, masks: Path) -> Iterable[tuple[Path, Path]]:
    files, true = images_by_stem(images), images_by_stem(masks)
    for stem, file in files.items():
        if stem not in true:
            raise SourceError(f"The image {file} has no mask in {masks}.")
        yield file, true[stem]


def _shared_pairs(folder: Path) -> Iterable[tuple[Path, Path]]:
    """Yield JPEG images with the PNG masks beside them."""
    images = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in (".jpg", ".jpeg"))
    if not images:
        raise SourceError(f"There is no JPEG image in {folder}.")
    for image in images:
        mask = image.with_suffix(".png")
        if not mask.is_file():
            raise SourceError(f"The image {image} has no mask {mask.name}.")
        yield image, mask


class _Prompt(Described):
    prompt: str
    name: str | None = None
    value: int | None = None


class _Frame(Described):
    name: str | None = None
    file: str | None = None


class _Index(Described):
    prompts: tuple[_Prompt, ...]
    frames: tuple[_Frame, ...]


def read_exported_masks(folder: Path, images: Path | None = None) -> TrueSet:
    """Read masks that this program exported with ``--data png`` or ``--data indexed``, corrected by hand or not.

    These folders hold no images.

    Args:
        folder: Folder of the export.
        images: Folder of the images, which have the names of the frames.

    Raises:
        SourceError: ``images`` is missing, a file is missing, or the index is damaged.
    """
    path = folder / "index.json"
    index = read_checked(path, _Index, "an index of exported masks")
    if images is None:
        raise SourceError(f"{folder} holds masks without their images: name the folder of the images with --images.")
    files = images_by_stem(images)
    found = []
    for frame in index.frames:
        stem = frame.name or Path(frame.file or "").stem
        if stem not in files:
            raise SourceError(f"{path} lists the frame {stem}, which has no image in {images}.")
        targets = []
        for prompt in index.prompts:
            own = folder / (f"{stem}.png" if prompt.value is not None else f"{stem}_{prompt.name}.png")
            missing = prompt.value is None and not own.is_file()  # the prompt came later, or was removed
            targets.append(Target(prompt.prompt, AbsentTruth() if missing else MaskFile(own, prompt.value)))
        found.append(TrueImage(stem, files[stem], tuple(targets)))
    if not found or not index.prompts:
        raise SourceError(f"{path} lists no frame or no prompt.")
    return TrueSet(folder.name, "masks", tuple(found), {each.prompt: each.prompt for each in index.prompts})
