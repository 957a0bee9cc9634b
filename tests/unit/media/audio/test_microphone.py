"""Microphone audio stays in sync with frames, for any clock of the device."""

import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame
from clipseg_live.core.settings.recording import SUFFIXES
from clipseg_live.media.audio.microphone import (
    Listener,
    Microphone,
    MicrophoneTrack,
    SampleBlock,
    SoundDevice,
    find_microphones,
)
from clipseg_live.media.writers.recording import RecordingWriter
from tests.helpers.fakes import FakeMicrophone
from tests.helpers.recordings import (
    clicks_by_ffmpeg,
    clicks_in,
    flashes_in,
    frame_index_at,
    source,
    times_by_ffprobe,
    write,
)
from tests.helpers.rendered import rendered

IN_STEP = 0.04
RATE = 2000
BLOCK = 200
BEGAN = 5000.0
"""Clock time at the start of a simulated recording."""


class PositionsOnly:
    """A track that keeps only the positions of loud samples, with the interface of ``PcmTrack``."""

    def __init__(self) -> None:
        self.rate, self.position, self.clicks, self.silent = RATE, 0, [], 0

    def put(self, samples: np.ndarray, at: int) -> None:
        self.silence(at)
        samples = samples[:, self.position - at :]
        loud = np.flatnonzero(samples[0] > 0.3)
        at_second = (self.position + float(loud.mean())) / self.rate if len(loud) else 0.0
        if len(loud) and not (self.clicks and at_second < self.clicks[-1] + 1):  # a click may be in two blocks
            self.clicks.append(at_second)
        self.position += samples.shape[1]

    def silence(self, until: int) -> None:
        self.silent += max(0, until - self.position)
        self.position = max(self.position, until)

    def finish(self) -> None:
        pass


class Card:
    """A sound card whose clock is ``off`` by a factor (1e-4 is 100 ppm too fast), which starts late and stops for a
    while.

    It clicks every ten seconds of real time. Blocks arrive up to 15 ms after they were recorded.
    """

    def __init__(self, off: float = 0.0, begins: float = 0.0, stops: tuple[float, float] = (0.0, 0.0)) -> None:
        self.rate, self.error = RATE, ""
        self._off, self._stops = off, stops
        self._time = BEGAN + begins
        self._random = np.random.default_rng(5)

    def take(self, until: float, patience: float = 0.0) -> list[SampleBlock]:
        blocks = []
        while (end := self._time + BLOCK / (RATE * (1 + self._off))) <= until - 0.015:
            begin, self._time = self._time, end
            if self._stops[0] <= begin - BEGAN < self._stops[1]:
                continue
            samples = np.zeros((1, BLOCK), np.float32)
            phase = (begin - BEGAN) % 10
            if phase < 0.2 or phase > 9.8:  # near a click
                real = np.linspace(begin, end, BLOCK, endpoint=False) - BEGAN
                samples[0, (real % 10) < 3 / RATE] = 1.0
            blocks.append(SampleBlock(samples, end + self._random.uniform(0, 0.015) - BLOCK / RATE))
        return blocks

    def stop(self) -> None:
        pass


def simulated(card: Card, seconds: float, pauses: tuple[tuple[float, float], ...] = ()) -> PositionsOnly:
    """Simulate ten frames a second. ``pauses`` are (start, duration) of pauses of the recording."""
    track = PositionsOnly()
    heard = MicrophoneTrack(track, card, [])
    paused, waiting = 0.0, list(pauses)
    for number in range(round(seconds * 10)):
        if waiting and number / 10 >= waiting[0][0]:
            paused += waiting.pop(0)[1]
        heard.sync_to(Fraction(number, 10), BEGAN + number / 10 + paused)
    heard.finish()
    heard.close()
    return track


@pytest.mark.slow
@pytest.mark.parametrize(("off", "minutes"), [(1e-4, 60), (-1e-4, 20), (5e-4, 10)])
def test_a_card_with_clock_error_stays_in_sync_for_an_hour(off: float, minutes: int) -> None:
    track = simulated(Card(off), 60 * minutes)
    assert 6 * minutes - 1 <= len(track.clicks) <= 6 * minutes
    beside = [click - 10 * round(click / 10) for click in track.clicks]
    assert max(map(abs, beside)) < IN_STEP
    assert max(map(abs, beside[12:])) < 0.02
    assert track.silent < RATE / 5  # at both ends: corrections leave no gaps


def test_a_card_that_starts_late_and_stops_stays_in_sync() -> None:
    track = simulated(Card(1e-4, begins=12.3, stops=(38.0, 55.0)), 120)
    assert [round(click) for click in track.clicks] == [20, 30, 60, 70, 80, 90, 100, 110]
    assert max(abs(click - round(click)) for click in track.clicks) < IN_STEP
    assert abs(track.silent / RATE - 29.3) < 0.3 and abs(track.position / RATE - 119.9) < 0.01


def test_audio_during_a_pause_is_omitted() -> None:
    track = simulated(Card(), 100, pauses=((25.0, 23.0), (55.5, 4.0)))
    assert [round(click) for click in track.clicks] == [0, 10, 20, 27, 37, 47, 63, 73, 83, 93]
    expected = [0, 10, 20, 27, 37, 47, 63, 73, 83, 93]
    assert max(abs(click - at) for click, at in zip(track.clicks, expected, strict=True)) < IN_STEP


def test_oldest_blocks_are_dropped_and_counted() -> None:
    blocks = [np.full((1, 4800), number, np.float32) for number in range(120)]  # 12 seconds
    fake = FakeMicrophone(blocks, ends=False)
    listener = Listener(fake)
    assert fake.drained.wait(10)
    taken = listener.take(float("inf"))
    assert listener.dropped == 20 and [block.samples[0, 0] for block in taken] == list(range(20, 120))
    fake.release.set()
    listener.stop()
    assert fake.closed == 1 and listener.take(float("inf")) == []


def test_block_times_follow_the_earliest_arrivals() -> None:
    """A device delivers its buffer at once at the start, is late now and then, and loses a second."""
    heard = [number * 0.01 for number in range(200)] + [3 + number * 0.01 for number in range(60)]
    fetched = [max(at, 0.12) + 0.01 + 0.008 * (number % 3) for number, at in enumerate(heard)]
    fake = FakeMicrophone([np.full((1, 480), number, np.float32) for number in range(260)], ends=False)
    listener = Listener(fake, clock=iter(fetched).__next__)
    assert fake.drained.wait(10)
    starts = [block.start for block in listener.take(float("inf"))]
    assert np.allclose(starts, heard, atol=0.001)
    fake.release.set()
    listener.stop()


def test_no_audio_is_used_before_its_time_is_known() -> None:
    fake = FakeMicrophone([np.zeros((1, 480), np.float32)] * 30, ends=False)
    listener = Listener(fake, clock=iter([0.01 * number for number in range(1, 31)]).__next__)
    assert fake.drained.wait(10)
    assert listener.take(float("inf")) == []
    fake.release.set()
    listener.stop()
    assert len(listener.take(0.095)) == 10 and len(listener.take(float("inf"))) == 20


def record(path: Path, microphone: Microphone, codec: str, count: int = 50) -> RecordingWriter:
    """Record five thirds of a second in real time. A frame that arrives late has a later time."""
    writer = RecordingWriter(path, codec, encoder="software", microphone=microphone)
    writer.open(source())
    pace, began = threading.Event(), time.monotonic()
    for number in range(count):
        while (now := time.monotonic()) < began + number / 30:
            pace.wait(began + number / 30 - now)
        time_of_frame = Fraction(round((now - began) * 1000), 1000)
        writer.write(rendered(Frame(frame_index_at(None), number, time_of_frame, captured=now)))
    writer.finish()
    return writer


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_captured_audio_of_ffmpeg_is_recorded(tmp_path: Path, codec: str) -> None:
    """FFmpeg's tone device runs in real time through the code for sound cards."""
    path = tmp_path / f"a{SUFFIXES[codec]}"
    tone = "aevalsrc='0.8*sin(6280*t)*lt(mod(t,0.5),0.02)':s=44100,arealtime"
    writer = record(path, Microphone(capture=lambda: SoundDevice(tone, form="lavfi")), codec)
    assert not writer.notices
    clicks, again = clicks_in(path), clicks_by_ffmpeg(path)
    times = times_by_ffprobe(path)
    end = times["video"][-1] + 1 / 30
    assert abs(len(clicks) - 2 * end) <= 1 and len(again) == len(clicks)
    assert np.allclose(np.diff(clicks), 0.5, atol=0.02) and np.allclose(clicks, again, atol=0.02)
    assert times["audio"][0] < 0.03 and end - 0.17 < times["audio"][-1] < end


@pytest.mark.slow
def test_flash_and_click_are_in_sync(tmp_path: Path) -> None:
    """Blocks of a fake card, and frames with the times of both."""
    path = tmp_path / "a.mp4"
    began = time.monotonic()

    class Clock:
        now = began

        def __call__(self) -> float:
            self.now += 0.02
            return self.now

    blocks = []
    for number in range(150):
        block = np.zeros((1, 960), np.float32)
        if number in (50, 100):
            block[0, :200] = 0.9
        blocks.append(block)
    fake = FakeMicrophone(blocks, ends=False)
    listener = Listener(fake, clock=Clock())
    assert fake.drained.wait(10)

    class Attached(Microphone):
        def attach(self, output, suffix, notices):
            from clipseg_live.media.audio.pcm_track import PcmTrack

            return MicrophoneTrack(PcmTrack(output, suffix, 48_000, 1), listener, notices)

    frames = []
    for number in range(90):
        at = Fraction(number, 30)
        pixels = np.full((48, 64, 3), 250 if at in (1, 2) else 20, np.uint8)
        frames.append((Frame(pixels, number, at, captured=began + float(at)), None))
    fake.release.set()
    write(RecordingWriter(path, microphone=Attached()), source(), frames)
    assert flashes_in(path) == [1.0, 2.0]
    for heard in (clicks_in(path), clicks_by_ffmpeg(path)):
        assert len(heard) == 2 and np.allclose(heard, [1, 2], atol=IN_STEP)


def test_a_microphone_that_is_missing_or_lost_does_not_end_the_recording(tmp_path: Path) -> None:
    missing = record(tmp_path / "a.mp4", Microphone(capture=lambda: FakeMicrophone(missing=True)), "h264", 3)
    assert missing.notices == ["The fake microphone is not there; this recording has no audio."]
    fake = FakeMicrophone([np.zeros((1, 960), np.float32)] * 5, lost=True)
    lost = RecordingWriter(tmp_path / "b.mp4", microphone=Microphone(capture=lambda: fake))
    lost.open(source())
    assert fake.drained.wait(10)
    began = time.monotonic()
    while not lost.notices:
        number = int((time.monotonic() - began) * 1000)
        lost.write(rendered(Frame(frame_index_at(None), number, Fraction(number, 1000), captured=time.monotonic())))
    lost.finish()
    assert lost.notices == ["The fake microphone was lost; the recording continues without its audio."]
    assert fake.closed == 1


def test_an_unresponsive_device_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipseg_live.media.audio.microphone._OPEN_SECONDS", 0.1)
    monkeypatch.setattr("clipseg_live.media.audio.microphone._STOP_SECONDS", 0.1)
    fake = FakeMicrophone(hangs=True)
    writer = record(tmp_path / "a.mp4", Microphone(capture=lambda: fake), "h264", 3)
    assert writer.notices == [
        "The microphone does not respond: choose another, or record without a microphone; this recording has no audio."
    ]
    fake.release.set()


def test_a_missing_device_is_named() -> None:
    with pytest.raises(SourceError, match="'nobody' is unavailable"):
        SoundDevice("nobody", form="lavfi").open()
    assert isinstance(find_microphones(), list)
