"""Entry point of ``python -m clipseg_live`` and of the command ``clipseg-live``."""

import os
import sys

from clipseg_live.core.system import signals

signals.begin()  # before the imports below, which are slow

from clipseg_live.cli.main import log_folder, run  # noqa: E402
from clipseg_live.core.system import console, logs  # noqa: E402

if sys.platform == "win32":
    # OpenCV reads this on import. Without it, some cameras take half a minute to open (OpenCV issue 17687).
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")


def main() -> None:
    """Run the command line and exit with its code."""
    console.protect()
    with logs.installed(log_folder()):
        code = run(sys.argv[1:])
    signals.end_at_once(code)  # a signal during the shutdown of Python does not change the exit code
    sys.exit(code)


if __name__ == "__main__":
    main()
