"""Measure how fast pictures are composed with tint and outline, and print a table.

    python scripts/bench_compose.py [--rounds 40] [--threads 2]

The masks are the true ones of the demo scene, on a grid like the model's answers. "new answer" is a picture whose maps
were never seen before; "again" is one more picture with the same maps, as most are when the model is slower than the
camera. Where supervision is installed, its MaskAnnotator and PolygonAnnotator draw the very same masks, in turn with
ours.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.ports import Maps
from clipseg_live.core.settings import Look, prompt_styles
from clipseg_live.demo.scenes import Scene, SceneSettings
from clipseg_live.video.compose import OverlayComposer
from clipseg_live.video.resize import resize_map

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))
PROMPTS = (1, 4, 16)
SCALES = {"small objects": 1.0, "large objects": 2.2}
GRID = 352
SOFTNESS = 1.0
"""Deviation, in cells of the grid, of the transition at a mask's border."""
THRESHOLD = 0.5
MISSING = "supervision is not installed, so nothing is compared with it: 'pip install supervision' changes that."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="pictures for each figure (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of OpenCV (%(default)s)")
    given = parser.parse_args(arguments)
    before = cv2.getNumThreads()
    cv2.setNumThreads(given.threads)
    try:
        print(f"tint+outline, maps of {GRID}x{GRID}, milliseconds: median (best) of {given.rounds}")
        print_ours(given.rounds)
        print_beside_supervision(given.rounds)
    finally:
        cv2.setNumThreads(before)


def print_ours(rounds: int) -> None:
    print(f"\n{'':<15}{'size':<11}{'prompts':>7}{'covered':>9}{'new answer':>16}{'again':>16}")
    for name, scale in SCALES.items():
        for size in SIZES:
            for count in PROMPTS:
                picture, maps = example(size, count, scale)
                times = measure(ours(picture, maps), rounds)
                share = float((maps >= THRESHOLD).any(axis=0).mean())
                print(
                    f"{name:<15}{size[0]:>4}x{size[1]:<6}{count:>7}{share:>9.0%}"
                    f"{told(times['new answer']):>16}{told(times['again']):>16}"
                )


def print_beside_supervision(rounds: int) -> None:
    try:
        import supervision
    except ImportError:
        print(f"\n{MISSING}")
        return
    size, count = (1920, 1080), 4
    print(f"\nbeside supervision {supervision.__version__}, {size[0]}x{size[1]}, {count} prompts, in turn in one run")
    for name, scale in SCALES.items():
        picture, maps = example(size, count, scale)
        times = measure({**ours(picture, maps), **theirs(picture, maps, supervision)}, rounds)
        print(f"\n{name:<40}{'':>14}{'/ new answer':>14}{'/ again':>10}")
        new, again = (statistics.median(times[mine]) for mine in ("new answer", "again"))
        for what, seconds in times.items():
            median = statistics.median(seconds)
            print(f"  {what:<38}{told(seconds):>14}{median / new:>14.1f}{median / again:>10.1f}")


def ours(picture: Pixels, maps: Maps) -> dict[str, Callable[[], object]]:
    look = Look(effect="tint+outline", styles=prompt_styles(len(maps), thresholds=[THRESHOLD]))
    fresh, again = OverlayComposer(look), OverlayComposer(look)
    answer = maps.copy()
    answer.setflags(write=False)
    # Maps that could still be written to are never taken for those of the picture before.
    return {
        "new answer": lambda: fresh.compose(picture, maps),
        "again": lambda: again.compose(picture, answer),
    }


def theirs(picture: Pixels, maps: Maps, supervision: Any) -> dict[str, Callable[[], object]]:
    """supervision's annotators, with boolean masks and boxes ready-made, and from the maps that ours start from."""
    fill, line = supervision.MaskAnnotator(), supervision.PolygonAnnotator()
    height, width = picture.shape[:2]

    def detected() -> Any:
        masks: NDArray[np.bool_] = np.stack([resize_map(each, height, width) >= np.float32(THRESHOLD) for each in maps])
        boxes = supervision.mask_to_xyxy(masks).astype(np.float64)
        return supervision.Detections(xyxy=boxes, mask=masks, class_id=np.arange(len(masks)))

    def drawn(detections: Any) -> object:
        return line.annotate(fill.annotate(picture.copy(), detections), detections)

    ready = detected()
    return {
        "supervision, masks ready-made": lambda: drawn(ready),
        "supervision, from the maps": lambda: drawn(detected()),
    }


def example(size: tuple[int, int], count: int, scale: float) -> tuple[Pixels, Maps]:
    """A frame of the demo scene, and the maps of ``count`` of its objects: float32 (count, GRID, GRID)."""
    scene = Scene(0, *size, settings=SceneSettings(objects=max(PROMPTS), scale=scale))
    objects = scene.truth(0).objects[-count:]  # the topmost, which are seen whole
    small = [cv2.resize(each.matte, (GRID, GRID), interpolation=cv2.INTER_AREA) for each in objects]
    maps = np.stack([cv2.GaussianBlur(each, (0, 0), SOFTNESS) for each in small]).astype(np.float32)
    return scene.picture(0), maps


def measure(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task, one after the other in every round, so that all meet the same load."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 2):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if number >= 2:  # the first ones fill caches
                times[name].append(time.perf_counter() - start)
    return times


def told(seconds: Sequence[float]) -> str:
    return f"{1000 * statistics.median(seconds):.1f} ({1000 * min(seconds):.1f})"


if __name__ == "__main__":
    main()
