"""Process that describes channel layouts for ``guarded_av``; it imports little because it starts once per file."""

import json
import sys
from typing import Any, cast

import av

from clipseg_live.media.ffmpeg.whitelist import file_options


def main() -> None:
    """Print the index and layout of each audio track of a file as JSON."""
    av.logging.set_skip_repeated(False)
    container = av.open(f"file:{sys.argv[1]}", metadata_errors="replace", container_options=file_options())
    av.logging.set_level(av.logging.INFO)
    layouts = []
    for line in cast(Any, container).dumps_format().splitlines():
        head, is_sound, rest = line.partition(": Audio: ")
        if is_sound and "Stream #0:" in head:
            index = head.partition("Stream #0:")[2]
            digits = index[: len(index) - len(index.lstrip("0123456789"))]
            fields = rest.partition(" Hz, ")[2].split(", ")
            layouts.append((int(digits), fields[0].strip()))
    json.dump(layouts, sys.stdout)
