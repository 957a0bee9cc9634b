"""Videos with multichannel audio, and their Core Audio channel descriptions."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48000


def make_surround(path: Path, layouts: Sequence[str], codec: str = "pcm_s16le", seconds: float = 0.4) -> Path:
    """Encode ten frames, and an audio track for each layout. Its channel k has a tone of 200 (k + 1) Hz."""
    with av.open(str(path), "w") as container:
        video_streams = []
        if path.suffix not in (".wav", ".caf"):
            video = container.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video_streams = [video]
        tracks = []
        for layout in layouts:
            track = container.add_stream(codec, rate=RATE)
            track.layout = layout
            tracks.append(track)
        for stream in video_streams:
            for number in range(round(25 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 9, np.uint8), "rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        time = np.arange(round(RATE * seconds)) / RATE
        for track, layout in zip(tracks, layouts, strict=True):
            count = av.AudioLayout(layout).nb_channels
            waves = np.stack([0.3 * np.sin(2 * np.pi * 200 * (k + 1) * time) for k in range(count)], axis=1)
            samples = (waves * 32767).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def tones(path: Path, track: int, channels: int) -> list[int]:
    """Return the strongest frequency of each channel of an audio track, in units of 200 Hz."""
    parts = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        resampler = av.AudioResampler("flt", None, RATE)
        for frame in container.decode(stream):
            for part in resampler.resample(frame):
                parts.append(part.to_ndarray().reshape(-1, channels))
    spectrum = np.abs(np.fft.rfft(np.concatenate(parts)[4096:12288], axis=0))
    return [round(int(peak) * RATE / 8192 / 200) for peak in spectrum.argmax(axis=0)]


def describe_channels(path: Path, labels: Sequence[int]) -> Path:
    """Label every channel of the first audio track of a MOV file (chan box of QuickTime, Core Audio labels)."""
    described = struct.pack(">III", 0, 0, len(labels)) + b"".join(struct.pack(">II12x", label, 0) for label in labels)
    return _replace_box(path, b"\0\0\0\0" + described)


def tag_channels(path: Path, tag: int) -> Path:
    """Set the Core Audio layout tag of the first audio track of a MOV file."""
    return _replace_box(path, b"\0\0\0\0" + struct.pack(">III", tag, 0, 0))


def _replace_box(path: Path, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    at = data.index(b"chan") - 4
    old = int.from_bytes(data[at : at + 4], "big")
    new = (8 + len(content)).to_bytes(4, "big") + b"chan" + content
    for start in _parents(data, 0, len(data), at):
        size = int.from_bytes(data[start : start + 4], "big") + len(new) - old
        data[start : start + 4] = size.to_bytes(4, "big")
    data[at : at + old] = new
    path.write_bytes(data)
    return path


def _parents(data: bytearray, begin: int, end: int, at: int) -> list[int]:
    """Return the positions of the boxes that contain a position."""
    while begin + 8 <= end:
        size, name = int.from_bytes(data[begin : begin + 4], "big"), bytes(data[begin + 4 : begin + 8])
        if size < 8:
            return []
        if begin < at < begin + size:
            inner = begin + {b"stsd": 16, b"sowt": 36, b"wave": 8}.get(name, 8)
            if name == b"sowt" and int.from_bytes(data[begin + 16 : begin + 18], "big") == 1:
                inner += 16
            return [begin, *_parents(data, inner, begin + size, at)]
        begin += size
    return []
