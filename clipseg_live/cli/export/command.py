"""``clipseg-live export``: write videos and images with effects, and masks as data."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import with_options
from clipseg_live.cli.export.batch import run_many
from clipseg_live.cli.export.options import ExportOptions, check_places, parse_data, parse_times
from clipseg_live.cli.export.single import run_one
from clipseg_live.cli.settings import PromptedSettings, prompted_settings
from clipseg_live.cli.shared_options import AnnotationOptions, InputOptions, SegmentationOptions, given, refuse_session
from clipseg_live.cli.sources import sequence_rate

if TYPE_CHECKING:
    from fractions import Fraction

    from clipseg_live.core.settings.rendering import ExportSettings

_INPUT = (
    "A video, an image, a folder or pattern of images, or demo: (demo:SEED for another scene). Several images, and "
    "folders and patterns of images, are one set of photos. With --into, any number of inputs, also folders and "
    "patterns of videos."
)


@with_options()
def export(
    sources: Annotated[list[str], typer.Argument(metavar="INPUT", help=_INPUT, callback=refuse_session)],
    segmentation: SegmentationOptions,
    reading: InputOptions,
    own: ExportOptions,
    annotations: AnnotationOptions,
) -> None:
    """Segment a video and write it with effects. Frame size, timestamps, audio and colours are preserved."""
    from clipseg_live.app.export import ExportRequest
    from clipseg_live.core.errors import UsageError

    places, sequence = own.places, sequence_rate(reading)
    check_places(sources, places, sequence)
    data = parse_data(places)
    if own.results.alpha and segmentation.effects.effect is not None:
        raise UsageError("No effects are drawn on a transparent result: leave out --effect or --alpha.")
    demo = all(source.startswith("demo:") for source in sources)
    found = prompted_settings(segmentation, demo=demo)
    settings = _export_settings(found, reading, own, annotations, sequence)
    output = places.output if places.into is None else places.into
    request = ExportRequest(sources[0], output, found.prompts, settings, framing=found.live.framing)
    if places.into is None:
        request = replace(request, masks=places.masks, data=tuple(data), maps=places.maps)
        run_one(request, sources, places.suffix)
    else:
        jobs = 1 if places.jobs is None else places.jobs
        formats = [form for form, _ in data]
        run_many(
            sources,
            places.into,
            request,
            suffix=places.suffix,
            masks=places.masks,
            data=formats,
            jobs=jobs,
            json_output=places.json_output,
        )


def _export_settings(
    found: PromptedSettings,
    reading: InputOptions,
    own: ExportOptions,
    annotations: AnnotationOptions,
    sequence: "Fraction | None",
) -> "ExportSettings":
    from clipseg_live.core.settings.annotations import AnnotationSettings
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.rendering import ExportSettings

    values = {**parse_times(own.times), **given(own.results)}
    if reading.deinterlace is not None:
        values["deinterlace"] = reading.deinterlace
    return validated(
        ExportSettings,
        engine=found.live.engine,
        render=found.look,
        matte=found.live.matte,
        annotations=validated(AnnotationSettings, **given(annotations), **given(own.split)),
        sequence=sequence,
        **values,
    )
