"""Appearances: the time ranges in which a prompt is present."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.index.index import PresenceTable
from clipseg_live.matting.prompt_interaction import HIDE_SHARE


@dataclass(frozen=True, slots=True)
class RangeRules:
    """Rules that turn presence into time ranges.

    Attributes:
        threshold: Presence from which a prompt counts as present, 0..1.
        gap: Longest time in seconds without the prompt that does not end a range. None: one frame, unless it or the
            next one follows a cut.
        shortest: Shortest range in seconds; shorter ones are left out. Photos are always kept.
    """

    threshold: float = MatteSettings().presence_threshold
    gap: float | None = None
    shortest: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UsageError(f"A presence threshold of {self.threshold:g} is invalid: use more than 0, up to 1.")
        if self.gap is not None and not self.gap >= 0:
            raise UsageError(f"A gap of {self.gap:g} s is invalid: use 0 or more.")
        if not self.shortest >= 0:
            raise UsageError(f"A shortest range of {self.shortest:g} s is invalid: use 0 or more.")


DEFAULT_RULES = RangeRules()


@dataclass(frozen=True, slots=True)
class Appearance:
    """A time range in which a prompt is present.

    Attributes:
        prompt: The prompt.
        source: Number of the source in its index.
        start: Time of its first frame in seconds; for photos the number of the photo.
        end: Time in seconds at which the next frame without it begins.
        presence: Largest presence, 0..1.
        area: Area in the best frame as a share of the frame, 0..1.
        best: Time of the frame with the largest presence; of several, the one with the largest area.
        row: Position of the best frame in the index.
        frames: Number of indexed frames in the range.
    """

    prompt: Prompt
    source: int
    start: float
    end: float
    presence: float
    area: float
    best: float
    row: int
    frames: int


def find_appearances(
    table: PresenceTable, rules: RangeRules = DEFAULT_RULES, separate: tuple[bool, ...] = ()
) -> list[Appearance]:
    """Return the appearances of all prompts, by source, prompt and time.

    A range begins where presence reaches the threshold. It ends where presence falls below 0.75 of the threshold, as
    for masks that are hidden automatically.

    Args:
        table: Presence in all frames.
        rules: How presence becomes ranges.
        separate: For each source, whether its frames are separate photos. Each photo is then a range of its own.
    """
    found: list[Appearance] = []
    for source in np.unique(table.source).tolist():
        rows = np.flatnonzero(table.source == source)
        photos = bool(separate) and separate[source]
        for column, prompt in enumerate(table.prompts):
            values, area, times = table.presence[rows, column], table.area[rows, column], table.time[rows]
            ends = times if photos else _ends(times)
            cuts = table.cut[rows]
            for start, stop in _photos(values, rules) if photos else _ranges(values, times, cuts, rules):
                if not photos and ends[stop - 1] - times[start] < rules.shortest:
                    continue
                best = start + int(np.lexsort((area[start:stop], values[start:stop]))[-1])
                found.append(
                    Appearance(
                        prompt,
                        source,
                        start=float(times[start]),
                        end=float(ends[stop - 1]),
                        presence=float(values[best]),
                        area=float(area[best]),
                        best=float(times[best]),
                        row=int(table.row[rows[best]]),
                        frames=stop - start,
                    )
                )
    return found


def _photos(values: NDArray[np.float32], rules: RangeRules) -> Iterator[tuple[int, int]]:
    for position in np.flatnonzero(values >= rules.threshold).tolist():
        yield position, position + 1


def _ranges(
    values: NDArray[np.float32], times: NDArray[np.float64], cuts: NDArray[np.bool_], rules: RangeRules
) -> Iterator[tuple[int, int]]:
    """Yield the first position of each range and the position behind its last one."""
    held = np.concatenate([[False], values >= HIDE_SHARE * rules.threshold, [False]])
    changes = np.flatnonzero(held[1:] != held[:-1]).reshape(-1, 2)
    kept = [(start, stop) for start, stop in changes.tolist() if (values[start:stop] >= rules.threshold).any()]
    ends, joined = _ends(times), list[tuple[int, int]]()
    for start, stop in kept:
        if joined:
            before = joined[-1][1]
            is_short = start - before == 1 and not cuts[before : start + 1].any()
            if is_short if rules.gap is None else times[start] - ends[before - 1] <= rules.gap:
                start = joined.pop()[0]
        joined.append((start, stop))
    yield from joined


def _ends(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the end of each frame: the time of the next one. The last one is as long as most others."""
    lengths = np.diff(times)
    last = float(np.median(lengths)) if len(lengths) else 0.0
    return np.append(times[1:], times[-1:] + last)
