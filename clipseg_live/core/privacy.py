"""Privacy policy: decides when a frame, an output or a data file may show content that effects should hide.

All functions are pure. Renderers and outputs ask here and do not decide themselves:

- ``hides_whole``: a renderer must hide the whole frame.
- ``reason_to_hide``: the live session must hide the whole frame, and why.
- ``was_drawn_hiding``: a rendered frame may be shown, recorded, kept, saved or copied under the present settings.
- ``may_leave``: a rendered frame may be sent to a virtual camera.
- ``is_cautious``: mattes must be made with lower thresholds and without automatic hiding of prompts.
- ``untouched_warning``: files hold the source's own pixels although an effect hides something.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.data_formats import shows_source
from clipseg_live.core.settings.effects import AnyEffect, is_private
from clipseg_live.core.settings.live import LiveSettings, NamedImage, PromptImage, PromptRow
from clipseg_live.core.status import HiddenReason

SETTLE_SECONDS = 1.5
"""Time without changes after which an edited prompt takes effect, once a prediction has found it."""
PATIENCE_SECONDS = 5.0
"""Time without changes after which an edited prompt takes effect, even if it was not found in the frame."""

Content = tuple[tuple[str, tuple[str, ...], tuple[float, ...], tuple[NamedImage, ...]], PromptImage | None, float]
"""Content of a row that determines its prompt: text with templates, embedding and named images; image; its weight."""


@dataclass(frozen=True, slots=True)
class PromptEdits:
    """The state of prompt editing.

    Attributes:
        complete: Content of each row when it last took effect, by row id; None for a row without content.
        edited: Time of the last change of any row's content, in seconds of a monotonic clock.
    """

    complete: Mapping[int, Content | None]
    edited: float = float("-inf")


def is_cautious(effects: Sequence[AnyEffect]) -> bool:
    """Return whether mattes for these effects must cover too much rather than too little."""
    return is_private(effects)


def hides_whole(mattes: Mattes, prompts: int = 0) -> bool:
    """Return whether a hiding effect must hide the whole frame.

    Args:
        mattes: Mattes of the frame.
        prompts: Number of prompts that should have a matte.
    """
    return not mattes.own or not mattes.each or len(mattes.each) < prompts


def without_effects(pixels: Pixels, effects: Sequence[AnyEffect]) -> Pixels:
    """Return the pixels to show when effects cannot be drawn: the frame, or black if an effect hides something."""
    return np.zeros_like(pixels) if is_private(effects) else pixels


def content_of(row: PromptRow) -> Content | None:
    """Return the content of a row; None if it has none. Rows with the same content have the same prompt."""
    condition, picture = (row.text.strip(), row.templates, row.embedding, row.images), row.image
    conditioned = bool(condition[0] or row.embedding)
    if picture is None or (conditioned and row.share <= 0.0):
        return (condition, None, 0.0) if conditioned else None
    return condition, picture, row.share if conditioned and row.share < 1.0 else 1.0


def begin_edits(settings: LiveSettings) -> PromptEdits:
    """Return the state at the start of a session, where all prompts are in effect."""
    return PromptEdits({row.id: content_of(row) for row in settings.rows})


def edit(edits: PromptEdits, before: LiveSettings, after: LiveSettings, now: float) -> PromptEdits:
    """Return the state after a change of the settings.

    Args:
        edits: State before the change.
        before: Settings before the change.
        after: Settings after the change.
        now: Time of the change, in seconds of a monotonic clock.
    """
    old = {row.id: content_of(row) for row in before.rows}
    new = {row.id: content_of(row) for row in after.rows}
    changed = any(number not in old or old[number] != content for number, content in new.items())
    complete = {number: content for number, content in edits.complete.items() if number in new}
    return PromptEdits(complete, now if changed else edits.edited)


def settle(edits: PromptEdits, settings: LiveSettings, found: Collection[int], now: float) -> PromptEdits:
    """Return the state after a prediction for the present prompts, which lets edited prompts take effect.

    Args:
        edits: State before the prediction.
        settings: Present settings.
        found: Ids of the rows whose prompt is in the prediction.
        now: Time in seconds of the clock of ``edit``.
    """
    waited = now - edits.edited
    if waited < SETTLE_SECONDS:
        return edits
    late = waited >= PATIENCE_SECONDS
    done = {row.id: content_of(row) for row in _pending(edits, settings) if late or row.id in found}
    return PromptEdits({**edits.complete, **done}, edits.edited) if done else edits


def next_check(edits: PromptEdits, settings: LiveSettings, now: float) -> float | None:
    """Return the time at which the result of ``settle`` may change without a new prediction; None for never."""
    if not is_private(settings.effects) or not _pending(edits, settings):
        return None
    times = (edits.edited + seconds for seconds in (SETTLE_SECONDS, PATIENCE_SECONDS))
    return next((time for time in times if time > now), None)


def reason_to_hide(settings: LiveSettings, edits: PromptEdits, own: bool) -> HiddenReason | None:
    """Return why a live session must hide the whole frame; None if it may be drawn.

    Args:
        settings: Present settings.
        edits: State of editing.
        own: Whether there is a prediction for this frame and the present prompts.
    """
    if not is_private(settings.effects):
        return None
    shown = settings.shown()
    hiding = [row for row in shown if row.style.role == "positive"]
    if not hiding or any(content_of(row) is None for row in hiding):
        return HiddenReason.NOTHING
    pending = _pending(edits, settings)
    if len([row for row in pending if row.style.role == "positive"]) == len(hiding):
        return HiddenReason.EDITING
    # A new prompt in addition to others in effect only hides more. A changed or subtracted prompt may hide less.
    if any(edits.complete.get(row.id) is not None or row.style.role != "positive" for row in pending):
        return HiddenReason.EDITING
    return None if own else HiddenReason.WAITING


def was_drawn_hiding(picture: RenderedFrame, settings: LiveSettings) -> bool:
    """Return whether a rendered frame may be shown, recorded, kept, saved or copied under these settings.

    If an effect hides something, a frame that was rendered without a hiding effect must not be used.
    """
    if not is_private(settings.effects):
        return True
    return picture.settings is not None and is_private(picture.settings.effects)


def may_leave(picture: RenderedFrame, settings: LiveSettings, version: int) -> bool:
    """Return whether a rendered frame may be sent to other programs.

    With a hiding effect, the frame must have been rendered with one, from its own prediction, and for the present
    prompts and roles.

    Args:
        picture: Rendered frame.
        settings: Present settings.
        version: Version of the present prompts.
    """
    if not is_private(settings.effects):
        return True
    return (
        was_drawn_hiding(picture, settings)
        and picture.settings is not None
        and picture.own
        and picture.mattes.own
        and picture.version >= version
        and _roles(picture.settings) == _roles(settings)
    )


def untouched_files(data: Iterable[DataFormat], other: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of files that hold the source's own pixels.

    Args:
        data: Data formats that are written.
        other: Names of other files with the source's own pixels, such as the camera track of a recording.
    """
    return (*other, *shows_source(data))


def untouched_warning(effects: Sequence[AnyEffect], untouched: Sequence[str]) -> str | None:
    """Return a warning if files show content that the effects hide; None if none does.

    Args:
        effects: Effects that are drawn.
        untouched: Result of ``untouched_files``.
    """
    if not untouched or not is_private(effects):
        return None
    return f"Outputs with the original frames are written too ({', '.join(untouched)}): nothing is hidden in them."


def _pending(edits: PromptEdits, settings: LiveSettings) -> list[PromptRow]:
    """Return the shown rows whose content is not in effect yet. Empty rows are left out."""
    contents = [(row, content_of(row)) for row in settings.shown()]
    return [row for row, content in contents if content is not None and content != edits.complete.get(row.id)]


def _roles(settings: LiveSettings) -> tuple[tuple[int, str], ...]:
    return tuple((row.id, row.style.role) for row in settings.shown())
