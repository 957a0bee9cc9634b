"""Privacy policy: decides when a frame, an output or a data file may show what hiding effects should hide.

All functions are pure. Renderers and outputs ask here and do not decide themselves:

- ``hides_whole``: a renderer must hide the whole frame.
- ``reason_to_hide``: the live session must hide the whole frame, and why.
- ``was_drawn_hiding``: a rendered picture may be shown, recorded, kept, saved or copied under the present settings.
- ``may_leave``: a rendered picture may be sent to a virtual camera.
- ``is_cautious``: mattes must be made with lower thresholds and without automatic hiding of prompts.
- ``untouched_warning``: files hold the source's own pixels although an effect hides something.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.effects import AnyEffect, is_private
from clipseg_live.core.settings.live import HiddenReason, LiveSettings, PromptImage, PromptRow, ViewFrame

SETTLE_SECONDS = 1.5
"""An edited prompt must be left unchanged for this time before a prediction that finds it puts it in force."""
PATIENCE_SECONDS = 5.0
"""An edited prompt that is not found in the picture is put in force after this time without a change."""
UNTOUCHED_DATA: tuple[DataFormat, ...] = (
    "coco", "yolo", "alpha-prores", "alpha-vp9", "alpha-png", "alpha-webp", "animation-webp", "animation-gif", "sheet",
)  # fmt: skip
"""Data formats that hold the source's own pixels, without any effect."""

Content = tuple[str, PromptImage | None, float]
"""Everything that determines what a row looks for."""


@dataclass(frozen=True, slots=True)
class PromptEdits:
    """The state of prompt editing.

    Attributes:
        complete: what each row looked for when it was last in force, by row id; None for a row that looked for nothing.
        edited: time of the last change of any row's content, in seconds of a monotonic clock.
    """

    complete: Mapping[int, Content | None]
    edited: float = float("-inf")


def is_cautious(effects: Sequence[AnyEffect]) -> bool:
    """Return whether mattes for these effects must rather cover too much than too little."""
    return is_private(effects)


def hides_whole(mattes: Mattes, prompts: int = 0) -> bool:
    """Return whether a hiding effect must hide the whole frame.

    Args:
        mattes: of the frame.
        prompts: number of prompts that should have a matte.
    """
    return not mattes.own or not mattes.each or len(mattes.each) < prompts


def without_effects(pixels: Pixels, effects: Sequence[AnyEffect]) -> Pixels:
    """Return the picture to show when effects cannot be drawn: the frame itself, or black if it had to be hidden."""
    return np.zeros_like(pixels) if is_private(effects) else pixels


def content_of(row: PromptRow) -> Content | None:
    """Return what a row looks for; None if it looks for nothing. Rows with the same content ask for the same prompt."""
    text, picture = row.text.strip(), row.picture
    if picture is None or (text and row.share <= 0.0):
        return (text, None, 0.0) if text else None
    return text, picture, row.share if text and row.share < 1.0 else 1.0


def begin_edits(settings: LiveSettings) -> PromptEdits:
    """Return the state at the start of a session, where all prompts are in force."""
    return PromptEdits({row.id: content_of(row) for row in settings.rows})


def edit(edits: PromptEdits, before: LiveSettings, after: LiveSettings, now: float) -> PromptEdits:
    """Return the state after the settings have changed."""
    old = {row.id: content_of(row) for row in before.rows}
    new = {row.id: content_of(row) for row in after.rows}
    changed = any(number not in old or old[number] != content for number, content in new.items())
    complete = {number: content for number, content in edits.complete.items() if number in new}
    return PromptEdits(complete, now if changed else edits.edited)


def settle(edits: PromptEdits, settings: LiveSettings, found: Collection[int], now: float) -> PromptEdits:
    """Return the state after a prediction for the present prompts: it puts edited prompts in force.

    Args:
        edits: the state before.
        settings: the present settings.
        found: ids of the rows whose prompt the prediction has found.
        now: time in seconds of the clock of ``edit``.
    """
    waited = now - edits.edited
    if waited < SETTLE_SECONDS:
        return edits
    late = waited >= PATIENCE_SECONDS
    done = {row.id: content_of(row) for row in _pending(edits, settings) if late or row.id in found}
    return PromptEdits({**edits.complete, **done}, edits.edited) if done else edits


def next_check(edits: PromptEdits, settings: LiveSettings, now: float) -> float | None:
    """Return the time at which ``settle`` may change its answer without a new prediction; None for never."""
    if not is_private(settings.effects) or not _pending(edits, settings):
        return None
    times = (edits.edited + seconds for seconds in (SETTLE_SECONDS, PATIENCE_SECONDS))
    return next((time for time in times if time > now), None)


def reason_to_hide(settings: LiveSettings, edits: PromptEdits, own: bool) -> HiddenReason | None:
    """Return why a live session must hide the whole frame; None if it may be drawn.

    Args:
        settings: the present settings.
        edits: the state of editing.
        own: whether there is a prediction for this very frame and the present prompts.
    """
    if not is_private(settings.effects):
        return None
    shown = settings.shown()
    hiding = [row for row in shown if row.style.role == "show"]
    if not hiding or any(content_of(row) is None for row in hiding):
        return HiddenReason.NOTHING
    pending = _pending(edits, settings)
    if len([row for row in pending if row.style.role == "show"]) == len(hiding):
        return HiddenReason.EDITING
    # A new prompt beside others in force only hides more. A changed one, or one that is taken out, may hide less.
    if any(edits.complete.get(row.id) is not None or row.style.role != "show" for row in pending):
        return HiddenReason.EDITING
    return None if own else HiddenReason.WAITING


def was_drawn_hiding(picture: ViewFrame, settings: LiveSettings) -> bool:
    """Return whether a picture may be shown, recorded, kept, saved or copied while these settings apply.

    A picture that was rendered without a hiding effect may not, once there is one.
    """
    if not is_private(settings.effects):
        return True
    return picture.settings is not None and is_private(picture.settings.effects)


def may_leave(picture: ViewFrame, settings: LiveSettings, version: int) -> bool:
    """Return whether a picture may be sent to others.

    With a hiding effect it must have been rendered with one, from its own prediction, for the prompts and roles that
    apply now.

    Args:
        picture: a rendered picture.
        settings: the present settings.
        version: of the present prompts.
    """
    if not is_private(settings.effects):
        return True
    return (
        was_drawn_hiding(picture, settings)
        and picture.settings is not None
        and picture.own
        and picture.mattes is not None
        and picture.mattes.own
        and picture.version >= version
        and _roles(picture.settings) == _roles(settings)
    )


def untouched_files(data: Iterable[DataFormat], other: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of files that hold untouched pixels.

    Args:
        data: formats of data that are written.
        other: names of further files with untouched pixels, such as the camera track of a recording.
    """
    return (*other, *(form for form in data if form in UNTOUCHED_DATA))


def untouched_warning(effects: Sequence[AnyEffect], untouched: Sequence[str]) -> str | None:
    """Return a warning if files show what the effects hide; None if none does.

    Args:
        effects: drawn over the picture.
        untouched: result of ``untouched_files``.
    """
    if not untouched or not is_private(effects):
        return None
    return f"Files with the untouched picture are written as well ({', '.join(untouched)}): nothing is hidden in them."


def _pending(edits: PromptEdits, settings: LiveSettings) -> list[PromptRow]:
    """Return the shown rows whose content is not in force yet; empty rows are left out."""
    contents = [(row, content_of(row)) for row in settings.shown()]
    return [row for row, content in contents if content is not None and content != edits.complete.get(row.id)]


def _roles(settings: LiveSettings) -> tuple[tuple[int, str], ...]:
    return tuple((row.id, row.style.role) for row in settings.shown())
