"""State of prompt edits in a live session, for hiding effects."""

import threading
import time
from collections.abc import Callable, Collection

from clipseg_live.core import privacy
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.status import HiddenReason


class EditGuard:
    """Decides whether hiding effects must hide the whole frame while prompts are edited (``core.privacy``).

    Every method may be called from any thread.

    Args:
        settings: First settings, whose prompts are all in effect.
        clock: Returns monotonic time in seconds.
    """

    def __init__(self, settings: LiveSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._edits = privacy.begin_edits(settings)

    def edit(self, old: LiveSettings, new: LiveSettings) -> None:
        """Note a change of the settings."""
        with self._lock:
            self._edits = privacy.edit(self._edits, old, new, self._clock())

    def settle(self, settings: LiveSettings, detected: Collection[int]) -> None:
        """Let edited prompts take effect after a prediction for the current prompts and its own frame.

        Args:
            settings: Current settings.
            detected: Ids of the rows whose prompt is in the prediction.
        """
        with self._lock:
            self._edits = privacy.settle(self._edits, settings, detected, self._clock())

    def reason(self, settings: LiveSettings, own: bool) -> HiddenReason | None:
        """Return why the whole frame must be hidden, as ``privacy.reason_to_hide`` does."""
        return privacy.reason_to_hide(settings, self._edits, own)

    def seconds_to_check(self, settings: LiveSettings) -> float | None:
        """Return the seconds until an edited prompt may apply without a new frame or prediction, or None for never."""
        now = self._clock()
        check = privacy.next_check(self._edits, settings, now)
        return None if check is None else check - now
