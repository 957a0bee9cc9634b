"""``python -m clipseg_live`` and the console command ``clipseg-live``."""

import sys

from clipseg_live.cli.main import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
