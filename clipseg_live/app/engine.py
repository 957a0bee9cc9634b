"""Engines for the inference worker, exports and streams, and the policy for a missing model.

Importing this module loads nothing heavy. Commands, exports and streams fail when their model is missing. Only the
window replaces the default model by the small built-in one, and reports it (``make_engine``).
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from clipseg_live.core.errors import ModelError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Engine
from clipseg_live.core.settings.base import BUILT_IN_MODEL, DEFAULT_MODEL, EngineSettings
from clipseg_live.runtime.inference.server import LiveEngine

if TYPE_CHECKING:
    from clipseg_live.model.driver import DriverSegmenter
    from clipseg_live.model.store.layout import ModelFiles

logger = logging.getLogger(__name__)

ReportProgress = Callable[[str], None]


def make_engine(settings: EngineSettings, on_progress: ReportProgress, on_replaced: ReportProgress) -> LiveEngine:
    """Load the engine of a window.

    If the default model is missing and cannot be downloaded, load the small built-in one.

    Args:
        settings: Settings of the engine.
        on_progress: Called with messages of progress.
        on_replaced: Called with one sentence on why the built-in model is loaded.

    Raises:
        ClipsegLiveError: The model is missing or unusable, or the settings are invalid.
    """
    _leave_a_core()
    try:
        files = find_model(settings, on_progress)
    except ModelError as error:
        from clipseg_live.model.store.hub_errors import without_alternative

        problem = without_alternative(str(error))
        if settings.model != DEFAULT_MODEL:
            raise ModelError(problem) from error
        logger.warning("The model %s is replaced by %s", settings.model, BUILT_IN_MODEL, exc_info=True)
        on_replaced(
            f"{problem} The demo model {BUILT_IN_MODEL} is used for now: it recognises only "
            "coloured shapes in drawn scenes, and privacy effects hide the whole frame."
        )
        settings = settings.model_copy(update={"model": BUILT_IN_MODEL, "size": None})
        files = find_model(settings, on_progress)
    return _load(files, settings, on_progress)


def make_exact_engine(settings: EngineSettings, on_progress: ReportProgress, on_replaced: ReportProgress) -> LiveEngine:
    """Load the engine with the requested model and no other. Arguments and errors are those of ``make_engine``."""
    _leave_a_core()
    return _load(find_model(settings, on_progress), settings, on_progress)


class ReadyEngine(Engine, Protocol):
    """A loaded engine, with the files of its model."""

    files: "ModelFiles"

    @property
    def notices(self) -> tuple[str, ...]:
        """Return messages for the user."""


def find_model(settings: EngineSettings, on_progress: ReportProgress | None = None) -> "ModelFiles":
    """Return the files of the requested model. Download them if they are missing.

    Args:
        settings: Settings of the engine.
        on_progress: Called with messages of a download. Without it, a progress bar is printed.

    Raises:
        UsageError: The settings are invalid.
        ModelError: The files are missing.
    """
    from clipseg_live.model.segmenter import check_options
    from clipseg_live.model.store import loading

    check_options(settings.device, settings.dtype, settings.resize_mode, engine=settings.engine)  # before a download
    if on_progress is None:
        return loading.find_model_files(settings.model)
    return loading.find_model_files(settings.model, on_progress=lambda text: on_progress(f"Downloading {text}"))


def load_engine(
    files: "ModelFiles", settings: EngineSettings, prompts: Sequence[Prompt] = (), *, reuse: bool = False
) -> "DriverSegmenter":
    """Load the requested engine, with the prompts encoded.

    Args:
        files: Files of the model.
        settings: Settings of the engine.
        prompts: Prompts to encode.
        reuse: Reuse tokens between frames. ``settings.reuse`` is for live sessions.

    Raises:
        UsageError: The settings are invalid.
        ModelError: The model cannot be used.
    """
    from clipseg_live.model.driver import DriverSegmenter

    options = settings.model_dump(exclude={"model", "resize_mode", "reuse"})
    engine = DriverSegmenter.load(files, fit=settings.resize_mode, reuse=reuse, **options)
    if prompts:
        engine.encode(prompts)
    return engine


def loading_message(files: "ModelFiles", settings: EngineSettings) -> str:
    """Return a message that the model is loaded, or that it is converted first, which takes longer.

    Raises:
        UsageError: The settings are invalid.
    """
    from clipseg_live.model.segmenter import check_options

    choice = check_options(settings.device, settings.dtype, settings.resize_mode, engine=settings.engine)
    if choice.engine == "openvino":
        from clipseg_live.model.openvino.backend import is_converted

        if not is_converted(files):
            return f"Converting {files.name} for OpenVINO, once"
    return f"Loading {files.name}"


def _load(files: "ModelFiles", settings: EngineSettings, on_progress: ReportProgress) -> LiveEngine:
    on_progress(loading_message(files, settings))
    return load_engine(files, settings, reuse=settings.reuse == "on")


def _leave_a_core() -> None:
    from clipseg_live.model.threads import leave_a_core

    leave_a_core()
