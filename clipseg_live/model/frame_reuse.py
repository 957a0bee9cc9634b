"""Policy of token reuse between frames: when it is used, and when a frame is computed in full."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from clipseg_live.model.backend import Backend, ReuseCache
from clipseg_live.model.preprocess import Preprocessing

FULL_SECONDS = 1.0
"""Least time between two full passes."""

FULL_SHARE = 0.25
"""Largest share of the time that full passes take, on a slow machine."""


class FrameReuse:
    """Vision encoder for frames of one source, of which similar ones share their tokens.

    Attributes:
        enabled: tokens are reused if the backend can do so.
        share: share of the tokens that were computed for the last frame, 0..1; None without reuse.
        approximate: the features of the last frame have reused tokens.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.share: float | None = None
        self.approximate = False
        self._cache: ReuseCache | None = None
        self._next_full = 0.0

    @property
    def is_due(self) -> bool:
        """True if the last frame should be computed again, in full."""
        return self.approximate and monotonic() >= self._next_full

    def forget(self) -> None:
        """Compute the next frame in full."""
        self._cache = None
        self.approximate = False

    def repeat(self) -> None:
        """Note that the features of the last frame are used again."""
        self.share = None if self._cache is None else 0.0

    def features(
        self, backend: Backend, prepared: Any, preprocessing: Preprocessing, after_layer: Callable[[], None]
    ) -> Any:
        """Run the vision encoder on the input of a frame.

        Args:
            backend: runs the network.
            prepared: input of the frame.
            preprocessing: constants of the checkpoint.
            after_layer: called after each layer, if the backend runs layers one by one.
        """
        cache, self._cache = self._cache, None  # an error leaves a cache that is half changed
        if not self.enabled:
            cache = None
        elif cache is None:
            cache = backend.token_cache()
        elif monotonic() >= self._next_full:
            cache.clear()
        start = monotonic()
        features = backend.features(prepared, preprocessing, cache, after_layer)
        self._cache, self.share = cache, None if cache is None else cache.share
        self.approximate = cache is not None and cache.share < 1
        if not self.approximate:
            self._next_full = start + max(FULL_SECONDS, (monotonic() - start) / FULL_SHARE)
        return features
