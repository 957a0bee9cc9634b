"""Write data of every format like a recording, and wait to be killed.

python -m tests.helpers.killed_writer FOLDER FRAMES
"""

import sys
from pathlib import Path

from clipseg_live.core.settings.base import DATA_FORMATS
from clipseg_live.core.settings.recording import data_path
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes
from tests.helpers.rendered import rendered

STEM = "talk 10.20.30"


def main(folder: Path, count: int) -> None:
    info, frames, mattes = frames_with_mattes(count)
    sinks = [
        open_data_sink(form, data_path(folder, STEM, form), DataOptions(HEADER, LABELS[:2], live=True))
        for form in DATA_FORMATS
    ]
    for sink in sinks:
        sink.open(info)
    for frame, frame_mattes in zip(frames, mattes, strict=True):
        for sink in sinks:
            sink.write(rendered(frame, frame_mattes, LABELS))
    sys.stdout.write("written\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
