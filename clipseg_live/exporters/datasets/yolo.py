"""YOLO segmentation data sets: images with polygon labels."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.exporters.datasets.image_dataset import ImageFolderSink
from clipseg_live.exporters.datasets.instances import annotations_of
from clipseg_live.exporters.datasets.polygons import CORNER, join_polygons

_PARTS = ("train", "val")
_NO_SPLIT = "# No image is set apart for validation: it uses those of training. --split 0.8 sets some apart.\n"


class YoloSink(ImageFolderSink):
    """Folder with ``images/000123.jpg``, ``labels/000123.txt``, ``data.yaml`` and ``index.json``.

    The index holds the header, and numbers and times of frames. Each line of a label file is an annotation: the number
    of the prompt from 0, then x and y of the polygon's corners over width and height. Corners lie a quarter pixel from
    the top left of a border pixel, so that readers that truncate and readers that round both draw the mask. Holes are
    joined to the border by a cut of zero width, and components of one annotation by bridges of zero width. A frame
    without annotations has an empty file, which means background.

    With a split, images and labels are in folders ``train`` and ``val``.
    """

    ours = (
        r"index\.json|data\.yaml|(images|labels)(/train|/val)?"
        r"|images/((train|val)/)?\d{6,}\.(jpg|png|npy)|labels/((train|val)/)?\d{6,}\.txt"
    )

    @classmethod
    def listed(cls, index: Mapping[str, Any]) -> Iterator[str]:
        """Yield the paths of the images and labels that the index lists."""
        for entry in index["frames"]:
            for part in ("", "train/", "val/"):
                yield from (f"images/{part}{entry['file']}", f"labels/{part}{entry['name']}.txt")
                yield f"images/{part}{entry['name']}.npy"  # Ultralytics, with cache=disk

    def _begin(self, info: object) -> None:
        super()._begin(info)
        (self._require_folder() / "labels").mkdir()
        self._frames: list[tuple[str, str, str]] = []
        self._split: dict[str, list[str]] | None = None

    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        stem = self._names.stem(frame)
        lines = []
        for number, category in enumerate(self._categories.numbers(labels)):
            for annotation in annotations_of(frame, mattes, number, self._annotations.instances):
                corners = (join_polygons(annotation.corner_polygons()) + CORNER) / (frame.width, frame.height)
                lines.append(f"{category - 1} " + " ".join(f"{value:.6f}" for value in corners.ravel()) + "\n")
        name = self._put_image(stem, frame)
        self._put(f"labels/{stem}.txt", "".join(lines).encode("ascii"))
        self._list("frames", {"frame": frame.index, "time": float(frame.time), "name": stem, "file": name})
        if self._annotations.split is not None:
            self._frames.append((stem, name, "" if frame.file is None else str(frame.file)))

    def _write_prompts(self, first: int) -> None:
        self._write_yaml()

    def _end(self) -> None:
        super()._end()
        if self._annotations.split is None:
            return
        if len({source or stem for stem, _, source in self._frames}) < 2:
            self.notices.append(f"{self.path.name} was not split, because a split needs at least two images.")
            return
        parts = split_frames(self._frames, self._annotations.split, self._annotations.seed)
        folder = self._require_folder()
        for part, frames in zip(_PARTS, parts, strict=True):
            for kind in ("images", "labels"):
                (folder / kind / part).mkdir()
            for stem, name, _ in frames:
                (folder / "images" / name).rename(folder / "images" / part / name)
                (folder / "labels" / f"{stem}.txt").rename(folder / "labels" / part / f"{stem}.txt")
        self._split = {part: [stem for stem, _, _ in frames] for part, frames in zip(_PARTS, parts, strict=True)}
        self._write_yaml()

    def _write_yaml(self) -> None:
        names = (f"  {number}: {_quote(name)}\n" for number, name in enumerate(self._categories.names))
        if self._split is None:
            paths = f"{_NO_SPLIT}train: images\nval: images\n"
        else:
            paths = "train: images/train\nval: images/val\n"
        self._put("data.yaml", (paths + "names:\n" + "".join(names)).encode("ascii"))

    def _head(self) -> dict[str, Any]:
        prompts = [{"prompt": label.name, "threshold": label.threshold} for label in self._categories.labels]
        return {"header": self._header, "prompts": prompts, "split": self._split}


def split_frames(
    frames: Sequence[tuple[str, str, str]], share: float, seed: int
) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Divide images into training and validation; each gets at least one source.

    Photos are divided by their file, in an order that depends only on the names and the seed. Frames of a video
    resemble their neighbours, so its end is used for validation.

    Args:
        frames: stem, image name and source file of each image; the source is empty for a frame of a video. There must
            be at least two sources, or two frames of a video.
        share: share of the sources for training.
        seed: seed of the order of photos.
    """
    sources = list(dict.fromkeys(source or stem for stem, _, source in frames))
    if any(source for _, _, source in frames):
        names = {source or stem: stem for stem, _, source in reversed(frames)}
        sources.sort(key=lambda source: hashlib.sha256(f"{seed}/{names[source]}".encode()).digest())
    count = min(max(round(len(sources) * share), 1), len(sources) - 1)
    train = set(sources[:count])
    parts: tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]] = ([], [])
    for frame in frames:
        parts[(frame[2] or frame[0]) not in train].append(frame)
    return parts


def _quote(name: str) -> str:
    """Return a text as YAML in ASCII, because some readers open the file with the encoding of their system."""
    return '"' + "".join(_escape(character) for character in name) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return f"\\{character}"
    if 0x20 <= code < 0x7F:
        return character
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
