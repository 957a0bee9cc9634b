"""``python -m clipseg_live`` and the console command ``clipseg-live``."""

import os
import sys

from clipseg_live.cli.main import log_folder, run
from clipseg_live.core import logs

if sys.platform == "win32":
    # OpenCV reads it when it is imported; without it some cameras take half a minute to open (its issue 17687).
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")


def main() -> None:
    with logs.installed(log_folder()):
        code = run(sys.argv[1:])
    sys.exit(code)


if __name__ == "__main__":
    main()
