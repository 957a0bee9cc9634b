"""Measure what it costs to make a picture out of maps: mattes (motion, time, edges) and effects; print a table.

    python scripts/bench_compose.py [--rounds 40] [--threads 2 | --busy]

The maps are the true masks of the demo scene on a grid like the model's answers, and the scene moves. "follow" is
optical flow and what is carried along, "mattes" their edges at full size, "tint+outline" the effects. Where supervision
is installed, its MaskAnnotator and PolygonAnnotator draw hard masks of the same maps, in turn with our effects: on the
very same masks, ready-made, and from the maps, which OpenCV resizes for it.

On a machine that does other things meanwhile, --busy keeps to one thread and counts the time that the processor gives
it.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import PromptStyle, prompt_styles
from clipseg_live.core.settings.effects import AnyEffect, Outline, Tint
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.demo.scenes import Scene, SceneSettings
from clipseg_live.imaging.resize import resize_map
from clipseg_live.matting.alpha import binary_mattes
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.rendering.renderer import EffectRenderer
from scripts.training.truth import scene_truth

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))
BESIDE = (1920, 1080)
"""Size of the pictures that other libraries draw on, too."""
PROMPTS = (1, 4, 16)
SCALES = {"small objects": 1.0, "large objects": 2.2}
GRID = 352
SOFTNESS = 1.0
"""Deviation, in cells of the grid, of the transition at a mask's border."""
THRESHOLD = 0.5
EFFECTS: tuple[AnyEffect, ...] = (Tint(), Outline())
Clock = Callable[[], float]
MISSING = "supervision is not installed, so nothing is compared with it: 'pip install supervision' changes that."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="pictures for each figure (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of OpenCV (%(default)s)")
    parser.add_argument("--busy", action="store_true", help="count the processor's time, with one thread")
    given = parser.parse_args(arguments)
    clock = time.thread_time if given.busy else time.perf_counter
    before = cv2.getNumThreads()
    cv2.setNumThreads(1 if given.busy else given.threads)
    try:
        what = "milliseconds of the processor" if given.busy else "milliseconds"
        print(f"maps of {GRID}x{GRID}, {cv2.getNumThreads()} thread(s), {what}: median (best) of {given.rounds}")
        print_ours(given.rounds, clock)
        print_beside_supervision(given.rounds, clock)
    finally:
        cv2.setNumThreads(before)


def print_ours(rounds: int, clock: Clock) -> None:
    stages = "follow", "mattes", "tint+outline", "whole"
    print(f"\n{'':<15}{'size':<11}{'prompts':>7}{'covered':>9}" + "".join(f"{stage:>16}" for stage in stages))
    for name, scale in SCALES.items():
        for size in SIZES:
            for count in PROMPTS:
                pictures, maps = example(size, count, scale)
                times = Whole(pictures, maps).measured(rounds, clock)
                share = float((maps >= THRESHOLD).any(axis=0).mean())
                figures = "".join(f"{told(times[stage]):>16}" for stage in stages)
                print(f"{name:<15}{size[0]:>4}x{size[1]:<6}{count:>7}{share:>9.0%}{figures}")


class Whole:
    """Frames of a moving scene, one after the other, with an answer for every eighth."""

    def __init__(self, pictures: Sequence[Pixels], maps: Maps) -> None:
        numbers = tuple(range(len(maps)))
        self._pictures, self._maps = pictures, maps
        self._styles = styles(len(maps))
        self._request = MatteRequest(numbers, numbers, self._styles)
        self._pipeline = CausalMattes()
        self._composer = EffectRenderer(RenderSettings(effects=EFFECTS, styles=self._styles))

    def measured(self, rounds: int, clock: Clock) -> dict[str, list[float]]:
        """Seconds of each stage."""
        times: dict[str, list[float]] = {name: [] for name in ("follow", "mattes", "tint+outline", "whole")}
        for number in range(rounds + 2):
            frame = Frame(self._pictures[number % len(self._pictures)], number, Fraction(number, 30))
            if number % 8 == 0:
                self._pipeline.take(self._maps, self._request.keys, number)
            marks = [clock()]
            self._pipeline.show(frame, self._request.settings)
            marks.append(clock())
            mattes = self._pipeline.mattes(frame, self._request)
            marks.append(clock())
            self._composer.compose(frame.pixels, mattes, frame.time)
            marks.append(clock())
            if number >= 2:  # the first ones fill caches
                for name, begin, end in zip(times, marks, marks[1:], strict=False):
                    times[name].append(end - begin)
                times["whole"].append(marks[-1] - marks[0])
        return times


def print_beside_supervision(rounds: int, clock: Clock) -> None:
    try:
        import supervision
    except ImportError:
        print(f"\n{MISSING}")
        return
    size, count = BESIDE, 4
    print(f"\nbeside supervision {supervision.__version__}, {size[0]}x{size[1]}, {count} prompts, in turn in one run")
    for name, scale in SCALES.items():
        pictures, maps = example(size, count, scale)
        times = measure({**ours(pictures[0], maps), **theirs(pictures[0], maps, supervision)}, rounds, clock)
        print(f"\n{name:<40}{'':>14}{'times ours: median (best)':>28}")
        for what, seconds in times.items():
            mine = times["ours" + what[what.index(",") :]]
            more = f"{statistics.median(seconds) / statistics.median(mine):.1f} ({min(seconds) / min(mine):.1f})"
            print(f"  {what:<38}{told(seconds):>14}{more:>28}")


def ours(picture: Pixels, maps: Maps) -> dict[str, Callable[[], object]]:
    """Our effects on hard masks, ready-made and from the maps."""
    composer, ready = (
        EffectRenderer(RenderSettings(effects=EFFECTS, styles=styles(len(maps)))),
        hard_masks(picture, maps),
    )
    return {
        "ours, masks ready-made": lambda: composer.compose(picture, ready),
        "ours, from the maps": lambda: composer.compose(picture, hard_masks(picture, maps)),
    }


def hard_masks(picture: Pixels, maps: Maps) -> Mattes:
    height, width = picture.shape[:2]
    return Mattes(height, width, tuple(binary_mattes(maps, styles(len(maps)), height, width)), maps)


@lru_cache(maxsize=4)
def styles(count: int) -> tuple[PromptStyle, ...]:
    return prompt_styles(count, thresholds=[THRESHOLD])


def theirs(picture: Pixels, maps: Maps, supervision: Any) -> dict[str, Callable[[], object]]:
    """supervision's annotators, with boolean masks and boxes ready-made, and from the maps that ours start from."""
    fill, line = supervision.MaskAnnotator(), supervision.PolygonAnnotator()
    height, width = picture.shape[:2]

    def detected(masks: NDArray[np.bool_]) -> Any:
        boxes = supervision.mask_to_xyxy(masks).astype(np.float64)
        return supervision.Detections(xyxy=boxes, mask=masks, class_id=np.arange(len(masks)))

    def drawn(detections: Any) -> object:
        return line.annotate(fill.annotate(picture.copy(), detections), detections)

    def resized(each: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    ready = detected(np.stack([resize_map(each, height, width) >= np.float32(THRESHOLD) for each in maps]))
    return {
        "supervision, masks ready-made": lambda: drawn(ready),
        "supervision, from the maps": lambda: drawn(detected(np.stack([resized(each) >= THRESHOLD for each in maps]))),
    }


def example(size: tuple[int, int], count: int, scale: float) -> tuple[list[Pixels], Maps]:
    """Eight frames of the demo scene, and the maps of ``count`` of its objects: float32 (count, GRID, GRID)."""
    scene = Scene(0, *size, settings=SceneSettings(objects=max(PROMPTS), scale=scale))
    objects = scene_truth(scene, 0).objects[-count:]  # the topmost, which are seen whole
    small = [cv2.resize(each.matte, (GRID, GRID), interpolation=cv2.INTER_AREA) for each in objects]
    maps = np.stack([cv2.GaussianBlur(each, (0, 0), SOFTNESS) for each in small]).astype(np.float32)
    there = [scene.picture(number) for number in range(5)]
    return [*there, *there[3:0:-1]], maps  # and back again, so that it goes on for ever


def measure(tasks: Mapping[str, Callable[[], object]], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of each task, one after the other in every round, so that all meet the same load."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 2):
        for name, task in tasks.items():
            start = clock()
            task()
            if number >= 2:  # the first ones fill caches
                times[name].append(clock() - start)
    return times


def told(seconds: Sequence[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f} ({1000 * min(seconds):.1f})"


if __name__ == "__main__":
    main()
