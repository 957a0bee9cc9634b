"""Measure the mattes against ground truth, and compare them with other methods.

    python scripts/bench_quality.py                          # all clips and rates, about half an hour
    python scripts/bench_quality.py --quick                  # two clips, one seed, to check the table
    python scripts/bench_quality.py --json FILE --markdown FILE --pictures FOLDER
    python scripts/bench_quality.py --photographs FOLDER     # real photographs with masks, see bench_edges.py

The clips have 1280×720 pixels and 30 frames per second. Drawn scenes are measured with an oracle instead of the model,
and with the built-in shapes model. Parts of photographs over photographs, and photographs under a moving camera, are
measured with the oracle. A prediction is available one period after its frame. With the rate "each" every frame has its
own prediction at once, as in an export. Neither the oracle nor the shapes model shows the quality of CLIPSeg itself.
``bench_compose.py`` measures times.
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import quality_clips as clips
import quality_methods as methods
from quality_measures import Figures, Judge

from clipseg_live.core.frame import Frame

RATES = (3, 10, 30, None)
"""Predictions per second; None for one for every frame, at once."""
FRAMES = 60
MEASURES = {
    "iou": ("IoU", 3), "boundary": ("Boundary F within 2 pixels", 3),
    "error": ("Error of the matte × 1000", 2), "flicker": ("Flicker × 1000", 2), "delay": ("Delay in frames", 0),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One clip with one model.

    Attributes:
        kind: "drawn", "pasted" or "panned".
        name: Name of the scene or file of the photograph.
        seed: Seed of the scene and of the oracle.
        model: "oracle" or "shapes".
        rates: Predictions per second, as in ``RATES``.
        frames: Number of frames.
    """

    kind: str
    name: str
    seed: int
    model: str
    rates: tuple[int | None, ...] = RATES
    frames: int = FRAMES

    def shots(self) -> Iterator[clips.Shot]:
        if self.kind == "drawn":
            return clips.drawn(self.name, self.seed, self.frames)
        if self.kind == "pasted":
            return clips.pasted(self.name, self.frames, tuning=self.seed in clips.TUNING_SEEDS)
        return clips.panned(self.name, self.frames)

    def model_of(self, rate: int | None) -> methods.Model:
        if self.model == "shapes":
            return methods.Shapes(clips.PHRASES)
        return methods.Oracle(1000 * self.seed + (rate or 0))

    def judge(self) -> Judge:
        onset = clips.STILL_BEFORE + 1 if self.name == "sudden" else None
        return Judge(self.kind != "panned", onset)


def measure(run: Run) -> list[dict[str, Any]]:
    """Return a row of values for each rate and method."""
    cv2.setNumThreads(1)
    rows = []
    for rate in run.rates:
        for name, figures in measure_rate(run, rate).items():
            rows.append({"kind": run.kind, "clip": run.name, "model": run.model, "rate": rate, "method": name,
                         "figures": figures})  # fmt: skip
    return rows


def measure_rate(run: Run, rate: int | None) -> dict[str, Figures]:
    model, judges = run.model_of(rate), {}
    shown: dict[str, methods.Method] = {}
    own_predictions: list[tuple[clips.Shot, methods.Planes]] = []
    period = 0 if rate is None else clips.RATE // rate
    for number, (shot, predictions) in enumerate(methods.predicted(run.shots(), model, period)):
        frame = Frame(shot.pixels, number, Fraction(number, clips.RATE))
        objects = len(shot.mattes)
        if not shown:
            shown = {name: methods.method(name, objects) for name in methods.METHODS}
            judges = {name: [run.judge() for _ in range(objects)] for name in (*methods.METHODS, "lookahead")}
        for maps, index in predictions:
            for each in shown.values():
                each.take(maps, index)
            if rate is None:
                own_predictions.append((shot, maps))
        has_prediction = number >= period
        for name, each in shown.items():
            if has_prediction:
                judge_frame(judges[name], number, each.mattes(frame), shot)
            else:
                if isinstance(each, methods.Ours):
                    each.show(frame)
                for judge, matte in zip(judges[name], shot.mattes, strict=True):
                    judge.skip(matte)
    if own_predictions:
        pairs = ((shot.pixels, maps) for shot, maps in own_predictions)
        for number, mattes in enumerate(methods.lookahead(pairs, len(own_predictions[0][1]), clips.RATE)):
            judge_frame(judges["lookahead"], number, mattes, own_predictions[number][0])
    totals = {}
    for name, each_object in judges.items():
        total = Figures()
        for judge in each_object:
            total.add(judge.figures)
        if total.flicker:
            totals[name] = total
    return totals


def judge_frame(judges: Sequence[Judge], number: int, mattes: methods.Planes, shot: clips.Shot) -> None:
    for k, judge in enumerate(judges):
        step = None if shot.steps is None else shot.steps[k]
        judge.judge(number, mattes[k], shot.mattes[k], step, shot.camera)


def runs(quick: bool, seeds: Sequence[int]) -> list[Run]:
    if quick:
        return [Run("drawn", name, seeds[0], "oracle", (3,), 40) for name in ("slow", "sudden")]
    selected = [Run("drawn", name, seed, "oracle") for name in clips.DRAWN for seed in seeds]
    selected += [Run("drawn", name, seed, "shapes", (10, None), 45) for name in clips.DRAWN for seed in seeds]
    selected += [Run(kind, name, seeds[0], "oracle", (3, 10, None), 45)
              for kind in ("pasted", "panned") for name in clips.PHOTOGRAPHS]  # fmt: skip
    return selected


def merged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the means over the seeds, for each clip, model, rate and method."""
    totals: dict[tuple[Any, ...], Figures] = {}
    for row in rows:
        key = (row["kind"], row["clip"], row["model"], row["rate"], row["method"])
        totals.setdefault(key, Figures()).add(row["figures"])
    heads = ("kind", "clip", "model", "rate", "method")
    return [{**dict(zip(heads, key, strict=True)), **total.means()} for key, total in totals.items()]


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return Markdown tables, one for each kind, model and measure.

    A table has a line for each clip and rate, and a column for each method.
    """
    parts = []
    columns = (*methods.METHODS, "lookahead")
    by_group = itertools.groupby(rows, key=lambda row: (row["kind"], row["model"]))
    for (kind, model), group in [(key, list(members)) for key, members in by_group]:
        for measure_name, (title, digits) in MEASURES.items():
            lines: dict[tuple[str, int | None], dict[str, float]] = {}
            for row in group:
                if row[measure_name] is not None:
                    lines.setdefault((row["clip"], row["rate"]), {})[row["method"]] = row[measure_name]
            if not lines:
                continue
            parts.append(f"\n### {kind.capitalize()}, {model}: {title}\n")
            parts.append("| clip | predictions per second | " + " | ".join(columns) + " |")
            parts.append("|---|---|" + "---|" * len(columns))
            for (clip, rate), cells in lines.items():
                text = " | ".join(f"{cells[name]:.{digits}f}" if name in cells else "–" for name in columns)
                parts.append(f"| {clip.rsplit('.', 1)[0]} | {rate or 'each'} | {text} |")
    return "\n".join(parts).strip() + "\n"


GOALS = (
    ("Error, 1 − IoU", "iou", ("fast",), (3,), 0.5),
    ("Boundary F, distance to 1", "boundary", ("still", "slow"), RATES, 0.5),
    ("Flicker", "flicker", tuple(clips.DRAWN), RATES, 0.25),
    ("Error of the matte", "error", tuple(clips.DRAWN), RATES, 0.5),
)
"""Goals with the oracle on drawn scenes: measure, clips, predictions per second, largest share of plain."""


def goals(rows: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table of ours as a share of plain upsampling.

    Shares above their goal are bold.
    """
    by_key = {
        (row["clip"], row["rate"], row["method"]): row
        for row in rows
        if (row["kind"], row["model"]) == ("drawn", "oracle")
    }
    parts = [
        "| measure, as a share of plain | clip | " + " | ".join(f"{rate or 'each'}" for rate in RATES) + " | goal |"
    ]
    parts.append("|---|---|" + "---|" * len(RATES) + "---|")
    for title, measure_name, names, rates, most in GOALS:
        for name in names:
            cells = []
            for rate in RATES:
                pair = [by_key.get((name, rate, method)) for method in ("plain", "ours")]
                if rate not in rates or None in pair:
                    cells.append("")
                    continue
                plain, ours = (row[measure_name] for row in pair if row is not None)
                if measure_name in ("iou", "boundary"):
                    plain, ours = 1 - plain, 1 - ours
                share = ours / plain
                cells.append(f"{share:.2f}" if share <= most else f"**{share:.2f}**")
            parts.append(f"| {title} | {name} | " + " | ".join(cells) + f" | {most} |")
    delays = [by_key.get(("sudden", rate, "ours")) for rate in RATES]
    cells = ["" if row is None else f"{row['delay']:.0f}" for row in delays]
    parts.append("| Delay in frames | sudden | " + " | ".join(cells) + " | 1 |")
    return "\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="only runs with this kind, clip or model")
    parser.add_argument("--tuning", action="store_true", help="use the seeds on which constants were chosen")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--pictures", type=Path, help="write strips of frames at an edge into this folder")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER", help="only photographs with masks of this folder")
    options = parser.parse_args(arguments)
    if options.photographs:
        import bench_edges

        bench_edges.print_photographs(options.photographs)
        return
    if options.pictures:
        import quality_strips

        quality_strips.write(options.pictures)
        return
    wanted = runs(options.quick, clips.TUNING_SEEDS if options.tuning else clips.REPORTED_SEEDS)
    if options.only:
        wanted = [run for run in wanted if options.only in (run.kind, run.name, run.model)]
    rows = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for run, run_rows in zip(wanted, pool.map(measure, wanted), strict=True):
            print(f"{run.kind} {run.name} {run.seed} {run.model}", flush=True)
            rows += run_rows
    means = merged(rows)
    text = "" if options.quick else "## Goals\n\n" + goals(means) + "\n"
    text += tables(means)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(means, indent=1), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
