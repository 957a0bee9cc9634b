"""Measure the time from maps to a rendered frame: mattes (motion, time, edges) and effects. Print a table.

    python scripts/bench_compose.py [--rounds 40] [--threads 2 | --busy]

The maps are the true masks of a moving demo scene, on a grid of the model's resolution. "follow" is optical flow and
warping, "mattes" are the edges at full size, "tint+outline" are the effects. If supervision is installed, its
MaskAnnotator and PolygonAnnotator are measured in turn with the effects: on the same hard masks, and from the same
maps, which OpenCV resizes for supervision.

Use --busy on a machine with other load. It uses one thread and measures the processor time of that thread.
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
COMPARISON_SIZE = (1920, 1080)
"""Size of the frames for the comparison with supervision."""
PROMPTS = (1, 4, 16)
SCALES = {"small objects": 1.0, "large objects": 2.2}
GRID = 352
SOFTNESS = 1.0
"""Standard deviation of the blur at a mask's border, in cells of the grid."""
THRESHOLD = 0.5
EFFECTS: tuple[AnyEffect, ...] = (Tint(), Outline())
Clock = Callable[[], float]
MISSING = "supervision is not installed. For the comparison with it: pip install supervision"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="frames for each value (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of OpenCV (%(default)s)")
    parser.add_argument("--busy", action="store_true", help="measure processor time, with one thread")
    options = parser.parse_args(arguments)
    clock = time.thread_time if options.busy else time.perf_counter
    before = cv2.getNumThreads()
    cv2.setNumThreads(1 if options.busy else options.threads)
    try:
        unit = "milliseconds of processor time" if options.busy else "milliseconds"
        print(f"maps of {GRID}x{GRID}, {cv2.getNumThreads()} thread(s), {unit}: median (best) of {options.rounds}")
        print_pipeline(options.rounds, clock)
        print_comparison(options.rounds, clock)
    finally:
        cv2.setNumThreads(before)


def print_pipeline(rounds: int, clock: Clock) -> None:
    stages = "follow", "mattes", "tint+outline", "whole"
    print(f"\n{'':<15}{'size':<11}{'prompts':>7}{'covered':>9}" + "".join(f"{stage:>16}" for stage in stages))
    for name, scale in SCALES.items():
        for size in SIZES:
            for count in PROMPTS:
                frames, maps = example(size, count, scale)
                times = PipelineTimer(frames, maps).measure(rounds, clock)
                share = float((maps >= THRESHOLD).any(axis=0).mean())
                figures = "".join(f"{format_times(times[stage]):>16}" for stage in stages)
                print(f"{name:<15}{size[0]:>4}x{size[1]:<6}{count:>7}{share:>9.0%}{figures}")


class PipelineTimer:
    """Renders frames of a moving scene in order, with a prediction for every eighth frame."""

    def __init__(self, frames: Sequence[Pixels], maps: Maps) -> None:
        numbers = tuple(range(len(maps)))
        self._frames, self._maps = frames, maps
        self._styles = styles(len(maps))
        self._request = MatteRequest(numbers, numbers, self._styles)
        self._pipeline = CausalMattes()
        self._composer = EffectRenderer(RenderSettings(effects=EFFECTS, styles=self._styles))

    def measure(self, rounds: int, clock: Clock) -> dict[str, list[float]]:
        """Return the seconds of each stage, one value a frame."""
        times: dict[str, list[float]] = {name: [] for name in ("follow", "mattes", "tint+outline", "whole")}
        for number in range(rounds + 2):
            frame = Frame(self._frames[number % len(self._frames)], number, Fraction(number, 30))
            if number % 8 == 0:
                self._pipeline.take(self._maps, self._request.keys, number)
            marks = [clock()]
            self._pipeline.show(frame, self._request.settings)
            marks.append(clock())
            mattes = self._pipeline.mattes(frame, self._request)
            marks.append(clock())
            self._composer.compose(frame.pixels, mattes, frame.time)
            marks.append(clock())
            if number >= 2:  # the first rounds fill caches
                for name, begin, end in zip(times, marks, marks[1:], strict=False):
                    times[name].append(end - begin)
                times["whole"].append(marks[-1] - marks[0])
        return times


def print_comparison(rounds: int, clock: Clock) -> None:
    try:
        import supervision
    except ImportError:
        print(f"\n{MISSING}")
        return
    size, count = COMPARISON_SIZE, 4
    print(f"\ncompared with supervision {supervision.__version__}, {size[0]}x{size[1]}, {count} prompts, in turn")
    for name, scale in SCALES.items():
        frames, maps = example(size, count, scale)
        times = measure(
            {**pipeline_tasks(frames[0], maps), **supervision_tasks(frames[0], maps, supervision)}, rounds, clock
        )
        print(f"\n{name:<40}{'':>14}{'times ours: median (best)':>28}")
        for task, seconds in times.items():
            own = times["ours" + task[task.index(",") :]]
            ratio = f"{statistics.median(seconds) / statistics.median(own):.1f} ({min(seconds) / min(own):.1f})"
            print(f"  {task:<38}{format_times(seconds):>14}{ratio:>28}")


def pipeline_tasks(frame: Pixels, maps: Maps) -> dict[str, Callable[[], object]]:
    """Return this package's effects on hard masks, from prepared masks and from maps."""
    composer, ready = (
        EffectRenderer(RenderSettings(effects=EFFECTS, styles=styles(len(maps)))),
        hard_masks(frame, maps),
    )
    return {
        "ours, prepared masks": lambda: composer.compose(frame, ready),
        "ours, from the maps": lambda: composer.compose(frame, hard_masks(frame, maps)),
    }


def hard_masks(frame: Pixels, maps: Maps) -> Mattes:
    height, width = frame.shape[:2]
    return Mattes(height, width, tuple(binary_mattes(maps, styles(len(maps)), height, width)), maps)


@lru_cache(maxsize=4)
def styles(count: int) -> tuple[PromptStyle, ...]:
    return prompt_styles(count, thresholds=[THRESHOLD])


def supervision_tasks(frame: Pixels, maps: Maps, supervision: Any) -> dict[str, Callable[[], object]]:
    """Return supervision's annotators, from prepared boolean masks and boxes, and from maps."""
    fill, line = supervision.MaskAnnotator(), supervision.PolygonAnnotator()
    height, width = frame.shape[:2]

    def detections_of(masks: NDArray[np.bool_]) -> Any:
        boxes = supervision.mask_to_xyxy(masks).astype(np.float64)
        return supervision.Detections(xyxy=boxes, mask=masks, class_id=np.arange(len(masks)))

    def annotated(detections: Any) -> object:
        return line.annotate(fill.annotate(frame.copy(), detections), detections)

    def resized(each: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    ready = detections_of(np.stack([resize_map(each, height, width) >= np.float32(THRESHOLD) for each in maps]))
    return {
        "supervision, prepared masks": lambda: annotated(ready),
        "supervision, from the maps": lambda: annotated(
            detections_of(np.stack([resized(each) >= THRESHOLD for each in maps]))
        ),
    }


def example(size: tuple[int, int], count: int, scale: float) -> tuple[list[Pixels], Maps]:
    """Return eight frames of the demo scene, and the maps of its ``count`` topmost objects.

    The maps are float32 (count, GRID, GRID).
    """
    scene = Scene(0, *size, settings=SceneSettings(objects=max(PROMPTS), scale=scale))
    objects = scene_truth(scene, 0).objects[-count:]  # the topmost are not covered
    small = [cv2.resize(each.matte, (GRID, GRID), interpolation=cv2.INTER_AREA) for each in objects]
    maps = np.stack([cv2.GaussianBlur(each, (0, 0), SOFTNESS) for each in small]).astype(np.float32)
    forth = [scene.picture(number) for number in range(5)]
    return [*forth, *forth[3:0:-1]], maps  # forth and back, so the sequence can be repeated


def measure(tasks: Mapping[str, Callable[[], object]], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Return the seconds of each task. All tasks run in turn in each round, so they share the same load."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 2):
        for name, task in tasks.items():
            start = clock()
            task()
            if number >= 2:  # the first rounds fill caches
                times[name].append(clock() - start)
    return times


def format_times(seconds: Sequence[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f} ({1000 * min(seconds):.1f})"


if __name__ == "__main__":
    main()
