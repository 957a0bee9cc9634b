"""Results of an evaluation as one HTML page that needs no other file."""

import base64
from collections.abc import Iterable, Sequence
from html import escape

from clipseg_live.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Interval
from clipseg_live.evaluation.reports.plots import COLOURS, Line, plot
from clipseg_live.evaluation.scores import THRESHOLDS
from clipseg_live.evaluation.summary import CURVES, Evaluation, GroupScores, RunResult, WorstTarget

PROTOCOL_TEXTS = {
    "app": "Images were resized as the program does, and masks compared at the size of the images.",
    "paper": "Images were stretched without antialiasing and compared on the model's square, as in the published "
    "evaluation.",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
small, figcaption, .tick { color: var(--dim); fill: var(--dim); }
.plots, .worst { display: flex; flex-wrap: wrap; gap: 1rem; }
.plots svg { flex: 1 1 20rem; max-width: 30rem; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: var(--line); fill: none; }
.worst figure { margin: 0; width: 15rem; }
.worst img { width: 100%; border-radius: 4px; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .3em; }
"""


def to_html(evaluation: Evaluation) -> str:
    """Return the page."""
    title = f"Evaluation of {evaluation.data}"
    first = evaluation.runs[0]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>Layout {escape(evaluation.layout)}, protocol <b>{escape(evaluation.protocol)}</b>: "
        f"{PROTOCOL_TEXTS[evaluation.protocol]} {first.images} images, {first.whole.targets} targets; "
        f"threshold {first.whole.scores.threshold:.2f}. All shares are in percent.</p>",
        *(f"<p>{escape(notice)}</p>" for notice in evaluation.notices),
        _runs_table(evaluation.runs),
        _plots(evaluation.runs),
    ]
    for number, run in enumerate(evaluation.runs):
        parts += [f"<h2>{_key(number)}{escape(str(run.name))}</h2>", *_run(run)]
    return "".join((*parts, "</body></html>\n"))


def _runs_table(runs: Sequence[RunResult]) -> str:
    head = ["", "mIoU", "IoU_FG", "IoU_BIN", "AP", "boundary F", "best threshold", "mIoU there"]
    has_video = any(run.flicker is not None for run in runs)
    head += ["flicker", "delay"] if has_video else []
    rows = []
    for number, run in enumerate(runs):
        figures = run.figures()
        cells = [_key(number) + escape(str(run.name))]
        for name in ("mIoU", "IoU_FG", "IoU_BIN", "AP"):
            cells.append(f"{figures[name]:.2f}<br>{_interval(run.intervals[name])}")
        cells += [_number(figures["boundary_F"]), f"{figures['best_threshold']:.2f}", _number(figures["best_mIoU"])]
        cells += [_number(run.flicker, 100), _number(run.delay)] if has_video else []
        rows.append(cells)
        if run.differences:
            changes = [_interval(run.differences[name], sign="+") for name in ("mIoU", "IoU_FG", "IoU_BIN", "AP")]
            rows.append(["<small>difference from the first run</small>", *changes, *[""] * (len(head) - 5)])
    note = f"<p><small>Ranges are {CONFIDENCE:.0f} % intervals of {RESAMPLES} resampled sets of images.</small></p>"
    return _table(head, rows) + note


def _plots(runs: Sequence[RunResult]) -> str:
    overlap, curves, pairs = [], [], []
    for number, run in enumerate(runs):
        rows = dict(zip(CURVES, run.whole.scores.curves, strict=True))
        name = str(run.name)
        overlap.append(Line(f"{name}: mIoU", THRESHOLDS, rows["mIoU"], number))
        overlap.append(Line(f"{name}: IoU_FG", THRESHOLDS, rows["IoU_FG"], number, True))
        curves.append(Line(f"{name}: precision", THRESHOLDS, rows["precision"], number))
        curves.append(Line(f"{name}: recall", THRESHOLDS, rows["recall"], number, True))
        pairs.append(Line(name, rows["recall"], rows["precision"], number))
    plots = (
        plot("mIoU (solid) and IoU_FG (dashed)", "threshold", overlap),
        plot("Precision (solid) and recall (dashed)", "threshold", curves),
        plot("Precision over recall", "recall", pairs),
    )
    return f'<div class="plots">{"".join(plots)}</div>'


def _run(run: RunResult) -> Iterable[str]:
    yield f"<p>{escape(run.name.engine)}</p>"
    for notice in run.notices:
        yield f"<p>{escape(notice)}</p>"
    yield "<h3>By size of the object</h3>" + _groups(run.by_size)
    yield "<h3>By class, the worst first</h3>" + _groups(run.by_class[:100])
    if len(run.by_class) > 100:
        yield f"<p><small>{len(run.by_class) - 100} better classes are left out.</small></p>"
    if run.worst:
        yield "<h3>Worst targets</h3>"
        if any(each.picture for each in run.worst):
            yield "<p><small>Green: hits. Red: false pixels. Blue: missed pixels.</small></p>"
        yield f'<div class="worst">{"".join(map(_worst, run.worst))}</div>'


def _worst(target: WorstTarget) -> str:
    picture = ""
    if target.picture:
        data = base64.b64encode(target.picture).decode("ascii")
        picture = f'<img alt="" src="data:image/jpeg;base64,{data}">'
    caption = f"{escape(target.image)}: {escape(target.category)}, IoU {100 * target.iou:.1f}"
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _groups(groups: Iterable[GroupScores]) -> str:
    head = ["", "targets", "IoU_FG", "AP", "precision", "recall", "boundary F"]
    rows = [
        [
            escape(group.name), str(group.targets), _number(group.scores.foreground_iou, 100),
            _number(group.scores.ap, 100), _number(group.scores.precision, 100), _number(group.scores.recall, 100),
            _number(group.boundary, 100),
        ]
        for group in groups
    ]  # fmt: skip
    return _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of HTML cells."""
    heading = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"


def _key(number: int) -> str:
    return f'<span class="key" style="background:{COLOURS[number % len(COLOURS)]}"></span>'


def _interval(interval: Interval, sign: str = "") -> str:
    return f"<small>{100 * interval.low:{sign}.1f} to {100 * interval.high:{sign}.1f}</small>"


def _number(value: float | None, factor: float = 1.0) -> str:
    return "–" if value is None else f"{factor * value:.2f}"
