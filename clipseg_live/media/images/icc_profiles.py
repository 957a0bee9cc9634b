"""Colour profiles of images: conversion to sRGB on reading, sRGB tags on writing."""

import logging
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

logger = logging.getLogger(__name__)

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_PRIMARIES: dict[int, Chromaticities] = {
    1: (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
"""Chromaticities for each code of colour primaries in ITU-T H.273."""
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""Gamma for codes of transfer characteristics in H.273. Other SDR codes count as sRGB, as in browsers."""
_PQ, _HLG = 16, 18
_REFERENCE_WHITE, _HLG_PEAK = 203.0, 1000.0
"""Luminance of reference white and of the HLG peak, in cd/m² (ITU-R BT.2408)."""
_KNEE = 0.8
_STEPS = 4096
_NEARLY_SRGB = 1
"""Levels of 255. Profiles that differ less from sRGB are skipped, so that sRGB images stay exact."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_SPACES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK", "Lab ": "LAB"}
"""Pillow mode for each colour space of a profile."""


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image to sRGB with its ICC profile.

    The intent is relative colorimetric with black point compensation. A profile that is damaged, unsupported or for
    another colour space is logged and ignored.

    Args:
        image: 8 bits per channel, mode L, LA, P, PA, RGB, RGBA, CMYK or LAB.
        profile: ICC profile.

    Returns:
        RGB, or RGBA if the image has transparency. The same image if the profile is ignored or changes nothing.
    """
    try:
        space = _space_of(profile)
        has_alpha = image.has_transparency_data
        base = _base(image, space)
        if base is None:
            logger.warning("A colour profile is ignored: it is for %r, the image is %s", space, image.mode)
            return image
        transform = _transform(profile, base.mode)
        if transform is None:
            return image
        converted = transform.apply(base)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        logger.warning("A colour profile is ignored: it is damaged or of an unsupported kind", exc_info=True)
        return image
    if has_alpha:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


def _base(image: Image.Image, space: str) -> Image.Image | None:
    """Return the image without alpha in the mode for a colour space, None if it has no such mode."""
    mode = _SPACES.get(space)
    if mode == "RGB":
        if image.mode in ("CMYK", "LAB"):
            return None
        # The conversion through RGBA keeps the colours of palette entries and drops the alpha.
        return image if image.mode == "RGB" else image.convert("RGBA").convert("RGB")
    if mode == "L":
        return image.convert("L") if image.mode in ("1", "L", "LA", "La") else None
    return image if image.mode == mode else None


@lru_cache(maxsize=32)
def _space_of(profile: bytes) -> str:
    return str(ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space)


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB, None if it has no visible effect."""
    transform = ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.ImageCmsProfile(BytesIO(srgb_profile())), mode, "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )  # fmt: skip
    if mode in ("RGB", "L"):
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        if mode == "L":
            before = np.repeat(levels[None, :, None], 3, axis=2)
            sample = Image.fromarray(levels[None])
        else:
            before = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(1, -1, 3)
            sample = Image.fromarray(before)
        after = np.asarray(transform.apply(sample)).astype(int)
        if np.abs(after - before).max() <= _NEARLY_SRGB:
            return None
    return transform


def profile_of(info: Mapping[Any, Any]) -> bytes | None:
    """Return the ICC profile from Pillow's ``Image.info``, or one built from other colour tags.

    The order is: ICC profile, coded colours (``nclx_profile`` of pillow-heif), sRGB, gAMA and cHRM of PNG.
    """
    nclx = info.get("nclx_profile")
    profile = info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    if nclx:
        return coded_profile(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    if "srgb" in info:
        return None
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if not gamma:
        return None
    # 0.45455 means the curve of sRGB, because PNG has no other number for it.
    power = None if abs(gamma - 0.45455) < 0.005 else 1 / gamma
    if power is None and chromaticities is None:
        return None
    return _matrix_profile(chromaticities or _PRIMARIES[1], power)


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """Return an ICC profile for code points of ITU-T H.273; None for those of sRGB and unknown ones."""
    if transfer in (_PQ, _HLG):
        return _matrix_profile(_PRIMARIES.get(primaries, _PRIMARIES[9]), None, transfer)
    if primaries not in _PRIMARIES or (primaries == 1 and transfer not in _GAMMAS):
        return None
    return _matrix_profile(_PRIMARIES[primaries], _GAMMAS.get(transfer))


@lru_cache(maxsize=16)
def _matrix_profile(chromaticities: Chromaticities, power: float | None, transfer: int = 0) -> bytes | None:
    """Return an ICC profile (version 4) of three primaries and one curve.

    Args:
        chromaticities: Primaries and white.
        power: Exponent from signal to light, None for the curve of sRGB.
        transfer: Code of PQ or HLG, replaces ``power``. Each channel is tone-mapped to standard range on its own.
    """
    columns = _adapted(chromaticities)
    if columns is None:
        logger.warning("Colour primaries are ignored: %s are impossible", chromaticities)
        return None
    signal = np.linspace(0, 1, _STEPS)
    if transfer:
        light = _rolled_off(_hdr_light(signal, transfer))
    elif power is None:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    else:
        light = signal**power
    table = (light.clip(0, 1) * 65535).round().astype(">u2").tobytes()
    curve = b"curv\0\0\0\0" + struct.pack(">I", _STEPS) + table
    text = "clipseg-live".encode("utf-16-be")
    name = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": name, b"cprt": name, b"wtpt": _xyz(_D50)}
    tags |= {key: _xyz(column) for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)}
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    directory, data, places = struct.pack(">I", len(tags)), b"", {}
    start = 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        if content not in places:
            places[content] = start + len(data)
            data += content + b"\0" * (-len(content) % 4)
        directory += struct.pack(">4sII", key, places[content], len(content))
    header = struct.pack(">I4xI4s4s4s12x4s24xI3i", start + len(data), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp",
                         1, *_fixed(_D50))  # fmt: skip
    return header.ljust(128, b"\0") + directory + data


def _adapted(chromaticities: Chromaticities) -> NDArray[np.float64] | None:
    """Return the matrix from linear RGB to XYZ, adapted to D50; None for invalid chromaticities."""
    values = np.array(chromaticities, np.float64).reshape(4, 2)
    if not np.isfinite(values).all() or (values[:, 1] <= 0).any():
        return None
    x, y = values.T
    white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    matrix = np.array(primaries).T
    if abs(np.linalg.det(matrix)) < 1e-6:
        return None
    matrix = matrix * np.linalg.solve(matrix, white)
    cones = _BRADFORD @ np.stack([_D50, white], axis=1)
    if (cones[:, 1] <= 0).any():
        return None
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(cones[:, 0] / cones[:, 1]) @ _BRADFORD @ matrix)


def _hdr_light(signal: NDArray[np.float64], transfer: int) -> NDArray[np.float64]:
    """Return the light of PQ or HLG signals; 1 is reference white."""
    if transfer == _PQ:
        root = signal ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return np.asarray(light * 10_000 / _REFERENCE_WHITE)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(scene**1.2 * _HLG_PEAK / _REFERENCE_WHITE)


def _rolled_off(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compress light above a knee so that the brightest light becomes 1."""
    over, span = (light - _KNEE).clip(0), light[-1] - _KNEE
    # Rational curve that starts with slope 1 and reaches 1 - knee at the end of the range.
    bent = over / (1 + over * (1 / (1 - _KNEE) - 1 / span))
    return np.where(light <= _KNEE, light, _KNEE + bent)


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *_fixed(values))


def _fixed(values: NDArray[np.float64]) -> list[int]:
    return [round(float(value) * 65536) for value in values]


@lru_cache(maxsize=1)
def lab_profile() -> bytes:
    """Return an ICC profile of CIE L*a*b*."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB with constant bytes, so that equal images give equal files."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)  # creation date
    return bytes(profile)


def srgb_tag(form: str) -> dict[str, Any]:
    """Return the options of Pillow's ``save`` that tag an image as sRGB.

    Args:
        form: File format, as Pillow names it. Formats without colour tags get no option.
    """
    if form == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add(b"sRGB", b"\0")
        return {"pnginfo": chunks}
    return {"icc_profile": srgb_profile()} if form in ("JPEG", "WEBP", "TIFF") else {}


def tagged_png(data: bytes) -> bytes:
    """Add an sRGB chunk to a PNG file without colour tags."""
    chunk = b"sRGB\0"
    end_of_header = 33
    tag = b"\0\0\0\x01" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return data[:end_of_header] + tag + data[end_of_header:]
