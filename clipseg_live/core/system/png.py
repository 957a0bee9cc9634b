"""PNG files for notebooks, made without an image library."""

import base64
import html
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LONGEST = 960


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as a PNG file. Large images are subsampled.

    Args:
        pixels: Grey (height, width) or RGB (height, width, 3).
    """
    step = -(-max(pixels.shape[:2]) // _LONGEST)
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    height, width = pixels.shape[:2]
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each line starts with its filter type: none
    lines[:, 1:] = pixels.reshape(height, -1)
    kind = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">2I5B", width, height, 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"sRGB", b"\0"), (b"IDAT", zlib.compress(lines.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def figures(images: Sequence[tuple[NDArray[np.uint8], str]], width: int = 240) -> str:
    """Return images with captions, side by side, as HTML."""
    return "".join(
        f'<figure style="display: inline-block; margin: 4px"><img width="{width}" '
        f'src="data:image/png;base64,{base64.b64encode(png(pixels)).decode("ascii")}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for pixels, caption in images
    )
