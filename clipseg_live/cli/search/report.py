"""Results of a search on standard output: a table, JSON lines or CSV."""

import csv
import json
import sys
from typing import TYPE_CHECKING

from clipseg_live.core.system import console
from clipseg_live.core.system.times import format_time

if TYPE_CHECKING:
    from clipseg_live.app.search import Finding, SearchResult

KEYS = ("prompt", "file", "start", "end", "presence", "area", "best", "frames")
"""Keys of JSON lines, and columns of CSV."""


def describe_finding(finding: "Finding") -> dict[str, object]:
    """Return an appearance as JSON.

    Its keys are:
        prompt: Label of the prompt.
        file: Path of the video or the photo.
        start: Time of the first frame in seconds; 0 for a photo.
        end: Time in seconds at which the next frame without the prompt begins; 0 for a photo.
        presence: Largest presence, 0..1.
        area: Area of the mask in the best frame as a share of the frame, 0..1.
        best: Time in seconds of the frame with the largest presence; 0 for a photo.
        frames: Number of indexed frames in the range.
    """
    found, photos = finding.appearance, finding.source.photos
    return {
        "prompt": found.prompt.label,
        "file": finding.file,
        "start": 0 if photos else round(found.start, 6),
        "end": 0 if photos else round(found.end, 6),
        "presence": round(found.presence, 4),
        "area": round(found.area, 6),
        "best": 0 if photos else round(found.best, 6),
        "frames": found.frames,
    }


def print_findings(result: "SearchResult", form: str) -> None:
    """Print the appearances.

    Args:
        result: Outcome of a search.
        form: "table", "json" or "csv".
    """
    rows = [describe_finding(each) for each in result.findings]
    if form == "json":
        escaped = console.ascii_only(sys.stdout)
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=escaped) + "\n")
    elif form == "csv":
        table = csv.DictWriter(sys.stdout, KEYS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    else:
        for line in _table(result):
            print(line)  # noqa: T201


def _table(result: "SearchResult") -> list[str]:
    frames = "1 frame" if result.frames == 1 else f"{result.frames:,} frames"
    if not result.findings:
        return [f"Nothing was found in {frames}."]
    cells = [("prompt", "from", "to", "presence", "area", "best", "file")]
    for finding in result.findings:
        found = finding.appearance
        times = (found.start, found.end, found.best)
        start, end, best = ("", "", "") if finding.source.photos else (format_time(time, 1) for time in times)
        presence, area = f"{found.presence:.2f}", f"{100 * found.area:.1f} %"
        cells.append((" ".join(found.prompt.label.split()), start, end, presence, area, best, finding.file))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    lines = []
    for row in cells:
        aligned = [row[0].ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)]
        lines.append("  ".join([*aligned, row[-1]]))
    count = "1 appearance" if len(result.findings) == 1 else f"{len(result.findings)} appearances"
    return [*lines, f"{count} in {frames}"]
