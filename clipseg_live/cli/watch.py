"""``clipseg-live watch``: print predictions for a source as JSON lines, for scripts."""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import OTHER, option, with_options
from clipseg_live.cli.headless.source_messages import SourceMessages
from clipseg_live.cli.settings import prompted_settings
from clipseg_live.cli.shared_options import InputOptions, NetworkOptions, SegmentationOptions, Source
from clipseg_live.cli.sources import source_spec
from clipseg_live.core.system import console

if TYPE_CHECKING:
    from clipseg_live.core.status import SourceStatus
    from clipseg_live.runtime.stream import StreamFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """Options of ``watch`` alone."""

    frames: Annotated[int | None, option(OTHER, "N", "Stop after this many frames.")] = None


@with_options(smoothing="0", motion_tracking="no", edges="off")
def watch(
    source: Source,
    segmentation: SegmentationOptions,
    reading: InputOptions,
    network: NetworkOptions,
    own: WatchOptions,
) -> None:
    """Print one JSON line for each frame and prompt: time, presence, area and box. Ctrl-C stops it.

    Nothing is drawn: effects only matter if they hide something, because masks are larger then.
    """
    from clipseg_live.app.stream import stream
    from clipseg_live.core.errors import Failure
    from clipseg_live.core.settings.live import LiveSettings
    from clipseg_live.core.settings.rendering import PLAIN_MATTES

    plain = LiveSettings(matte=PLAIN_MATTES)
    found = prompted_settings(segmentation, plain, exclusive=False, demo=source.startswith("demo:"))
    spec = source_spec(source, reading, network)
    told = _Told()
    with stream(spec, found.prompts, found.live, styles=found.look.styles, on_status=told) as items:
        problem = ""
        notices: tuple[str, ...] = ()
        for number, item in enumerate(items, start=1):
            for notice in items.notices:
                if notice not in notices:
                    print(notice, file=sys.stderr)  # noqa: T201
            notices = items.notices
            if item.problem and item.problem != problem:
                print(item.problem, file=sys.stderr)  # noqa: T201
            problem = item.problem or problem
            _print(item)
            if number == own.frames or console.is_closed() or console.output_failure():
                break
    broken = console.output_failure()
    if broken is not None:
        raise Failure(f"The results could not be written: {broken.strerror or broken}.")
    if told.photos:
        raise typer.Exit(1)


def describe_frame(item: "StreamFrame") -> list[dict[str, object]]:
    """Return one entry for each drawn prompt of a frame.

    Its keys are:
        frame: Number of the frame.
        file: Path of the photo, for photos only.
        time: Time in seconds.
        prompt: Label of the prompt.
        present: Whether the mask is not empty.
        presence: Presence, 0..1.
        probability: Mean probability in the mask, 0..1; 0 if the mask is empty.
        area: Area of the mask as a share of the frame, 0..1.
        box: Box of the mask as [x, y, width, height] in pixels, or null if the mask is empty.
    """
    from clipseg_live.exporters.datasets.instances import annotations_of, empty_annotation

    entries: list[dict[str, object]] = []
    for number, prompt in enumerate(item.drawn):
        masks = annotations_of(item.frame, item.mattes, number, "prompt")
        mask = masks[0] if masks else empty_annotation(item.frame, item.mattes, number)
        entries.append(
            {
                "frame": item.frame.index,
                **({} if item.frame.file is None else {"file": str(item.frame.file)}),
                "time": round(float(item.frame.time), 6),
                "prompt": prompt.label,
                "present": bool(masks),
                "presence": mask.presence,
                "probability": round(mask.probability, 4),
                "area": round(mask.area / (item.frame.width * item.frame.height), 6),
                "box": list(mask.box) if masks else None,
            }
        )
    return entries


def _print(item: "StreamFrame") -> None:
    escaped = console.ascii_only(sys.stdout)
    for entry in describe_frame(item):
        sys.stdout.write(json.dumps(entry, ensure_ascii=escaped) + "\n")
    sys.stdout.flush()


class _Told:
    """Writes a message to standard error when the source is lost, and when it is back."""

    def __init__(self) -> None:
        self._told = SourceMessages()

    @property
    def photos(self) -> int:
        """Return the number of photos that could not be read."""
        return self._told.photos

    def __call__(self, status: "SourceStatus") -> None:
        if sentence := self._told.news(status):
            print(sentence, file=sys.stderr, flush=True)  # noqa: T201
