"""After a recording: files of fragments become plain ones, and files of killed runs are found again."""

from pathlib import Path

import av

from clipseg_live.core.errors import SourceError
from clipseg_live.video.container import open_input


def plays(path: Path) -> bool:
    """Whether at least one picture of a file can be decoded."""
    try:
        with open_input(path) as container:
            return next(container.decode(video=0), None) is not None
    except (SourceError, av.FFmpegError, OSError, ValueError, IndexError):
        return False
