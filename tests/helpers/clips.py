"""Small clips for tests, encoded with PyAV."""

import pickle
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from clipseg_live.core.frame import Frame, SourceInfo
from tests.helpers.rendered import rendered

HEIGHT, WIDTH = 48, 64


def numbered_image(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return a smooth image without symmetry that depends on ``number``: uint8 RGB."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 40 + 150 * rows / max(height, 1)
    green = 30 + 160 * columns / max(width, 1)
    blue = np.full((height, width), 60 + (number * 13) % 120)
    made = np.stack([red, green, blue], axis=2)
    made[: height // 3, : width // 4] = (220, 40, 40)
    return made.astype(np.uint8)


def make_clip(path: Path, **options: Any) -> Path:
    """Write the clip that ``encoded`` describes. A clip with the same options is encoded only once."""
    path.write_bytes(_clip(path.suffix, pickle.dumps(options)))
    return path


@lru_cache(maxsize=64)
def _clip(suffix: str, options: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return encoded(Path(folder) / f"clip{suffix}", **pickle.loads(options)).read_bytes()


def encoded(
    path: Path,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction = Fraction(30),
    count: int = 10,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    time_base: Fraction | None = None,
    stamps: Sequence[int] | None = None,
    rotation: tuple[int, bool, bool] | None = None,
    sound: Sequence[str] = (),
    sound_seconds: float = 0.5,
    noise: bool = False,
    options: dict[str, str] | None = None,
    **context: object,
) -> Path:
    """Encode ``count`` frames.

    ``stamps`` are multiples of ``time_base``, or of 1/rate if it is None.
    """
    base = time_base or 1 / rate
    generator = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "10"} | (options or {}))
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = base
        stream.time_base = base
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        tracks = [container.add_stream(each, rate=48000) for each in sound]
        for track in tracks:
            track.layout = "stereo"
        for number in range(count):
            pixels = numbered_image(number, *size)
            if noise:
                pixels = generator.integers(0, 256, pixels.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = (stamps[number] if stamps else number), base
            container.mux(stream.encode(frame))
        for track in tracks:
            container.mux(track.encode(tone(sound_seconds)))
            container.mux(track.encode(None))
        container.mux(stream.encode(None))
    return path


def tone(seconds: float) -> av.AudioFrame:
    wave = (np.sin(np.arange(round(48000 * seconds)) * 440 * 2 * np.pi / 48000) * 12000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts = 48000, 0
    return frame


def raw_times(path: Path) -> list[Fraction]:
    """Return the presentation times of the video frames, as PyAV reports them."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def packets(path: Path, stream: int = 0, kind: str = "audio") -> list[tuple[Fraction, bytes]]:
    """Return the time and the bytes of a stream's packets."""
    with av.open(str(path)) as container:
        chosen = getattr(container.streams, kind)[stream]
        return [(each.pts * each.time_base, bytes(each)) for each in container.demux(chosen) if each.size]


def read_all(source) -> tuple[SourceInfo, list[Frame]]:
    info = source.open()
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return info, frames


def write_all(writer, info: SourceInfo, frames: Sequence[Frame]) -> None:
    writer.open(info)
    for frame in frames:
        writer.write(rendered(frame))
    writer.finish()


def source_frames(count: int = 10, rate: Fraction = Fraction(30), size: tuple[int, int] = (HEIGHT, WIDTH), **fields):
    """Return the information and the frames of an artificial source."""
    info = SourceInfo(
        name="drawn", width=size[1], height=size[0], rate=rate, time_base=1 / rate, frame_count=count, **fields
    )
    frames = [Frame(numbered_image(n, *size), n, n / rate, 1 / rate) for n in range(count)]
    return info, frames
