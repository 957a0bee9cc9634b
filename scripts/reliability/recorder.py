"""A live session that records without a window, steered by its arguments; the other programs here kill it.

It prints, many times a second, a line of JSON: what is recorded, and the worker's process.
"""

import argparse
import json
import resource
import sys
import threading
import time
from pathlib import Path

from clipseg_live.app.session import make_session
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import Message, WorkerState
from clipseg_live.runtime.session import Session
from tests.helpers.live_engine import fake

_printing = threading.Lock()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", default="{}", help="of the recording, as JSON")
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--engine", choices=["fake", "shapes"], default="fake")
    parser.add_argument("--largest-file", type=int, help="bytes that the system lets a file have")
    parser.add_argument("--loop", action="store_true")
    given = parser.parse_args()
    if given.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.largest_file, given.largest_file))
    rows = (PromptRow(id=0, text="red circle" if given.engine == "shapes" else "red", style=PromptStyle()),)
    settings = LiveSettings(rows=rows, engine=EngineSettings(model=given.engine))
    session = _session(settings, given.engine)
    session.on_message = _say
    session.start()
    session.set_loop(given.loop)
    width, height = (int(side) for side in given.size.split("x"))
    spec = SourceSpec(name=given.source)
    session.open(spec.model_copy(update={"width": width, "height": height}) if ":" in given.source[:6] else spec)
    tick = threading.Event()
    while session.picture() is None:
        tick.wait(0.02)
    session.start_recording(given.folder, RecordingSettings.model_validate_json(given.settings))
    end = time.monotonic() + given.seconds
    asked: list[str] = []
    threading.Thread(target=lambda: asked.extend(sys.stdin.readline()), daemon=True).start()
    while time.monotonic() < end and not asked and session.status().recording.active:
        _tell(session)
        tick.wait(0.02)
    session.stop_recording()
    left = session.stop()
    _print(left=left)
    return 0


def _session(settings: LiveSettings, engine: str) -> Session:
    if engine == "shapes":
        return make_session(settings)
    from clipseg_live.app import session as live

    return Session(settings, live.session_tools(fake))


def _tell(session: Session) -> None:
    status = session.status()
    if status.worker.state is WorkerState.WAITING:
        session.restart_worker()  # as a person does who has read why it waits
    recording = status.recording
    _print(
        seconds=recording.seconds,
        dropped=recording.dropped,
        size=recording.size,
        worker=status.worker.process_id,
        ready=status.worker.state is WorkerState.READY,
        source=status.source.state.value,
        display=status.rates.display,
    )


def _say(message: Message) -> None:
    _print(message=message.text, topic=message.topic)


def _print(**values: object) -> None:
    """One line, whichever threads print at the same time."""
    with _printing:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
