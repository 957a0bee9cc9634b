"""HDR and wide-gamut videos of an image, made by FFmpeg (zscale), and the colour difference of images."""

import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from tests.helpers.paths import ROOT

SCENE = ROOT / "docs" / "pictures" / "scene.png"
_TAGS = {
    "pq": ("smpte2084", "bt2020", "bt2020nc"),
    "hlg": ("arib-std-b67", "bt2020", "bt2020nc"),
    "bt2020": ("bt2020-10", "bt2020", "bt2020nc"),
    "p3": ("bt709", "smpte432", "bt709"),
}
_LINEAR = {"pq": "smpte2084", "hlg": "arib-std-b67", "bt2020": "bt2020-10", "p3": "bt709"}


def tag_options(kind: str) -> list[str]:
    transfer, primaries, matrix = _TAGS[kind]
    return ["-color_trc", transfer, "-color_primaries", primaries, "-colorspace", matrix]


def encode_scene(
    path: Path, kind: str, pixel_format: str = "yuv420p10le", codec: tuple[str, ...] = ("-c:v", "ffv1"),
    *, image: Path = SCENE, tags: bool = True, full_range: bool = False, count: int = 1,
) -> Path:  # fmt: skip
    """Encode an SDR image, with its white at 203 cd/m² for HDR. A video with the same options is encoded only once."""
    path.write_bytes(_encoded(path.suffix, kind, pixel_format, codec, image, tags, full_range, count))
    return path


@lru_cache(maxsize=32)
def _encoded(
    suffix: str, kind: str, pixel_format: str, codec: tuple[str, ...], image: Path, tags: bool, full_range: bool,
    count: int,
) -> bytes:  # fmt: skip
    transfer, primaries, matrix = _TAGS[kind]
    range_ = "full" if full_range else "limited"
    convert = (
        f"format=gbrp,zscale=tin=bt709:pin=bt709:t={transfer}:npl=203:p={primaries}:m={matrix}:r={range_},"
        f"format={pixel_format}"
    )
    named = [*tag_options(kind), "-color_range", "pc" if full_range else "tv"] if tags else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scene{suffix}"
        run("-loop", "1", "-i", image, "-vf", convert, "-frames:v", count, *codec, *named, path)
        return path.read_bytes()


def run(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True, timeout=120)


def colour_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return dE76 at each pixel: CIELAB, D65, of sRGB images."""
    one, other = (cv2.cvtColor(np.float32(each) / 255, cv2.COLOR_RGB2LAB) for each in (first, second))
    return np.linalg.norm(one - other, axis=2)
