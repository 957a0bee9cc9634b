"""A session with a network camera whose server is killed and restarted: the video stays, and continues by itself."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from clipseg_live.app.session import session_tools
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import SourceState
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.runtime.session import Session
from tests.helpers.live_engine import make_fake_engine
from tests.helpers.servers import HTTPHandler, Server

PATIENCE = 30.0


def wait(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        threading.Event().wait(0.01)


def test_a_recording_continues_after_a_killed_server_restarts(tmp_path: Path) -> None:
    settings = LiveSettings(rows=(PromptRow(id=0, text="red"),))
    session = Session(settings, session_tools(make_fake_engine))
    shown = []
    session.on_picture = lambda: shown.append(session.picture())
    with Server(HTTPHandler) as server:
        session.start()
        session.open(SourceSpec(name=f"http://127.0.0.1:{server.port}/live.mjpg"))
        wait(lambda: len(shown) > 5)
        session.start_recording(tmp_path, RecordingSettings(pattern="r"))
        wait(lambda: session.status().recording.seconds > 0.2)
        server.kill()
        wait(lambda: session.status().source.state is SourceState.RECONNECTING)
        assert session.picture() is not None and session.status().recording.active
        server.start()
        wait(lambda: session.status().source.state is SourceState.RUNNING)
        before = len(shown)
        wait(lambda: len(shown) > before + 10)
        recorded = session.status().recording.seconds
        wait(lambda: session.status().recording.seconds > recorded)
        assert session.stop() == ()
    source = VideoFileSource(tmp_path / "r.mp4")
    source.open()
    times = [frame.time for frame in iter(source.read, None)]
    source.close()
    assert len(times) > 15 and times[0] == 0 and times == sorted(set(times))
