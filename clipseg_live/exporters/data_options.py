"""Options of an exporter, the same for every data format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from clipseg_live.core.mattes import Label
from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Options of a data exporter. A format ignores the options that it does not support.

    Attributes:
        header: How the masks are made.
        labels: Prompts that are listed even if they never appear.
        overwrite: Replace an existing file or folder.
        quality: Quality of a video, 0 to 100.
        start: Time in seconds at which the frames of a video begin; None for the start of the source.
        end: Time in seconds before which the frames of a video end; None for the end of the source.
        live: Written by a recording: under a visible name, and in such a way that ``recovery`` can complete it if the
            process is killed.
        annotations: How annotations are written.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    overwrite: bool = False
    quality: int = 70
    start: Fraction | None = None
    end: Fraction | None = None
    live: bool = False
    annotations: AnnotationSettings = DEFAULT_ANNOTATIONS


NO_OPTIONS = DataOptions()
