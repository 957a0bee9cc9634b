"""Engine of the inference worker, and the policy for a missing model. Importing this module loads nothing heavy.

Commands fail when their model is missing (``make_exact_engine``). Only the window replaces the default model by the
small built-in one, and reports it (``make_engine``).
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from clipseg_live.core.errors import ModelError
from clipseg_live.core.settings.base import BUILT_IN_MODEL, DEFAULT_MODEL, EngineSettings
from clipseg_live.runtime.inference.server import LiveEngine

if TYPE_CHECKING:
    from clipseg_live.model.store.layout import ModelFiles

logger = logging.getLogger(__name__)

ReportProgress = Callable[[str], None]


def make_engine(settings: EngineSettings, on_progress: ReportProgress, on_notice: ReportProgress) -> LiveEngine:
    """Load the engine of a window.

    If the default model is missing and cannot be downloaded, load the small built-in one and give a notice.

    Args:
        settings: Settings of the engine.
        on_progress: Called with messages of progress.
        on_notice: Called with messages for the user.

    Raises:
        ClipsegLiveError: The model is missing or unusable, or the settings are invalid.
    """
    _prepare(settings)
    try:
        files = _find(settings, on_progress)
    except ModelError as error:
        if settings.model != DEFAULT_MODEL:
            raise
        logger.warning("The model %s is replaced by %s", settings.model, BUILT_IN_MODEL, exc_info=True)
        on_notice(
            f"{error} Until then the small model {BUILT_IN_MODEL} runs; it knows coloured shapes on drawn scenes only, "
            "and effects that hide something hide the whole picture."
        )
        settings = settings.model_copy(update={"model": BUILT_IN_MODEL, "size": None})
        files = _find(settings, on_progress)
    return _load(files, settings, on_progress)


def make_exact_engine(settings: EngineSettings, on_progress: ReportProgress, on_notice: ReportProgress) -> LiveEngine:
    """Load the engine with the requested model and no other. Arguments and errors are those of ``make_engine``."""
    _prepare(settings)
    return _load(_find(settings, on_progress), settings, on_progress)


def _prepare(settings: EngineSettings) -> None:
    """Leave a CPU core to the application, and check the settings before a download."""
    from clipseg_live.model.devices import leave_a_core
    from clipseg_live.model.segmenter import check_options

    leave_a_core()
    check_options(settings.device, settings.dtype, settings.fit)


def _find(settings: EngineSettings, on_progress: ReportProgress) -> "ModelFiles":
    from clipseg_live.model.store import loading

    return loading.find_model_files(settings.model, on_progress=lambda words: on_progress(f"Downloading {words}"))


def _load(files: "ModelFiles", settings: EngineSettings, on_progress: ReportProgress) -> LiveEngine:
    from clipseg_live.model.driver import DriverSegmenter

    on_progress(f"Loading {files.name}")
    return DriverSegmenter.load(files, **settings.model_dump(exclude={"model"}))
