"""Names for packages that add effects, data formats and sources.

A package adds them by entry points of the groups ``clipseg_live.effects``, ``clipseg_live.exporters`` and
``clipseg_live.sources``. The pages ``docs/how-to/add-*.md`` show one of each. The names here stay the same as long as
``INTERFACE_VERSION`` does.
"""

from typing import TYPE_CHECKING

from clipseg_live.core.errors import Failure, SinkError, SourceError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Matte, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import RGB, UnitInterval
from clipseg_live.core.settings.data_formats import FormatSpec
from clipseg_live.core.settings.effects import EffectInfo, EffectSettings, Length
from clipseg_live.core.settings.plugins import INTERFACE_VERSION
from clipseg_live.core.settings.source_schemes import SourceRequest, SourceScheme
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.media.atomic_output import AtomicOutput

if TYPE_CHECKING:  # imports OpenCV, which the settings of an effect do not need
    from clipseg_live.rendering.blending import EffectCanvas

__all__ = [
    "INTERFACE_VERSION",
    "RGB",
    "AtomicOutput",
    "DataOptions",
    "EffectCanvas",
    "EffectInfo",
    "EffectSettings",
    "Failure",
    "FormatSpec",
    "Frame",
    "Label",
    "Length",
    "Matte",
    "Mattes",
    "RenderedFrame",
    "SinkError",
    "SourceError",
    "SourceInfo",
    "SourceRequest",
    "SourceScheme",
    "UnitInterval",
    "UsageError",
]


def __getattr__(name: str) -> object:
    if name == "EffectCanvas":
        from clipseg_live.rendering.blending import EffectCanvas

        return EffectCanvas
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
