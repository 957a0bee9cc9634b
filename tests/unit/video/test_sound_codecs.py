"""Sound of many codecs: copied where the container has a name for it, converted where not, and never lost."""

import shutil
import subprocess
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from clipseg_live.video.writer import VideoWriter
from tests.unit.video.clips import drawn, write_all
from tests.unit.video.jumping import export, ffmpeg

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")

# encoder of the ffmpeg program: (container, sample rate, suffixes to which packets are copied)
CODECS: dict[str, tuple[str, int, str]] = {
    "aac": ("mkv", 48000, ".mkv .mp4 .mov"),
    "ac3": ("mkv", 48000, ".mkv .mp4 .mov"),
    "eac3": ("mkv", 48000, ".mkv .mp4 .mov"),
    "libmp3lame": ("avi", 48000, ".mkv .mp4 .mov"),
    "mp2": ("mkv", 48000, ".mkv .mp4 .mov"),
    "libopus": ("mkv", 48000, ".mkv .mp4 .webm"),
    "libvorbis": ("mkv", 48000, ".mkv .webm"),
    "flac": ("mkv", 48000, ".mkv .mp4"),
    "alac": ("mov", 48000, ".mkv .mp4 .mov"),
    "dca": ("mkv", 48000, ".mkv .mp4"),
    "truehd": ("mkv", 48000, ".mkv"),
    "wavpack": ("mkv", 48000, ".mkv"),
    "wmav2": ("avi", 48000, ""),
    "adpcm_ms": ("avi", 48000, ""),
    "adpcm_ima_wav": ("avi", 48000, ""),
    "adpcm_ima_qt": ("mov", 48000, ""),
    "adpcm_swf": ("flv", 22050, ""),
    "g726": ("avi", 8000, ""),
    "g722": ("avi", 16000, ""),
    "g723_1": ("avi", 8000, ""),
    "nellymoser": ("flv", 8000, ""),
    "pcm_mulaw": ("avi", 48000, ".mov"),
    "pcm_alaw": ("mov", 48000, ".mov"),
    "pcm_u8": ("avi", 48000, ".mkv .mov"),
    "pcm_s8": ("mov", 48000, ".mov"),
    "pcm_s16le": ("mkv", 48000, ".mkv .mov"),
    "pcm_s16be": ("mov", 48000, ".mkv .mov"),
    "pcm_s24le": ("mkv", 48000, ".mkv .mov"),
    "pcm_s24be": ("mov", 48000, ".mkv .mov"),
    "pcm_s32le": ("avi", 48000, ".mkv .mov"),
    "pcm_f32le": ("mkv", 48000, ".mkv .mov"),
    "pcm_f32be": ("mov", 48000, ".mov"),
    "pcm_f64le": ("mkv", 48000, ".mkv .mov"),
    "pcm_dvd": ("mpg", 48000, ""),
    "pcm_s64le": ("nut", 48000, ""),
    "pcm_u16le": ("nut", 48000, ""),
    "s302m": ("ts", 48000, ""),
}
_BIT_RATES = {"g726": "32k", "g723_1": "6.3k"}
_PICTURES = {"ts": "mpeg2video", "mpg": "mpeg2video", "flv": "flv1"}


_SINGLE = ("flv", "ts", "mpg")  # containers whose codecs are tried one by one
GROUPS = [
    *([encoder] for encoder, (container, *_) in CODECS.items() if container in _SINGLE),
    *([encoder for encoder in CODECS if CODECS[encoder][0] == container] for container in ("mkv", "mov", "avi", "nut")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("codecs")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
@pytest.mark.parametrize("encoders", GROUPS, ids=lambda group: f"{CODECS[group[0]][0]}-{group[0]}")
def test_sound_of_any_codec_arrives_in_every_container(
    folder: Path, tmp_path: Path, encoders: list[str], suffix: str
) -> None:
    """The file has a track for each codec. The ffmpeg program decodes the results: a tone of 440 Hz, and its length."""
    source, target = _source(folder, tuple(encoders)), tmp_path / f"out{suffix}"
    notices = export(source, target)
    before, after = _codecs(source), _codecs(target)
    assert len(after) == len(encoders)
    for track, encoder in enumerate(encoders):
        told = [notice for notice in notices if notice.startswith(f"Sound track {track + 1} ")]
        if suffix in CODECS[encoder][2].split():
            # ffprobe calls all MPEG audio in MP4 by the name of its third layer
            assert not told and after[track] in (before[track], "mp3" if encoder == "mp2" else "")
        else:
            assert len(told) == 1 and "is converted to" in told[0]
            assert after[track] == ("aac" if suffix in (".mp4", ".mov") else "opus")
        out = ffmpeg("-i", str(target), "-map", f"0:a:{track}", "-ac", "1", "-ar", "8000", "-f", "s16le", "-")
        wave = np.frombuffer(out, np.int16)
        assert 5600 < len(wave) < 7600, encoder
        spectrum = np.abs(np.fft.rfft(wave[1000:5000] * np.hanning(4000)))
        assert abs(int(spectrum.argmax()) * 2 - 440) <= 4, encoder


@cache
def _source(folder: Path, encoders: tuple[str, ...]) -> Path:
    container = CODECS[encoders[0]][0]
    source = folder / f"{encoders[0]}.{container}"
    tracks: list[str] = []
    for number, encoder in enumerate(encoders):
        rate = CODECS[encoder][1]
        tracks += [f"-c:a:{number}", encoder, f"-ar:a:{number}", str(rate)]
        tracks += [f"-ac:a:{number}", "1" if rate <= 16000 else "2"]
        tracks += [f"-b:a:{number}", _BIT_RATES[encoder]] if encoder in _BIT_RATES else []
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.8", "-f", "lavfi", "-i", "sine=440:d=0.8", "-map", "0:v",
        *(["-map", "1:a"] * len(encoders)), "-c:v", _PICTURES.get(container, "mpeg4"), *tracks, "-strict", "-2",
        str(source),
    )  # fmt: skip
    return source


def _codecs(path: Path) -> list[str]:
    command = ["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]
    done = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True, timeout=60)
    names = [line.strip(",") for line in done.stdout.split()]
    return names[: len(names) // 2] if path.suffix in (".ts", ".mpg") else names  # told for its programs as well


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
@pytest.mark.parametrize("encoder", ["aac", "libmp3lame", "libopus"])
def test_sound_begins_where_it_began(tmp_path: Path, encoder: str, suffix: str) -> None:
    """Encoders put samples before the beginning; ffprobe tells when what is heard begins."""
    source, target = tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=r=48000:d=1", "-c:v", "libx264",
        "-c:a", encoder, str(source),
    )  # fmt: skip
    export(source, target)
    for kind in "va":
        opus = encoder == "libopus" or suffix == ".webm"  # whose delay ffprobe takes off the first time
        assert abs(_start(target, kind) - _start(source, kind)) <= (0.008 if opus else 0.001)
    if suffix in (".mkv", ".webm"):
        with av.open(str(target)) as container:
            first = next(packet for packet in container.demux(container.streams.audio[0]) if packet.size)
            assert first.pts * first.time_base >= (0 if _codec_copied(encoder, suffix) else Fraction(-1, 125))


def _codec_copied(encoder: str, suffix: str) -> bool:
    return suffix in CODECS[encoder][2].split() and encoder != "libopus"


def _start(path: Path, kind: str) -> float:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        kind,
        "-show_entries",
        "stream=start_time",
        "-of",
        "csv=p=0",
    ]
    done = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True, timeout=60)
    return float(done.stdout.strip().strip(","))


def test_ffv1_has_its_own_name_in_matroska(tmp_path: Path) -> None:
    write_all(VideoWriter(tmp_path / "out.mkv", "ffv1"), *drawn(3))
    data = (tmp_path / "out.mkv").read_bytes()
    assert b"\x86\x86V_FFV1" in data and b"V_MS/VFW" not in data  # the element CodecID
