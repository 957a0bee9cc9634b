"""Measure a shapes model on drawn scenes that are not in its training data, and print a table of categories.

    python scripts/training/evaluate_shapes.py                     # the built-in model, 500 images
    python scripts/training/evaluate_shapes.py FOLDER --json FILE  # another model, and the values also as JSON

The engine is used as in the application: images of several sizes, masks at the image's size, threshold 0.5. The value
of a present prompt is the mean intersection over union. The value of an absent prompt is the mean share of the image
that is wrongly masked. There are three kinds of scenes: "drawn" (the generator of the training, with other seeds),
"demo" (frames of the animated scene), and "pillow" (independent of both: shapes of Pillow in CSS colours on plain,
graded or striped backgrounds).
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a checkout needs no installation

from clipseg_live.core.prompts import Prompt
from clipseg_live.demo.scenes import SCENE_PRESETS, Scene
from clipseg_live.model.segmenter import Segmenter
from scripts.training.drawn_images import DrawnImage, DrawnObject, draw_image
from scripts.training.phrases import words
from scripts.training.shapes_data import Question, ask, ask_by_image
from scripts.training.truth import scene_truth

SIZES = ((360, 640), (480, 480), (480, 640), (640, 360), (224, 224))
CSS = {
    "red": ("red", "crimson", "firebrick"), "orange": ("orange", "darkorange"), "yellow": ("yellow", "gold"),
    "green": ("green", "limegreen", "forestgreen", "lime"), "cyan": ("cyan", "darkturquoise"),
    "blue": ("blue", "royalblue", "mediumblue", "dodgerblue"), "purple": ("purple", "blueviolet", "darkorchid"),
    "pink": ("pink", "hotpink", "lightpink"), "brown": ("saddlebrown", "sienna"), "white": ("white",),
    "grey": ("gray", "dimgray"), "black": ("black",),
}  # fmt: skip


def drawn(rng: np.random.Generator, number: int) -> DrawnImage:
    height, width = SIZES[number % len(SIZES)]
    return draw_image(rng, height, width, smallest=0.002)


def demo(rng: np.random.Generator, number: int) -> DrawnImage:
    names = list(SCENE_PRESETS)
    height, width = SIZES[number % len(SIZES)]
    scene = Scene(int(rng.integers(10**6)), width, height, settings=SCENE_PRESETS[names[number % len(names)]])
    frame = int(rng.integers(5000))
    truth = scene_truth(scene, frame)
    owner, objects = np.zeros((height, width), dtype=np.uint8), []
    for one in truth.objects:
        if one.mask.mean() >= 0.002:
            objects.append(DrawnObject(one.colour, one.shape, float(one.mask.mean()), (0.0, 0.0, 0.0)))
            owner[one.mask] = len(objects)
    return DrawnImage(scene.picture(frame), owner, tuple(objects))


def pillow(rng: np.random.Generator, number: int) -> DrawnImage:
    """Draw up to seven shapes at four times the size, and downsample the image; labels are drawn in the same way."""
    height, width = SIZES[number % len(SIZES)]
    image, owner = _pillow_background(rng, height * 4, width * 4), Image.new("L", (width * 4, height * 4))
    paint, label = ImageDraw.Draw(image), ImageDraw.Draw(owner)
    behind = np.asarray(image.resize((16, 16))).reshape(-1, 3).astype(float)
    appearances: list[tuple[str, str]] = []
    spots: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(1, 8))):
        colour = str(rng.choice(list(CSS)))
        name = str(rng.choice(CSS[colour]))
        tint = np.array(Image.new("RGB", (1, 1), name).getpixel((0, 0)), dtype=float)
        radius = math.sqrt(math.exp(rng.uniform(math.log(0.004), math.log(0.12))) * height * width * 16 / 2.2)
        x, y = rng.uniform(radius, width * 4 - radius), rng.uniform(radius, height * 4 - radius)
        crowded = any(math.hypot(x - a, y - b) < 1.05 * (radius + r) for a, b, r in spots)
        if crowded or np.abs(behind - tint).max(axis=1).min() < 70:
            continue
        shape = str(rng.choice(("circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond")))
        appearances.append((colour, shape))
        spots.append((x, y, radius))
        turn = rng.uniform(0, 2 * math.pi)
        for canvas, ink in ((paint, name), (label, len(appearances))):
            _pillow_shape(canvas, shape, x, y, radius, ink, turn)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BOX))
    marks = np.asarray(owner.resize((width, height), Image.Resampling.NEAREST))
    shares = [float((marks == k + 1).mean()) for k in range(len(appearances))]
    objects = tuple(
        DrawnObject(c, s, share, (0.0, 0.0, 0.0)) for (c, s), share in zip(appearances, shares, strict=True)
    )
    return DrawnImage(pixels.copy(), marks.copy(), objects)


def _pillow_background(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    first, second = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2))
    image = Image.new("RGB", (width, height), first)
    kind = rng.random()
    if kind < 0.3:
        image = Image.blend(image, Image.merge("RGB", [Image.linear_gradient("L").resize((width, height))] * 3), 0.3)
    elif kind < 0.5:
        paint, step = ImageDraw.Draw(image), int(width * rng.uniform(0.02, 0.06))
        mixed = tuple((3 * a + b) // 4 for a, b in zip(first, second, strict=True))
        for left in range(0, width, 2 * step):
            paint.rectangle((left, 0, left + step, height), fill=mixed)
    return image


def _pillow_shape(
    canvas: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: float, ink: str | int, turn: float
) -> None:
    def around(sides: int, start: float, radii: tuple[float, ...]) -> list[tuple[float, float]]:
        return [
            (x + radii[i % len(radii)] * r * math.cos(a), y + radii[i % len(radii)] * r * math.sin(a))
            for i in range(sides)
            for a in [start + 2 * math.pi * i / sides]
        ]

    if shape == "circle":
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    elif shape == "ring":
        canvas.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=int(r * 0.38))
    elif shape == "square":
        canvas.rectangle((x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r), fill=ink)
    elif shape == "triangle":
        canvas.polygon(around(3, turn, (1.0,)), fill=ink)
    elif shape == "diamond":
        canvas.polygon(around(4, math.pi / 2, (1.0, 0.68)), fill=ink)
    elif shape == "star":
        canvas.polygon(around(10, turn, (1.0, 0.42)), fill=ink)
    elif shape == "cross":
        canvas.rectangle((x - 0.28 * r, y - r, x + 0.28 * r, y + r), fill=ink)
        canvas.rectangle((x - r, y - 0.28 * r, x + r, y + 0.28 * r), fill=ink)
    else:
        canvas.ellipse((x - 0.95 * r, y - 0.8 * r, x + 0.05 * r, y + 0.2 * r), fill=ink)
        canvas.ellipse((x - 0.05 * r, y - 0.8 * r, x + 0.95 * r, y + 0.2 * r), fill=ink)
        canvas.polygon([(x - 0.88 * r, y), (x, y - 0.3 * r), (x + 0.88 * r, y), (x, y + r)], fill=ink)


KINDS: dict[str, Callable[[np.random.Generator, int], DrawnImage]] = {"drawn": drawn, "demo": demo, "pillow": pillow}
PLAIN = (
    "colour", "shape", "colour+shape", "size", "everything", "background",
    "absent colour", "absent shape", "absent colour+shape", "absent size", "unrelated",
)  # fmt: skip
REWORDED = {"synonyms": {"synonyms": 1.0}, "plurals": {"plural": True}, "new wording": {"held_out": True}}


def questions(image: DrawnImage, rng: np.random.Generator) -> list[tuple[str, Question, Prompt]]:
    """Return one question of every category that the image allows, each with its prompt."""
    selected: list[tuple[str, Question, Prompt]] = []
    for category in PLAIN:
        question = ask(image, category, rng, synonyms=0.0)
        if question is not None:
            selected.append((category, question, Prompt.text(question.phrase)))
            if category == "unrelated":
                phrase = words(question.meaning, rng, held_out=True)
                selected.append(("unrelated, new words", question, Prompt.text(phrase)))
    for category, options in REWORDED.items():
        question = ask(image, str(rng.choice(("colour", "shape", "colour+shape"))), rng)
        if question is not None:
            phrase = words(question.meaning, rng, **{"synonyms": 0.0, **options})  # type: ignore[arg-type]
            selected.append((category, question, Prompt.text(phrase)))
    question = ask_by_image(image, rng, 224)
    if question is not None:
        assert question.image is not None
        image_prompt = Prompt.image(question.image)
        selected.append((question.category, question, image_prompt))
        if question.category == "image":
            mixed = Prompt.mix((image_prompt, 0.5), (Prompt.text(question.phrase), 0.5))
            selected.append(("image with text", question, mixed))
    return selected


def measure(segmenter: Segmenter, kind: str, count: int, seed: int) -> dict[str, list[float]]:
    """Return the scores of the questions by category.

    A score is the intersection over union of a present object, or the masked share for an absent one.
    """
    rng = np.random.default_rng([seed, len(kind)])
    scores: dict[str, list[float]] = defaultdict(list)
    for number in range(count):
        image = KINDS[kind](rng, number)
        if not image.objects:
            continue
        selected = questions(image, rng)
        height, width = image.owner.shape
        maps = segmenter.segment(image.pixels, [prompt for _, _, prompt in selected]).at(height, width)
        for (category, question, _), probabilities in zip(selected, maps, strict=True):
            mask, truth = probabilities > 0.5, np.array(question.expected)[image.owner]
            if truth.any():
                scores[category].append(float((mask & truth).sum() / (mask | truth).sum()))
                if category == "shape":
                    scores[f"  shape: {question.meaning.shape}"].append(scores[category][-1])
                elif category == "colour":
                    scores[f"  colour: {question.meaning.colour}"].append(scores[category][-1])
            else:
                scores[category].append(float(mask.mean()))
    return scores


def is_absent(category: str) -> bool:
    return category.startswith(("absent", "unrelated"))


def report(kind: str, scores: dict[str, list[float]]) -> dict[str, float]:
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    text = {n: m for n, m in means.items() if not n.startswith((" ", "image")) and not is_absent(n)}
    worst = min(text, key=text.__getitem__)
    absent = [m for n, m in means.items() if is_absent(n)]
    print(f"\nScenes: {kind}")
    for name in sorted(means, key=lambda n: (n.startswith(" "), is_absent(n), n.startswith("image"), n)):
        unit = "of the image masked" if is_absent(name) else "IoU"
        value = f"{100 * means[name]:6.2f} %" if is_absent(name) else f"{means[name]:8.3f}"
        print(f"  {name:24} {value} {unit}   ({len(scores[name])} prompts)")
    print(f"  text prompts, mean of categories: {np.mean(list(text.values())):.3f}; worst: {worst} {text[worst]:.3f}")
    print(f"  absent prompts, mean of categories: {100 * np.mean(absent):.2f} % masked")
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="shapes", help="a model's name or folder (%(default)s)")
    parser.add_argument("--count", type=int, default=500, help="images of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", type=Path, help="write the means to this file")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model)
    means = {kind: report(kind, measure(segmenter, kind, options.count, options.seed)) for kind in options.kinds}
    if options.json:
        options.json.write_text(json.dumps(means, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
