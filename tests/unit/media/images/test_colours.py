"""Colours of images: profiles are converted to sRGB, and written images are tagged as sRGB."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from clipseg_live.core.frame import SourceInfo
from clipseg_live.exporters.frame_files import encode_image
from clipseg_live.exporters.masks import encode_png
from clipseg_live.media.images.icc_profiles import coded_profile, srgb_profile
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.images.writers import ImageWriter
from tests.helpers.clips import numbered_image, read_all
from tests.helpers.paths import DATA
from tests.helpers.rendered import rendered

P3 = DATA / "p3.png"
"""Its profile has the primaries of Display P3 and a gamma of 563/256."""
P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
SRGB_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def to_xyz(primaries, white=(0.3127, 0.3290)) -> np.ndarray:
    matrix = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = white
    return matrix * np.linalg.solve(matrix, [x / y, 1, (1 - x - y) / y])


def in_srgb(values, primaries, to_light) -> np.ndarray:
    """Return the reference conversion without lcms, in levels of 255; both spaces have the white point D65."""
    light = to_light(np.asarray(values) / 255) @ (np.linalg.inv(to_xyz(SRGB_XY)) @ to_xyz(primaries)).T
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_light(signal):
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def untagged(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def profile() -> bytes:
    with Image.open(P3) as image:
        return image.info["icc_profile"]


@pytest.fixture(scope="module")
def p3_in_srgb() -> np.ndarray:
    return in_srgb(untagged(P3), P3_XY, lambda signal: signal ** (563 / 256))


def difference(read_with, wanted) -> float:
    return float(np.abs(np.asarray(read_with, float) - wanted).mean())


def test_a_display_p3_image_is_converted(p3_in_srgb):
    assert difference(read_image(P3), p3_in_srgb) < 1
    assert difference(untagged(P3), p3_in_srgb) > 10, "without its profile"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.tif", "a.avif", "a.heic", "a.jp2.png"])
def test_profiles_of_all_formats_are_used(tmp_path, name, profile, p3_in_srgb):
    pytest.importorskip("pillow_heif").register_heif_opener()
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 98, "subsampling": 0}, ".avif": {"quality": 99}}
    with Image.open(P3) as image:
        image.save(tmp_path / name, icc_profile=profile, **options.get(Path(name).suffix, {"quality": 98}))
    assert difference(read_image(tmp_path / name), p3_in_srgb) < 2.5


def test_transparency_and_palettes_keep_their_colours(tmp_path, profile):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = (230, 40, 60), 255
    pixels[:2, :, 3] = 0
    wanted = in_srgb((230, 40, 60), P3_XY, lambda signal: signal ** (563 / 256))
    image = Image.fromarray(pixels)
    image.save(tmp_path / "rgba.png", icc_profile=profile)
    image.quantize(4).save(tmp_path / "palette.png", icc_profile=profile)
    for name in ("rgba.png", "palette.png"):
        read_with = read_image(tmp_path / name)
        assert (read_with[:2] == 0).all() and np.abs(read_with[2:] - wanted).max() <= 1.5


def test_srgb_images_stay_exact(tmp_path):
    for name, made in (
        ("own", srgb_profile()), ("lcms", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    ):  # fmt: skip
        Image.fromarray(numbered_image(0)).save(tmp_path / f"{name}.png", icc_profile=made)
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), numbered_image(0))


def grey_profile() -> bytes:
    """Return an ICC profile for grey with linear light."""
    curve = b"curv" + bytes(8)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    name = b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78)
    tags = {b"desc": name, b"wtpt": white, b"kTRC": curve}
    directory, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, content in tags.items():
        directory += struct.pack(">4sII", key, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s24xI3i", start + len(data), 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp", 1,
                       63190, 65536, 54061)  # fmt: skip
    return head.ljust(128, b"\0") + directory + data


def test_grey_profiles_are_applied(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    wanted = 255 * np.where(ramp / 255 <= 0.0031308, 12.92 * ramp / 255, 1.055 * (ramp / 255) ** (1 / 2.4) - 0.055)
    Image.fromarray(ramp).save(tmp_path / "grey.png", icc_profile=grey_profile())
    assert difference(read_image(tmp_path / "grey.png")[..., 1], wanted) < 1
    with_alpha = Image.merge("LA", (Image.fromarray(ramp), Image.new("L", (256, 4), 255)))
    with_alpha.save(tmp_path / "alpha.png", icc_profile=grey_profile())
    assert difference(read_image(tmp_path / "alpha.png")[..., 1], wanted) < 1


def test_a_colour_profile_of_a_grey_image_is_applied(tmp_path, profile):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    Image.fromarray(ramp).save(tmp_path / "grey.png", icc_profile=profile)
    wanted = in_srgb(np.repeat(ramp[..., None], 3, axis=2), SRGB_XY, lambda signal: signal ** (563 / 256))
    assert difference(read_image(tmp_path / "grey.png"), wanted) < 1


@pytest.mark.parametrize("damage", ["cut", "noise", "text", "wrong space", "empty"])
def test_unusable_profiles_are_ignored(tmp_path, damage, profile, caplog):
    broken = {
        "cut": profile[:200], "noise": bytes(np.random.default_rng(0).integers(0, 256, 500, np.uint8)),
        "text": b"no profile", "wrong space": grey_profile(), "empty": b"",
    }[damage]  # fmt: skip
    Image.fromarray(numbered_image(0)).save(tmp_path / "a.png", icc_profile=broken)
    assert np.array_equal(read_image(tmp_path / "a.png"), numbered_image(0))
    assert damage == "empty" or "profile is ignored" in caplog.text


def cmyk_profile() -> bytes:
    """Return an ICC profile for CMYK with an unusual ink: a table with the device colours as its corners."""
    grid = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    spaces = [ImageCms.ImageCmsProfile(ImageCms.createProfile(name)) for name in ("sRGB", "LAB")]
    lab = ImageCms.ImageCmsTransform(*spaces, "RGB", "LAB")
    corners = b""
    for c, m, y, k in grid:
        # weak inks: at most 60 % of the light is absorbed, and black leaves 20 %
        rgb = tuple(round(255 * (1 - 0.6 * ink) * (1 - 0.8 * k)) for ink in (c, m, y))
        light, a, b = np.asarray(lab.apply(Image.new("RGB", (1, 1), rgb)))[0, 0]
        signed = [(int(value) + 128) % 256 for value in (a, b)]
        corners += struct.pack(">3H", int(light) * 0xFF00 // 255, *(value << 8 for value in signed))
    identity = struct.pack(">2H", 0, 65535)
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft2\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + struct.pack(">2H", 2, 2) + identity * 4 + corners
    table += identity * 3
    name = b"desc" + bytes(4) + struct.pack(">I", 2) + b"c\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"desc": name, b"wtpt": white, b"A2B0": table, b"A2B1": table}
    directory, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, content in tags.items():
        directory += struct.pack(">4sII", key, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s24xI3i", start + len(data), 0x02100000, b"prtr", b"CMYK", b"Lab ", b"acsp", 1,
                       63190, 65536, 54061)  # fmt: skip
    return head.ljust(128, b"\0") + directory + data


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_converted_by_its_profile(tmp_path, name):
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    image.save(tmp_path / name, icc_profile=cmyk_profile(), **({"quality": 98} if name == "a.jpg" else {}))
    read_with = read_image(tmp_path / name)[8, 8].astype(int)
    assert 85 < read_with[0] < 125 and read_with[1:].min() > 235, "weak cyan, not (0, 255, 255)"
    image.save(tmp_path / name)
    assert np.abs(read_image(tmp_path / name)[8, 8].astype(int) - (0, 255, 255)).max() <= 3


def test_lab_images_are_converted(tmp_path):
    lab = ImageCms.profileToProfile(
        Image.fromarray(numbered_image(0)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    lab.save(tmp_path / "lab.tif")
    assert difference(read_image(tmp_path / "lab.tif"), numbered_image(0)) < 1.5


def with_chunks(path: Path, **chunks: bytes) -> Path:
    data, made = path.read_bytes(), b""
    for name, content in chunks.items():
        chunk = name.encode() + content
        made += struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + made + data[33:])
    return path


def test_colour_chunks_of_png_are_used(tmp_path):
    pixels = numbered_image(0)

    def read_with(**chunks: bytes) -> np.ndarray:
        Image.fromarray(pixels).save(tmp_path / "a.png")
        return read_image(with_chunks(tmp_path / "a.png", **chunks))

    xy = [round(100000 * value) for pair in ((0.3127, 0.3290), *P3_XY) for value in pair]
    chromaticities = struct.pack(">8I", *xy)
    assert difference(read_with(gAMA=struct.pack(">I", 100000)), in_srgb(pixels, SRGB_XY, lambda signal: signal)) < 1
    assert (
        difference(read_with(gAMA=struct.pack(">I", 45455), cHRM=chromaticities), in_srgb(pixels, P3_XY, srgb_light))
        < 1
    )
    assert difference(read_with(cICP=bytes((12, 13, 0, 1))), in_srgb(pixels, P3_XY, srgb_light)) < 1
    assert np.array_equal(read_with(gAMA=struct.pack(">I", 45455)), pixels)
    assert np.array_equal(read_with(sRGB=b"\0", gAMA=struct.pack(">I", 100000)), pixels)
    assert np.array_equal(read_with(gAMA=struct.pack(">I", 0), cHRM=bytes(32)), pixels)
    assert np.array_equal(read_with(gAMA=struct.pack(">I", 45455), cHRM=bytes(32)), pixels)


def test_cicp_colours_are_used():
    """sRGB and unknown codes need no conversion. HDR is mapped to a range that shows white as white."""
    assert coded_profile(1, 13) is None and coded_profile(2, 2) is None and coded_profile(77, 1) is None
    for transfer in (16, 18):
        made = coded_profile(9, transfer)
        ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
        shown = ImageCms.profileToProfile(
            ramp, ImageCms.ImageCmsProfile(io.BytesIO(made)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        levels = np.asarray(shown)[0, :, 1].astype(int)
        assert (np.diff(levels) >= 0).all() and levels[0] == 0 and levels[-1] >= 250


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("top", [1, 255, 65535])
def test_deep_and_float_grey_images_are_scaled(tmp_path, values, top):
    ramp = np.linspace(0, top, 64 * 48).reshape(48, 64)
    Image.fromarray(ramp.astype(values)).save(tmp_path / "deep.tif")
    limit = top if values is np.float32 else 65535
    assert np.abs(read_image(tmp_path / "deep.tif")[..., 2] - ramp.astype(values) * (255.0 / limit)).max() <= 0.51


def test_float_images_of_any_range_are_normalised(tmp_path):
    ramp = np.linspace(-3, 5, 64 * 48, dtype=np.float32).reshape(48, 64)
    ramp[0, 5] = np.nan
    Image.fromarray(ramp).save(tmp_path / "any.tif")
    read_with = read_image(tmp_path / "any.tif")[..., 0].astype(float)
    assert np.abs(read_with[1:] - (ramp[1:] + 3) / 8 * 255).max() <= 0.51


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_results_are_tagged(tmp_path, name):
    frame = read_all_of(tmp_path)
    writer = ImageWriter(tmp_path / name)
    writer.open(SourceInfo("a", 64, 48, None, Fraction(1)))
    writer.write(rendered(frame))
    writer.finish()
    assert is_tagged((tmp_path / name).read_bytes())
    if name != "a.jpg":
        assert np.array_equal(read_image(tmp_path / name), frame.pixels)


def test_images_of_data_formats_are_tagged():
    colours = Image.fromarray(numbered_image(0))
    for form in ("PNG", "JPEG", "WEBP", "TIFF"):
        assert is_tagged(encode_image(colours, form))
    assert is_tagged(encode_png(numbered_image(0))) and is_tagged(
        encode_png(np.dstack([numbered_image(0), numbered_image(1)[..., 0]]))
    )
    mask = np.eye(8, dtype=np.uint8)
    assert b"sRGB" not in encode_png(mask), "a mask has no colours"


def read_all_of(folder: Path):
    from clipseg_live.media.images.sequences import ImageSource

    Image.fromarray(numbered_image(0)).save(folder / "source.png")
    return read_all(ImageSource(folder / "source.png"))[1][0]


def is_tagged(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        if image.info.get("srgb") == 0:
            return True
        made = ImageCms.ImageCmsProfile(io.BytesIO(image.info.get("icc_profile", b"")))
        return "sRGB" in ImageCms.getProfileDescription(made)
