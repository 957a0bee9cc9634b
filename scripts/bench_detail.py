"""Measure the effect of the detail setting: IoU by object size, with detail off, zoom and tiles.

    python scripts/bench_detail.py                        # 20 seeds at four sizes of objects, 1280×720
    python scripts/bench_detail.py --seeds 5 --json FILE  # fewer seeds, and the values also as JSON

It uses demo scenes and the built-in shapes model. Masks have the frame's size; the threshold is 0.5. "together": four
prompts for visible objects and two for absent ones, in one call. "alone": each prompt in its own call, the case that
zoom is made for. "absent": mean share of the frame that is wrongly masked. The values hold for the shapes model, not
for CLIPSeg.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout needs no installation

from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import DETAILS
from clipseg_live.demo.scenes import STAPLES, Scene, SceneSettings
from clipseg_live.model.segmenter import Segmenter
from scripts.training.truth import scene_truth

FIRST_SEED = 200
SCALES = (0.3, 0.5, 1.0, 2.0)
SIZES = ((0.0002, 0.0025), (0.0025, 0.008), (0.008, 0.03), (0.03, 1.0))
"""Ranges of the share of the frame that an object covers: from and below."""
PRESENT = tuple(" ".join(staple) for staple in STAPLES)
ABSENT = ("purple star", "white cross")


def measure(
    segmenter: Segmenter, scene: Scene, number: int, groups: Sequence[Sequence[str]], row: dict[str, Any]
) -> None:
    """Add the values of one frame to ``row``, with one call of the engine for each group of phrases."""
    frame, truth = scene.picture(number), scene_truth(scene, number)
    for phrases in groups:
        passes, start = segmenter.vision_passes, time.perf_counter()
        prediction = segmenter.segment(frame, [Prompt.text(phrase) for phrase in phrases])
        row["milliseconds"].append((time.perf_counter() - start) * 1000)
        row["passes"].append(segmenter.vision_passes - passes)
        for phrase, mask in zip(phrases, prediction.masks(), strict=True):
            if phrase in ABSENT:
                row["absent"].append(float(mask.mean()))
                continue
            true = truth.mask(phrase)
            for size, (low, high) in enumerate(SIZES):
                if low <= true.mean() < high:
                    row["iou"][size].append(float((mask & true).sum() / (mask | true).sum()))


def table(seeds: int) -> list[dict[str, Any]]:
    """Return the means over all scenes: a row for each way of grouping the prompts and each detail."""
    segmenter = Segmenter.load("shapes", device="cpu", dtype="float32")
    groupings = {"together": [(*PRESENT, *ABSENT)], "alone": [(phrase,) for phrase in PRESENT]}
    rows = []
    for grouping, groups in groupings.items():
        for detail in DETAILS:
            segmenter.configure(None, "stretch", detail)
            row: dict[str, Any] = {"milliseconds": [], "passes": [], "absent": [], "iou": [[] for _ in SIZES]}
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                for scale in SCALES:
                    scene = Scene(seed, 1280, 720, settings=SceneSettings(scale=scale))
                    # each call gets a new frame, so that no cached pass is used
                    for offset, group in enumerate(groups):
                        measure(segmenter, scene, seed * 37 % 300 + offset, [group], row)
            rows.append(
                {
                    "prompts": grouping,
                    "detail": detail,
                    "iou": [statistics.fmean(values) if values else None for values in row["iou"]],
                    "objects": [len(values) for values in row["iou"]],
                    "absent": statistics.fmean(row["absent"]) if row["absent"] else None,
                    "passes": statistics.fmean(row["passes"]),
                    "milliseconds": statistics.median(row["milliseconds"]),
                }
            )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows = table(options.seeds)
    sizes = "".join(f"{f'{low:.2%}-{high:.2%}':>15}" for low, high in SIZES)
    print(f"{'prompts':9}{'detail':7}{sizes}{'absent':>9}{'passes':>8}{'ms':>7}")
    for row in rows:
        cells = "".join(f"{'-' if value is None else f'{value:.3f}':>15}" for value in row["iou"])
        absent = "-" if row["absent"] is None else f"{row['absent']:.3%}"
        head = f"{row['prompts']:9}{row['detail']:7}"
        print(f"{head}{cells}{absent:>9}{row['passes']:8.2f}{row['milliseconds']:7.0f}")
    print(f"objects: {rows[0]['objects']}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
