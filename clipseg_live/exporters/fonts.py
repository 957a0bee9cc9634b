"""Choice of a font that has the letters of a text."""

from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SYSTEM = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "Hiragino Sans GB.ttc",
    "arial.ttf", "msyh.ttc", "YuGothR.ttc", "malgun.ttf", "seguisym.ttf", "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf",
)  # fmt: skip
"""Fonts of Linux, macOS and Windows; Pillow knows their folders."""
_NOWHERE = "\U0010fffd"
"""Character that no font has, drawn as a missing glyph."""


@lru_cache(maxsize=64)
def font_for(text: str, size: int) -> Font:
    """Return Pillow's own font if it has every letter of the text, else the system font that lacks the fewest."""
    best, fewest = ImageFont.load_default(size), _missing(ImageFont.load_default(size), text)
    for name in _SYSTEM if fewest else ():
        try:
            font = ImageFont.truetype(name, size)
        except OSError:  # it is not installed
            continue
        lacking = _missing(font, text)
        if lacking < fewest:
            best, fewest = font, lacking
        if not fewest:
            break
    return best


def _missing(font: Font, text: str) -> int:
    nothing = bytes(font.getmask(_NOWHERE))
    return sum(bytes(font.getmask(letter)) == nothing for letter in set(text) if not letter.isspace())
