"""Seeking and stepping in files: a seek gives the same frame as sequential reading."""

import random
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.demo.source import DemoSource
from clipseg_live.media.sources import seekable
from clipseg_live.media.sources.live_sources import open_playback
from clipseg_live.media.sources.seekable import PlaybackSource
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clips import make_clip, numbered_image, read_all

TICK = Fraction(1, 1_000_000)
REORDERED = {"bf": "3", "g": "24", "keyint_min": "24", "sc_threshold": "0"}


def irregular_times(count: int) -> list[int]:
    """Return irregular timestamps in milliseconds, with a late first one and a long gap."""
    generator = random.Random(4)
    stamps = [450]
    for number in range(1, count):
        stamps.append(stamps[-1] + generator.choice([1, 17, 33, 40, 120]) + (3000 if number == count // 2 else 0))
    return stamps


def check_at(source: PlaybackSource, frames: list[Frame], time: Fraction, follow: int = 3) -> None:
    source.seek(time)
    number = max(bisect_right([frame.time for frame in frames], time) - 1, 0)
    for wanted in [*frames[number : number + follow], None][:follow]:
        seen = source.read()
        if wanted is None:
            assert seen is None
            return
        assert seen is not None and seen.time == wanted.time and seen.duration == wanted.duration
        np.testing.assert_array_equal(seen.pixels, wanted.pixels)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [10_000, 48 * 2**20], ids=["one frame kept", "many kept"])
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_seek_equals_sequential_reading(tmp_path, monkeypatch, suffix, uneven, kept):
    monkeypatch.setattr(seekable, "_KEPT_BYTES", kept)
    path = tmp_path / f"a.{suffix}"
    if uneven:
        make_clip(path, count=90, time_base=Fraction(1, 1000), stamps=irregular_times(90), options=REORDERED)
    else:
        make_clip(path, count=90, rate=Fraction(30000, 1001), options=REORDERED)
    frames = read_all(VideoFileSource(path))[1]
    assert len(frames) == 90
    source = open_playback(path)
    source.open()
    generator = random.Random(9)
    times = [frame.time for frame in generator.sample(frames, 12)]
    last = frames[-1].time
    for time in [*times, Fraction(0), last, last + 1000, last, Fraction(-3), last / 2]:
        for exact in (time, time - TICK, time + TICK):
            check_at(source, frames, exact, generator.choice([1, 2, 5]))
    source.close()


@pytest.mark.slow
def test_steps_back_reach_every_frame(tmp_path):
    path = make_clip(
        tmp_path / "b.mkv", count=60, time_base=Fraction(1, 1000), stamps=irregular_times(60), options=REORDERED
    )
    frames = read_all(VideoFileSource(path))[1]
    source = open_playback(path)
    source.open()
    source.seek(Fraction(10**6))
    frame = source.read()
    seen = [frame]
    while frame.time > frames[0].time:
        source.seek(frame.time - TICK)
        frame = source.read()
        seen.append(frame)
    assert [frame.time for frame in reversed(seen)] == [frame.time for frame in frames]
    assert [frame.index for frame in seen] == list(range(60))  # it counts returned frames
    source.close()


class Counting:
    """A long source of coloured frames that counts its reads and opens."""

    def __init__(self, count: int = 3000) -> None:
        self.count, self.opened, self.read_frames = count, 0, 0
        self.breaks_at: int | None = None
        self.length = Fraction(1, 30)

    def __call__(self, start: Fraction | None) -> "Counting._One":
        return self._One(self, start)

    class _One:
        def __init__(self, owner: "Counting", start: Fraction | None) -> None:
            self.owner, self.next = owner, -int(-(start or 0) // owner.length)

        def open(self) -> SourceInfo:
            self.owner.opened += 1
            if self.next >= self.owner.count:
                raise SourceError("nothing lies there.")
            length = self.owner.count * self.owner.length
            return SourceInfo("counting", 4, 3, 1 / self.owner.length, self.owner.length, duration=length)

        def read(self) -> Frame | None:
            number = self.next
            if number == self.owner.breaks_at:
                raise SourceError("counting is damaged.")
            if number >= self.owner.count:
                return None
            self.next += 1
            self.owner.read_frames += 1
            pixels = np.full((3, 4, 3), number % 256, np.uint8)
            return Frame(pixels, 0, number * self.owner.length, self.owner.length)

        def close(self) -> None:
            self.next = 10**9


@pytest.mark.slow
def test_an_endless_scene_can_be_sought():
    def scene(start: Fraction | None) -> DemoSource:
        return DemoSource(3, 64, 48, start=start or Fraction(0))

    inner = scene(None)
    inner.open()
    frames = [inner.read() for _ in range(60)]
    source = PlaybackSource(scene)
    assert source.open().duration is None
    for time in (Fraction(1), Fraction(1, 2), Fraction(0), Fraction(57, 30) + TICK, Fraction(40, 30) - TICK):
        check_at(source, frames, time)
    source.seek(Fraction(10**5))
    assert source.read().time == 10**5
    source.close()


def test_a_seek_reads_only_a_few_frames():
    owner = Counting()
    source = PlaybackSource(owner)
    source.open()
    for time in (Fraction(50), Fraction(10), Fraction(99), Fraction(1, 3)):
        owner.opened = owner.read_frames = 0
        source.seek(time)
        assert source.read().time == time
        assert owner.opened == 1 and owner.read_frames <= 4
    source.close()


def test_short_steps_do_not_reopen_the_source(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seekable, "_KEPT_BYTES", 36 * 20)  # twenty frames
    owner = Counting()
    source = PlaybackSource(owner)
    source.open()
    source.seek(Fraction(50))
    frame = source.read()
    owner.opened = 0
    for _ in range(40):
        source.seek(frame.time - TICK)
        frame = source.read()
    assert frame.time == Fraction(50) - 40 * owner.length and owner.opened <= 5
    owner.opened = 0
    source.seek(frame.time + 20 * owner.length)
    assert source.read().time == frame.time + 20 * owner.length and owner.opened == 0
    source.close()


def test_the_frame_cache_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seekable, "_KEPT_BYTES", 36 * 8)
    owner = Counting(200)
    source = PlaybackSource(owner)
    source.open()
    while source.read() is not None:
        assert len(source._recent) <= 8
    source.seek(Fraction(10**9))
    assert source.read().time == Fraction(199, 30) and source.read() is None
    owner.opened = 0
    source.seek(Fraction(10**9))  # repeated, now with a known end
    assert source.read().time == Fraction(199, 30) and owner.opened == 0
    source.close()


def test_a_damaged_file_can_be_replayed_up_to_the_damage():
    owner = Counting(90)
    owner.breaks_at = 40
    source = PlaybackSource(owner)
    source.open()
    for _ in range(2):
        for number in range(40):
            assert source.read().time == number * owner.length
        for _ in range(2):
            with pytest.raises(SourceError, match="damaged"):
                source.read()
        source.seek(Fraction(1))
        assert source.read().time == 1
        source.seek(Fraction(0))
    source.seek(Fraction(39, 30))
    assert source.read().time == Fraction(39, 30)
    with pytest.raises(SourceError, match="damaged"):
        source.read()
    source.close()


@pytest.mark.slow
def test_a_deleted_file_gives_an_error(tmp_path):
    path = make_clip(tmp_path / "gone.mp4", count=90)
    source = open_playback(path)
    source.open()
    source.read()
    path.unlink()
    with pytest.raises(SourceError, match="There is no file"):
        source.seek(Fraction(2))
    assert source.read() is None
    make_clip(path, count=90)
    source.seek(Fraction(2))
    assert source.read().time == 2
    source.close()
    assert source.read() is None
    with pytest.raises(SourceError, match="not open"):
        source.seek(Fraction(0))


def pictures(folder, count: int) -> None:
    from PIL import Image

    folder.mkdir()
    for number in range(count):
        Image.fromarray(numbered_image(number)).save(folder / f"p{number}.png")


@pytest.mark.parametrize("name", ["", "p*.png", "p%d.png"])
def test_folders_and_patterns_are_played_as_sequences(tmp_path, name):
    pictures(tmp_path / "shots", 30)
    where = tmp_path / "shots" / name
    source = open_playback(where, Fraction(25))
    assert source.live is False and source.controls() == {}
    source.set_control("gain", 3)
    info = source.open()
    assert (info.frame_count, info.rate) == (30, 25)
    for time, number in [(Fraction(1), 25), (Fraction(1, 2), 12), (Fraction(99), 29), (Fraction(-1), 0)]:
        source.seek(time)
        frame = source.read()
        assert frame.time == Fraction(number, 25)
        np.testing.assert_array_equal(frame.pixels, numbered_image(number))
    source.close()


def test_a_single_image_is_shown_at_every_time(tmp_path):
    pictures(tmp_path / "one", 1)
    source = open_playback(tmp_path / "one" / "p0.png")
    source.open()
    assert source.read().time == 0 and source.read() is None
    for time in (Fraction(5), Fraction(0), Fraction(-5)):
        source.seek(time)
        assert source.read().time == 0 and source.read() is None
    source.close()


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.with_name("missing.mp4")], ids=["text", "gone"])
def test_unreadable_files_give_an_error(tmp_path, make: Callable):
    path = tmp_path / "notes.mp4"
    path.write_text("no video " * 100)
    source = open_playback(make(path))
    with pytest.raises(SourceError):
        source.open()
    source.close()
