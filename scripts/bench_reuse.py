"""Measure the reuse of tokens between frames: quality on clips with known truth, and speed (decision 0014).

Run it with ``--speed FOLDER`` for the speed of a model, such as one with random weights; without, for the quality of
the model ``shapes``.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.frame import Pixels
from clipseg_live.model import frame_reuse
from scripts import quality_clips as clips

RATE = 10
"""Answers a second, of clips with 30 frames a second."""
DRAWN = ("slow", "fast", "shake", "noise", "still", "cuts", "occlusion", "small")
PHOTO_PHRASES = ("red", "blue", "brown", "yellow", "circle")
LEAST_AREA = 0.01
"""Share of the map that the exact mask of a photograph must cover to count."""
CHANGED = (0, 31, 95, 127, 223)
"""Numbers of changed patches whose times are measured; with the class token, multiples of 32."""
SIDE = 352
"""Side of the images whose times are measured, in pixels."""


Pair = tuple[Segmenter, Segmenter]
"""The same model without and with reuse."""


@dataclass(frozen=True)
class Row:
    """Means over the answers of a clip after the first one."""

    clip: str
    answers: int
    share: float
    truth: tuple[float, float] | None
    agreement: float
    lowest: float


def measure(pair: Pair, name: str, shots: Iterator[clips.Shot], phrases: Sequence[str], *, drawn: bool) -> Row | None:
    """Segment a clip with and without reuse, in the time of the clip. Return None if it has no masks to compare."""
    prompts = [Prompt.text(phrase) for phrase in phrases]
    exact, one = pair
    one.forget()
    found: list[tuple[float, float, float, float]] = []
    for number, shot in enumerate(shots):
        if number % (clips.RATE // RATE):
            continue
        frame_reuse.monotonic = lambda now=number / clips.RATE: now  # type: ignore[misc, assignment]
        expected, answer = exact.segment(shot.pixels, prompts), one.segment(shot.pixels, prompts)
        pairs = list(zip(answer.probabilities >= 0.5, expected.probabilities >= 0.5, strict=True))
        truth = [np.nan, np.nan]
        if drawn:
            size = expected.probabilities.shape[:0:-1]
            areas = [cv2.resize(matte, size, interpolation=cv2.INTER_AREA) >= 0.5 for matte in shot.mattes]
            truth = [
                float(np.mean([iou(pair[which], area) for pair, area in zip(pairs, areas, strict=True)]))
                for which in (1, 0)
            ]
        else:
            pairs = [pair for pair in pairs if pair[1].mean() >= LEAST_AREA]
        if number and pairs:
            agreement = float(np.mean([iou(*pair) for pair in pairs]))
            found.append((answer.recomputed or 0.0, *truth, agreement))
    if not found:
        return None
    share, before, after, agreement = np.mean(found, axis=0)
    return Row(name, len(found), share, (before, after) if drawn else None, agreement, min(row[3] for row in found))


def iou(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks; 1 for two empty ones."""
    union = int((mask | other).sum())
    return int((mask & other).sum()) / union if union else 1.0


def quality(names: Sequence[str], frames: int, seeds: Sequence[int]) -> Iterator[Row]:
    """Measure clips: scenes and photographs."""
    pair = load("shapes")
    for name in [name for name in names if name in clips.DRAWN]:
        rows = [measure(pair, name, clips.drawn(name, seed, frames), clips.PHRASES, drawn=True) for seed in seeds]
        yield _mean([row for row in rows if row is not None])
    for name in [name for name in names if name in clips.PHOTOGRAPHS]:
        row = measure(pair, f"pan over {name}", clips.panned(name, frames), PHOTO_PHRASES, drawn=False)
        if row is not None:
            yield row


def load(model: str) -> Pair:
    """Load a model twice, without and with reuse."""
    plain, one = (Segmenter.load(model, device="cpu", engine="openvino", reuse=reuse) for reuse in (False, True))
    return plain, one


def _mean(rows: Sequence[Row]) -> Row:
    truths = np.mean([row.truth for row in rows if row.truth is not None], axis=0)
    means = np.mean([(row.share, row.agreement) for row in rows], axis=0)
    return Row(
        rows[0].clip, sum(row.answers for row in rows), means[0], (truths[0], truths[1]), means[1],
        min(row.lowest for row in rows),
    )  # fmt: skip


def print_row(row: Row) -> None:
    """Print a line of the table."""
    truth = "– | – | –"
    if row.truth is not None:
        before, after = row.truth
        truth = f"{before:.4f} | {after:.4f} | {100 * (after - before):+.2f}"
    print(
        f"| {row.clip} | {row.answers} | {row.share:.2f} | {truth} | {row.agreement:.4f} | {row.lowest:.3f} |",
        flush=True,
    )


def speed(folder: str, rounds: int) -> None:
    """Print times of the vision encoder for numbers of changed patches, all cases in turn."""
    plain, one = load(folder)
    rng = np.random.default_rng(0)
    image: Pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    cache: Any = one.backend.token_cache()

    def run_in_part(count: int) -> None:
        nonlocal image
        image = image.copy()
        side, patch = SIDE // one.backend.patch, one.backend.patch
        for place in rng.permutation(side * side)[:count]:
            row, column = divmod(int(place), side)
            image[row * patch :, column * patch :][:patch, :patch] ^= 16  # weak, so that no neighbours count
        one.backend.features(image, one.preprocessing, cache)

    def run_whole() -> None:
        cache.clear()
        one.backend.features(image, one.preprocessing, cache)

    cases: dict[str, Callable[[], object]] = {
        "one network": lambda: plain.backend.features(image, plain.preprocessing),
        "layers, all": run_whole,
        **{f"{count} changed": lambda count=count: run_in_part(count) for count in CHANGED},  # type: ignore[misc]
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    shares: dict[str, float] = {}
    for number in range(rounds + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            if number:  # the first round allocates
                times[name].append(time.perf_counter() - start)
            shares[name] = 1.0 if name == "one network" else cache.share
    whole = statistics.median(times["one network"])
    print("| tokens | share | ms, median | ratio |\n|---|--:|--:|--:|")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {shares[name]:.2f} | {1000 * median:.0f} | {median / whole:.3f} |")


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", metavar="FOLDER", help="measure the speed of this model")
    parser.add_argument("--rounds", type=int, default=9)
    names = [*DRAWN, *clips.PHOTOGRAPHS]
    parser.add_argument("--clips", nargs="+", choices=names, default=names, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=90, help="frames of a clip, at 30 a second")
    parser.add_argument("--seeds", type=int, nargs="+", default=[*clips.REPORTED_SEEDS])
    options = parser.parse_args()
    if options.speed:
        speed(options.speed, options.rounds)
        return
    print("| clip | answers | tokens | IoU, exact | IoU, reuse | points | agreement | lowest |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for row in quality(options.clips, options.frames, options.seeds):
        print_row(row)


if __name__ == "__main__":
    main()
