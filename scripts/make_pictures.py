"""Make the pictures of the README and the docs, with the program itself: the demo scene and the shipped model.

    python scripts/make_pictures.py [FOLDER]        # docs/pictures by default
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.frame import Pixels
from clipseg_live.core.settings import EFFECTS, Look, prompt_styles
from clipseg_live.demo.scenes import Scene
from clipseg_live.video.compose import OverlayComposer

PHRASES = ("red circle", "blue star", "yellow heart")
COLOURS = ((0, 216, 255), (255, 122, 0), (160, 60, 255))
"""None is its object's own, so that the masks are seen."""
MOMENT = 0
"""The frame of ``demo:`` that is shown."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    scene = Scene(0, 1280, 720)
    picture = scene.picture(MOMENT)
    found = Segmenter.load("shapes").segment(picture, [Prompt.text(phrase) for phrase in PHRASES])
    save(picture, folder / "scene.png")
    drawn = {}
    for effect in EFFECTS:
        styles = prompt_styles(len(PHRASES), colours=COLOURS, opacity=0.65)
        composer = OverlayComposer(Look(effect=effect, styles=styles))
        drawn[effect] = composer.compose(picture, found.probabilities)
    save(drawn["outline"], folder / "demo.png")
    pairs = [np.hstack([drawn[left], drawn[right]]) for left, right in (("tint", "outline"), ("heatmap", "cutout"))]
    save(np.vstack(pairs)[::2, ::2], folder / "effects.png")
    rows, columns = np.nonzero(scene.truth(MOMENT).mask(PHRASES[0]))
    box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    print(f"{PHRASES[0]} in scene.png: box={tuple(map(int, box))}")


def save(picture: Pixels, path: Path) -> None:
    Image.fromarray(np.ascontiguousarray(picture)).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
