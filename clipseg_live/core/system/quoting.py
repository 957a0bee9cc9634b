"""Quoting of user input in messages, shortened and on one line."""

import unicodedata

LINE_COLUMNS = 60
"""Maximum number of columns of a quotation in a message."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_KEPT = frozenset("\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-16}")
"""Invisible characters that are parts of emoji."""


def shorten(text: str, width: int = LINE_COLUMNS) -> str:
    """Return a text in double quotes on one line, shortened by ``one_line``."""
    return f'"{one_line(text, width)}"'


def one_line(text: str, width: int = LINE_COLUMNS) -> str:
    """Return a text on one line.

    White space becomes single spaces. Control characters and invisible characters are replaced. Text longer than
    ``width`` columns is cut and ends in an ellipsis. East Asian characters and emoji take two columns.
    """
    plain = " ".join(text[: 20 * width].split())
    shown, columns, whole = "", 0, len(text) <= 20 * width
    for letter in plain:
        columns += _columns(letter)
        if columns > width:
            whole = False
            break
        shown += (
            letter if letter in _KEPT or unicodedata.category(letter) not in _INVISIBLE else "\N{REPLACEMENT CHARACTER}"
        )
    if not whole:
        while shown and (unicodedata.combining(shown[-1]) or shown[-1] in _KEPT or shown[-1] == " "):
            shown = shown[:-1]
        shown += "…"
    return shown


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or letter in _KEPT:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
