"""Sources by name. No device or file is used before the source is opened."""

import pytest
from PIL import Image

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.media.images.photo_sets import PhotoSetSource
from clipseg_live.media.sources import live_sources
from clipseg_live.media.sources.camera import CameraSource
from clipseg_live.media.sources.live_sources import open_live
from clipseg_live.media.sources.network_stream import StreamSource
from clipseg_live.media.sources.screen import ScreenSource
from clipseg_live.media.sources.seekable import PlaybackSource
from tests.helpers.clips import make_clip


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("camera:0", CameraSource), ("camera:", CameraSource), ("Camera: BRIO 4K", CameraSource),
        ("rtsp://ann:secret@host/live", StreamSource), ("https://host/a.m3u8", StreamSource),
        ("HTTP://host/live", StreamSource), ("screen:", ScreenSource), ("SCREEN:1,2,30,40", ScreenSource),
        ("missing.mp4", PlaybackSource), ("shots/*.png", PhotoSetSource), ("a: b.mp4", PlaybackSource),
        (r"C:\films\a.mp4", PlaybackSource), ("C:", PlaybackSource), ("take:two.mp4", PlaybackSource),
    ],
)  # fmt: skip
def test_names_select_sources(name, kind):
    source = open_live(SourceSpec(name=name))
    assert type(source) is kind
    assert source.live is (kind not in (PlaybackSource, PhotoSetSource))
    assert dict(source.controls()) == {} and source.read() is None
    source.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "No source was given"), ("  ", "No source was given"), ("camra:0", "'camra:' is not a known kind"),
        ("demo:7", "'demo:' is not a known kind"), ("camera:-1", "numbered from 0"),
        ("ftp://host/a", "must begin with"),
        ("file:///tmp/a.mp4", "must begin with"), ("rtsp://", "has no host"), ("screen:1,2", "not a screen region"),
    ],
)  # fmt: skip
def test_invalid_names_are_rejected(name, words):
    with pytest.raises(UsageError, match=words):
        open_live(SourceSpec(name=name))


def test_camera_settings_reach_the_camera(monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(live_sources, "CameraSource", lambda *arguments: made.append(arguments))
    controls = (("gain", 3.0),)
    spec = SourceSpec(name="camera:3", width=1280, height=720, rate=60, fourcc="MJPG", controls=controls)
    open_live(spec)
    open_live(SourceSpec(name="camera:Logitech 4"))
    assert made == [(3, 1280, 720, 60.0, "MJPG", controls), ("Logitech 4", None, None, None, None, ())]


def test_rate_setting_reaches_the_screen():
    assert open_live(SourceSpec(name="screen:", rate=12))._rate == 12


def test_a_missing_file_is_an_error_only_when_opened(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    source = open_live(SourceSpec(name="take.mp4"))
    with pytest.raises(SourceError, match=r"There is no file take\.mp4"):
        source.open()
    make_clip(tmp_path / "take.mp4")
    assert source.open().name == "take.mp4"
    source.close()
    for odd in ("demo:7", "camra:0", "http:"):  # an existing file of that name is used
        (tmp_path / "take.mp4").rename(tmp_path / odd)
        source = open_live(SourceSpec(name=odd))
        assert source.open().name == odd and source.read() is not None
        source.close()
        (tmp_path / odd).rename(tmp_path / "take.mp4")


def test_folders_and_patterns_without_images_give_an_error(tmp_path):
    for name in (str(tmp_path), str(tmp_path / "*.png")):
        source = open_live(SourceSpec(name=name))
        with pytest.raises(SourceError, match=r"contains no images|No image matches"):
            source.open()


def test_several_photos_are_one_set(tmp_path):
    paths = [tmp_path / name for name in ("IMG_10.png", "IMG_2.png", "other.png", "notes.txt")]
    for number, path in enumerate(paths):
        Image.new("RGB", (8 + number, 6)).save(path, format="PNG")
    first, *more = (str(path) for path in (paths[0], paths[1], paths[3], paths[1]))
    source = open_live(SourceSpec(name=first, more=tuple(more)))
    info = source.open()
    assert (info.independent, info.frame_count, info.name) == (True, 2, tmp_path.name)
    assert [frame.file.name for frame in iter(source.read, None)] == ["IMG_2.png", "IMG_10.png"]
    source.close()
    assert "1 file was skipped" in info.notices[0]
    alone = open_live(SourceSpec(name=first, more=(str(paths[3]),)))
    assert isinstance(alone, PlaybackSource)
    alone.close()
