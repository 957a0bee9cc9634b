"""Segment images and videos by text or image prompts with CLIPSeg.

Public names are imported on first use, so that ``import clipseg_live`` is fast.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from clipseg_live import _moved
from clipseg_live._version import __version__ as __version__

if TYPE_CHECKING:
    from clipseg_live.app.api import draw as draw
    from clipseg_live.app.api import export as export
    from clipseg_live.app.api import make_mattes as make_mattes
    from clipseg_live.app.evaluate import evaluate as evaluate
    from clipseg_live.app.stream import stream as stream
    from clipseg_live.app.video_index import IndexRequest as IndexRequest
    from clipseg_live.app.video_index import build_index as build_index
    from clipseg_live.core.errors import ClipsegLiveError as ClipsegLiveError
    from clipseg_live.core.errors import Failure as Failure
    from clipseg_live.core.errors import UsageError as UsageError
    from clipseg_live.core.image_input import from_bgr as from_bgr
    from clipseg_live.core.prompts import Prompt as Prompt
    from clipseg_live.core.segmentation import Segmentation as Segmentation
    from clipseg_live.core.settings.base import PromptStyle as PromptStyle
    from clipseg_live.core.settings.live import LiveSettings as LiveSettings
    from clipseg_live.core.settings.rendering import ExportSettings as ExportSettings
    from clipseg_live.core.settings.rendering import MatteSettings as MatteSettings
    from clipseg_live.index.index import Index as Index
    from clipseg_live.media.images.reader import read_image as read_image
    from clipseg_live.model.segmenter import Segmenter as Segmenter

_moved.install()
logging.getLogger(__name__).addHandler(logging.NullHandler())  # programs configure logging themselves

_HOMES = {
    "ClipsegLiveError": "clipseg_live.core.errors",
    "Failure": "clipseg_live.core.errors",
    "UsageError": "clipseg_live.core.errors",
    "ExportSettings": "clipseg_live.core.settings.rendering",
    "Index": "clipseg_live.index.index",
    "IndexRequest": "clipseg_live.app.video_index",
    "LiveSettings": "clipseg_live.core.settings.live",
    "MatteSettings": "clipseg_live.core.settings.rendering",
    "Prompt": "clipseg_live.core.prompts",
    "PromptStyle": "clipseg_live.core.settings.base",
    "Segmentation": "clipseg_live.core.segmentation",
    "Segmenter": "clipseg_live.model.segmenter",
    "build_index": "clipseg_live.app.video_index",
    "draw": "clipseg_live.app.api",
    "evaluate": "clipseg_live.app.evaluate",
    "export": "clipseg_live.app.api",
    "from_bgr": "clipseg_live.core.image_input",
    "make_mattes": "clipseg_live.app.api",
    "read_image": "clipseg_live.media.images.reader",
    "stream": "clipseg_live.app.stream",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
