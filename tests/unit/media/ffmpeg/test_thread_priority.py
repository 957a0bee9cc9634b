"""No encoder leaves threads with real-time scheduling, which libsvtav1 requests if it runs as root."""

import os
import sys
from pathlib import Path

import pytest

from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.clips import source_frames
from tests.helpers.rendered import rendered


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
@pytest.mark.parametrize("codec", ["av1", "h265", "h264", "vp9"])
def test_no_thread_becomes_real_time(tmp_path: Path, codec: str) -> None:
    info, frames = source_frames(3)
    writer = VideoWriter(tmp_path / "o.mkv", codec=codec)
    writer.open(info)
    for frame in frames:
        writer.write(rendered(frame))
        assert {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")} <= ORDINARY
    writer.finish()
    assert os.sched_getscheduler(0) in ORDINARY


ORDINARY = {getattr(os, name) for name in ("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE") if hasattr(os, name)}
