"""Formatting of times as text."""

from fractions import Fraction


def format_time(seconds: Fraction | float, decimals: int = 0) -> str:
    """Format seconds as ``2:03``, ``1:02:03`` or, with decimals, ``0:01.250``.

    Args:
        seconds: Finite time in seconds. Negative times start with a minus sign.
        decimals: Number of digits after the point. The time is rounded to the last digit.
    """
    scale = 10**decimals
    total = round(Fraction(seconds) * scale)
    whole, part = divmod(abs(total), scale)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    end = f".{part:0{decimals}}" if decimals else ""
    return f"{'-' if total < 0 else ''}{front}:{whole:02}{end}"


def frame_number(time: Fraction, rate: Fraction) -> int:
    """Return the number of the frame at a time, from 0, in a file with this average frame rate.

    It is exact if all frames have the same duration and the first is at 0 s.

    Args:
        time: Time of the frame in seconds.
        rate: Frames per second.
    """
    return round(time * rate)
