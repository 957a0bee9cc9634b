"""Audio of many codecs is copied if the container supports it, converted otherwise, and never lost."""

import re
import shutil
import subprocess
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.clips import source_frames, write_all
from tests.helpers.clock_jumps import export_all, ffmpeg

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


_SINGLE = ("flv", "ts", "mpg")  # containers whose codecs are tested one by one
GROUPS = [
    *([encoder] for encoder, (container, *_) in CODECS.items() if container in _SINGLE),
    *([encoder for encoder in CODECS if CODECS[encoder][0] == container] for container in ("mkv", "mov", "avi", "nut")),
]


SUFFIXES = ".mkv", ".mp4", ".mov", ".webm"


class Arrived(NamedTuple):
    """An export, the codecs of its audio tracks, and their samples at 8 kHz as decoded by ffmpeg."""

    notices: list[str]
    codecs: list[str]
    waves: list[np.ndarray]


class Exports(NamedTuple):
    """The encoders of a source, the codecs of its audio tracks, and its exports by suffix."""

    encoders: list[str]
    codecs: list[str]
    arrived: dict[str, Arrived]


@pytest.fixture(scope="module", params=GROUPS, ids=lambda group: f"{CODECS[group[0]][0]}-{group[0]}")
def exports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Export a source to all containers, and decode all tracks of all exports with one run of ffmpeg."""
    encoders, folder = request.param, tmp_path_factory.mktemp("codecs")
    source, targets = _source(folder, encoders), [folder / f"out{suffix}" for suffix in SUFFIXES]
    notices = export_all(source, targets)
    inputs = [part for path in (*targets, source) for part in ("-i", str(path))]
    sounds = [
        [(f"{number}:a:{track}", folder / f"{number}-{track}") for track in range(len(encoders))]
        for number in range(len(targets))
    ]
    outputs = [
        part
        for track, path in chain(*sounds)
        for part in ("-map", track, "-ac", "1", "-ar", "8000", "-f", "s16le", str(path))
    ]
    command = ["ffmpeg", "-hide_banner", "-nostdin", *inputs, *outputs]
    done = subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", timeout=60)
    *codecs, before = _codecs(done.stderr, len(targets) + 1)
    waves = [[np.fromfile(path, np.int16) for _, path in each] for each in sounds]
    arrived = map(Arrived, notices, codecs, waves)
    return Exports(encoders, before, dict(zip(SUFFIXES, arrived, strict=True)))


def _codecs(told: str, count: int) -> list[list[str]]:
    """Return the codecs of the audio tracks of each input, as ffmpeg prints them at its start."""
    found = re.findall(r"^ +Stream #(\d+):\d+.*?: Audio: (\w+)", told.partition("Stream mapping:")[0], re.MULTILINE)
    return [[codec for number, codec in found if int(number) == each] for each in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_audio_of_any_codec_is_exported_to_every_container(exports: Exports, suffix: str) -> None:
    """The file has a track for each codec. ffmpeg decodes the results: a tone of 440 Hz and its duration."""
    encoders, before, arrived = exports
    notices, after, waves = arrived[suffix]
    assert len(after) == len(waves) == len(encoders)
    for track, encoder in enumerate(encoders):
        told = [notice for notice in notices if notice.startswith(f"Audio track {track + 1} ")]
        if suffix in CODECS[encoder][2].split():
            # FFmpeg calls all MPEG audio in MP4 "mp3"
            assert not told and after[track] in (before[track], "mp3" if encoder == "mp2" else "")
        else:
            assert len(told) == 1 and "is converted to" in told[0]
            assert after[track] == ("aac" if suffix in (".mp4", ".mov") else "opus")
        wave = waves[track]
        assert 5600 < len(wave) < 7600, encoder
        spectrum = np.abs(np.fft.rfft(wave[1000:5000] * np.hanning(4000)))
        assert abs(int(spectrum.argmax()) * 2 - 440) <= 4, encoder


def _source(folder: Path, encoders: list[str]) -> Path:
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


@pytest.fixture(scope="module", params=["aac", "libmp3lame", "libopus"])
def audio_starts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, float], dict[str, Path]]:
    """Return an audio encoder, the start times of the streams of a source with it, and the exports of the source."""
    folder = tmp_path_factory.mktemp("begun")
    source, targets = folder / "in.mp4", {suffix: folder / f"out{suffix}" for suffix in SUFFIXES}
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=r=48000:d=1", "-c:v", "libx264",
        "-c:a", request.param, str(source),
    )  # fmt: skip
    export_all(source, list(targets.values()))
    return request.param, _starts(source), targets


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_audio_keeps_its_start_time(audio_starts: tuple[str, dict[str, float], dict[str, Path]], suffix: str) -> None:
    """Encoders add priming samples; ffprobe reports when the audible samples start."""
    encoder, starts, targets = audio_starts
    found = _starts(targets[suffix])
    assert found.keys() == {"video", "audio"}
    for kind, start in found.items():
        opus = encoder == "libopus" or suffix == ".webm"  # ffprobe subtracts their delay from the first time
        assert abs(start - starts[kind]) <= (0.008 if opus else 0.001)
    if suffix in (".mkv", ".webm"):
        with av.open(str(targets[suffix])) as container:
            first = next(packet for packet in container.demux(container.streams.audio[0]) if packet.size)
            assert first.pts * first.time_base >= (0 if _codec_copied(encoder, suffix) else Fraction(-1, 125))


def _codec_copied(encoder: str, suffix: str) -> bool:
    return suffix in CODECS[encoder][2].split() and encoder != "libopus"


def _starts(path: Path) -> dict[str, float]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,start_time", "-of", "csv=p=0"]
    done = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True, timeout=60)
    return {kind: float(start) for kind, start in (line.split(",")[:2] for line in done.stdout.split())}


def test_ffv1_has_its_codec_id_in_matroska(tmp_path: Path) -> None:
    write_all(VideoWriter(tmp_path / "out.mkv", "ffv1"), *source_frames(3))
    data = (tmp_path / "out.mkv").read_bytes()
    assert b"\x86\x86V_FFV1" in data and b"V_MS/VFW" not in data  # the element CodecID
