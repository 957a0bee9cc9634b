"""Sizes and progress as text and numbers."""

import re


def size_text(size: int) -> str:
    """Return a size in bytes as text, with units in powers of ten."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit in ("B", "kB") or value >= 100 else f"{value:.1f} {unit}"


def parse_progress(progress: str) -> float | None:
    """Return the progress in a text such as "34 %" or "120 of 600 MB", 0 to 1; None without one."""
    share = re.search(r"(\d+(?:\.\d+)?)\s*%", progress)
    if share:
        return min(float(share[1]) / 100, 1.0)
    parts = re.search(r"(\d+(?:\.\d+)?)\s*(?:of|/)\s*(\d+(?:\.\d+)?)", progress)
    if parts and float(parts[2]) > 0:
        return min(float(parts[1]) / float(parts[2]), 1.0)
    return None
