"""Folders that tests read from."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Folder of the checkout."""

DATA = ROOT / "tests" / "data"
CERTIFICATES = DATA / "certificates"
