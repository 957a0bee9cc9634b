"""``python -m clipseg_live`` and the console command ``clipseg-live``."""

import os
import sys

from clipseg_live.cli.main import run

if sys.platform == "win32":
    # OpenCV reads it when it is imported; without it some cameras take half a minute to open (its issue 17687).
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
