"""``python -m clipseg_live`` and the console command ``clipseg-live``."""

import os
import sys

from clipseg_live.core.system import signals

signals.begin()  # before the imports below, which take a while

from clipseg_live.cli.main import log_folder, run  # noqa: E402
from clipseg_live.core.system import console, logs  # noqa: E402

if sys.platform == "win32":
    # OpenCV reads it when it is imported; without it some cameras take half a minute to open (its issue 17687).
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")


def main() -> None:
    console.protect()
    with logs.installed(log_folder()):
        code = run(sys.argv[1:])
    signals.end_at_once(code)  # the result stands: a signal while Python ends changes nothing of it
    sys.exit(code)


if __name__ == "__main__":
    main()
