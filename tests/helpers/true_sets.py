"""Data sets with ground truth in the layouts that ``clipseg_live.evaluation`` reads, drawn from the demo scenes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.demo.scenes import Scene
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from scripts.training.truth import scene_truth
from tests.helpers.known_mattes import mattes_of, write_frames

SIZE = (120, 160)
PROMPTS = ("red circle", "blue star", "cyan square")
"""Prompts of the drawn sets; the last one is in some images only."""


@dataclass(frozen=True)
class Drawn:
    """An image of a demo scene with the true mask of each prompt, empty if the object is absent."""

    name: str
    pixels: np.ndarray
    masks: Mapping[str, np.ndarray]


def drawn_images(count: int = 4, size: tuple[int, int] = SIZE, step: int = 0) -> list[Drawn]:
    """Return images of different scenes, or with ``step`` every ``step``-th frame of one."""
    images = []
    for number in range(count):
        scene = Scene(7 if step else number, size[1], size[0])
        frame = number * step if step else 40 * number
        truth = scene_truth(scene, frame)
        masks = {prompt: truth.mask(prompt) for prompt in PROMPTS}
        images.append(Drawn(f"{number:06}", scene.picture(frame), masks))
    return images


def save(path: Path, values: np.ndarray, palette: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image = image.convert("P")
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    image.save(path)
    return path


def write_folder(folder: Path, images: Sequence[Drawn]) -> Path:
    """Write ``images/NAME.png`` and ``masks/PROMPT/NAME.png``, without empty masks."""
    for image in images:
        save(folder / "images" / f"{image.name}.png", image.pixels)
        for prompt, mask in image.masks.items():
            (folder / "masks" / prompt).mkdir(parents=True, exist_ok=True)
            if mask.any():
                save(folder / "masks" / prompt / f"{image.name}.png", mask.astype(np.uint8))
    return folder


def write_one_shot(folder: Path, images: Sequence[Drawn], *, shared: bool = False) -> Path:
    """Write ``images/CLASS/N.jpg`` with ``masks/CLASS/N.png``, or both in ``CLASS``, for the first two prompts."""
    for number, image in enumerate(images, start=1):
        for prompt in PROMPTS[:2]:
            name = prompt.replace(" ", "_")
            homes = (folder / name, folder / name) if shared else (folder / "images" / name, folder / "masks" / name)
            save(homes[0] / f"{number}.jpg", image.pixels)
            save(homes[1] / f"{number}.png", np.repeat(image.masks[prompt][..., None] * np.uint8(255), 3, axis=2))
    return folder


def write_export(form: str, folder: Path, images: Sequence[Drawn], **annotations: object) -> Path:
    """Write a data set as this program exports it."""
    height, width = images[0].pixels.shape[:2]
    info = SourceInfo("drawn", width, height, Fraction(25), Fraction(1, 25), len(images), None)
    frames = [Frame(image.pixels, index, Fraction(index, 25)) for index, image in enumerate(images)]
    mattes = [mattes_of([image.masks[prompt] * np.uint8(255) for prompt in PROMPTS]) for image in images]
    labels = tuple(Label(prompt, 0.5) for prompt in PROMPTS)
    options = DataOptions({}, labels, annotations=AnnotationSettings(**annotations))
    write_frames(open_data_sink(form, folder, options), info, frames, mattes, labels)
    return folder


def write_voc(folder: Path, images: Sequence[Drawn]) -> tuple[Path, Mapping[str, np.ndarray]]:
    """Write Pascal VOC with PFENet's list; the red circle is a cat (8), the blue star a dog (12), borders are 255.

    Returns the folder, and the masks of values by name.
    """
    values = {}
    lines = []
    for image in images:
        labels = np.zeros(image.pixels.shape[:2], np.uint8)
        labels[image.masks[PROMPTS[0]]] = 8
        labels[image.masks[PROMPTS[1]]] = 12
        labels[cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0] = 255
        values[image.name] = labels
        save(folder / "JPEGImages" / f"{image.name}.jpg", image.pixels)
        save(folder / "SegmentationClass" / f"{image.name}.png", labels, palette=True)
        lines.append(f"JPEGImages/{image.name}.jpg SegmentationClass/{image.name}.png\n")
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    (folder / "ImageSets" / "Segmentation" / "val.txt").write_text("".join(f"{image.name}\n" for image in images))
    (folder / "pfenet.txt").write_text("".join(lines))
    return folder, values


def write_davis(folder: Path, frames: Sequence[Drawn]) -> Path:
    """Write one video, ``red-circle``, in the layout of DAVIS, with its object as value 1."""
    for frame in frames:
        save(folder / "JPEGImages" / "480p" / "red-circle" / f"{frame.name}.jpg", frame.pixels)
        mask = frame.masks["red circle"].astype(np.uint8)
        save(folder / "Annotations" / "480p" / "red-circle" / f"{frame.name}.png", mask, palette=True)
    return folder


def write_phrasecut(folder: Path, images: Sequence[Drawn]) -> tuple[Path, list[tuple[str, list[np.ndarray]]]]:
    """Write PhraseCut with outlines as polygons, and one image whose stated size is wrong.

    Returns the folder, and the phrase and the polygons (corners, 2) of each task of the other images.
    """
    tasks, sizes, phrases = [], [], []
    for number, image in enumerate(images, start=1):
        save(folder / "images" / f"{number}.jpg", image.pixels)
        height, width = image.pixels.shape[:2]
        sizes.append({"image_id": number, "width": width + (number == 1), "height": height, "split": "test"})
        for prompt in PROMPTS[:2]:
            outlines, _ = cv2.findContours(
                image.masks[prompt].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            polygons = [outline[:, 0] + (0.3, 0.2) for outline in outlines if len(outline) > 2]
            tasks.append({
                "task_id": f"{number}__{prompt}", "image_id": number, "phrase": prompt,
                "Polygons": [[polygon.tolist()] for polygon in polygons],
            })  # fmt: skip
            if number > 1:
                phrases.append((prompt, polygons))
    (folder / "refer_test.json").write_text(json.dumps(tasks))
    (folder / "image_data_split.json").write_text(json.dumps(sizes))
    return folder, phrases
