"""Record a live session without a window. The other programs in this folder start and kill this process.

It prints a line of JSON many times per second: the state of the recording, the source and the worker.
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
from tests.helpers.live_engine import make_fake_engine

_printing = threading.Lock()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", default="{}", help="settings of the recording, as JSON")
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--engine", choices=["fake", "shapes"], default="fake")
    parser.add_argument("--largest-file", type=int, help="limit of the size of a file, in bytes")
    parser.add_argument("--loop", action="store_true")
    options = parser.parse_args()
    if options.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file, options.largest_file))
    rows = (PromptRow(id=0, text="red circle" if options.engine == "shapes" else "red", style=PromptStyle()),)
    settings = LiveSettings(rows=rows, engine=EngineSettings(model=options.engine))
    session = _session(settings, options.engine)
    session.on_message = _report_message
    session.start()
    session.set_loop(options.loop)
    width, height = (int(side) for side in options.size.split("x"))
    spec = SourceSpec(name=options.source)
    session.open(spec.model_copy(update={"width": width, "height": height}) if ":" in options.source[:6] else spec)
    tick = threading.Event()
    while session.picture() is None:
        tick.wait(0.02)
    session.start_recording(options.folder, RecordingSettings.model_validate_json(options.settings))
    end = time.monotonic() + options.seconds
    commands: list[str] = []
    threading.Thread(target=lambda: commands.extend(sys.stdin.readline()), daemon=True).start()
    while time.monotonic() < end and not commands and session.status().recording.active:
        _report(session)
        tick.wait(0.02)
    session.stop_recording()
    left = session.stop()
    _print(left=left)
    return 0


def _session(settings: LiveSettings, engine: str) -> Session:
    if engine == "shapes":
        return make_session(settings)
    from clipseg_live.app import session as live

    return Session(settings, live.session_tools(make_fake_engine))


def _report(session: Session) -> None:
    status = session.status()
    if status.worker.state is WorkerState.WAITING:
        session.restart_worker()  # like a user after the message
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


def _report_message(message: Message) -> None:
    _print(message=message.text, topic=message.topic)


def _print(**values: object) -> None:
    """Print one line. Several threads may call this at the same time."""
    with _printing:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
