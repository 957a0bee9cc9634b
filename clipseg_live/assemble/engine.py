"""The engine of the inference worker. Importing this module costs nothing; only a call loads what it needs."""

from collections.abc import Callable

from clipseg_live.core.errors import ModelError
from clipseg_live.core.settings import DEFAULT_MODEL, EngineSettings
from clipseg_live.pipeline.worker_process import LiveEngine

SHAPES = "shapes"


def make_engine(
    settings: EngineSettings, on_progress: Callable[[str], None], on_notice: Callable[[str], None]
) -> LiveEngine:
    """Load the engine, in the worker's process, where it leaves a core to the picture. Raises the errors of core.

    Where the default model is not there and cannot be fetched, the built-in small one takes its place, and a notice
    says so.
    """
    from clipseg_live.model import loading
    from clipseg_live.model.devices import leave_a_core
    from clipseg_live.model.driver import DriverSegmenter
    from clipseg_live.model.segmenter import check_options

    leave_a_core()
    check_options(settings.device, settings.dtype, settings.fit)
    values = settings.model_dump(exclude={"model"})
    try:
        files = loading.find(settings.model, on_progress=lambda words: on_progress(f"Downloading {words}"))
    except ModelError:
        if settings.model != DEFAULT_MODEL:
            raise
        on_notice(
            f"The model {settings.model} is not on this machine and could not be downloaded: check the network. Until "
            f"then the small model {SHAPES} runs; it knows coloured shapes on drawn scenes only."
        )
        return DriverSegmenter.load(SHAPES, **{**values, "size": None})
    on_progress(f"Loading {files.name}")
    return DriverSegmenter.load(files, **values)
