"""``clipseg-live watch``: print predictions for a source as JSON lines, for scripts."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.headless.source_messages import SourceMessages
from clipseg_live.cli.options import (
    MATTES,
    DeinterlaceOption,
    Insecure,
    Model,
    Prompts,
    RateOption,
    RtspTransport,
    Sequence,
    SessionOption,
    Source,
    TrustSession,
    sequence_rate,
    source_spec,
)
from clipseg_live.core.system import console

if TYPE_CHECKING:
    from clipseg_live.core.status import SourceStatus
    from clipseg_live.runtime.stream import StreamFrame


def watch(
    source: Source,
    prompt: Prompts = None,
    session: SessionOption = None,
    trust_session: TrustSession = False,
    model: Model = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="The probability from which on a pixel counts.",
            show_default="0.5",
            rich_help_panel=MATTES,
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(metavar="N", help="End after so many frames.")] = None,
    sequence: Sequence = False,
    rate: RateOption = None,
    deinterlace: DeinterlaceOption = "auto",
    rtsp_transport: RtspTransport = "auto",
    insecure: Insecure = False,
) -> None:
    """Print one JSON line for each frame and prompt: time, presence, area and box. Ctrl-C ends it."""
    from clipseg_live.app.stream import stream
    from clipseg_live.core.errors import Failure, UsageError
    from clipseg_live.core.session_file import load_session

    settings = load_session(session, trusted=trust_session) if session is not None else None
    if not prompt and (settings is None or not any(row.prompt for row in settings.shown())):
        raise UsageError('There is no prompt: say what to look for, such as -p "red circle".')
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise UsageError(f"A threshold of {threshold} is not possible: it is a probability, from 0 to 1.")
    spec = source_spec(source, rtsp_transport, insecure, sequence_rate(sequence, rate), deinterlace=deinterlace)
    told = _Told()
    with stream(spec, prompt or (), settings, threshold=threshold, model=model, on_status=told) as found:
        problem = ""
        for number, item in enumerate(found, start=1):
            if item.problem and item.problem != problem:
                print(item.problem, file=sys.stderr)  # noqa: T201
            problem = item.problem or problem
            _print(item)
            if number == frames or console.is_closed() or console.output_failure():
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
        probability: Largest probability, 0..1.
        area: Area of the mask, 0..1.
        box: Box of the mask as [x, y, width, height] in pixels, or null if the mask is empty.
    """
    import numpy as np

    entries: list[dict[str, object]] = []
    mattes = item.mattes
    for number, prompt in enumerate(item.drawn):
        mask = mattes.each[number].alpha >= 128
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = None
        if len(rows):
            left, top = int(columns[0]), int(rows[0])
            box = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
        entries.append(
            {
                "frame": item.frame.index,
                **({} if item.frame.file is None else {"file": str(item.frame.file)}),
                "time": round(float(item.frame.time), 6),
                "prompt": prompt.label,
                "present": box is not None,
                "presence": round(mattes.presence[number], 4),
                "probability": round(float(mattes.maps[number].max()), 4),
                "area": round(float(mask.mean()), 6),
                "box": box,
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
