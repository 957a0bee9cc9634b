"""Encoders are judged by a frame they encoded; a camera driver that hangs or dies ends in one sentence."""

import json
import threading
import time
from types import SimpleNamespace

import cv2_enumerate_cameras
import pytest

from clipseg_live.media import probe


@pytest.mark.parametrize(("name", "kind"), [("ffv1", "video"), ("libx264", "video"), ("aac", "audio")])
def test_an_encoder_that_works(name: str, kind: str) -> None:
    assert probe.probe_encoder(name) == probe.EncoderProbe(name, kind, True, None)


def test_an_encoder_that_does_not_exist() -> None:
    found = probe.probe_encoder("nonsense")
    assert not found.works and "no such encoder" in str(found.problem)


def test_an_encoder_that_refuses_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_SIDE", 63)  # libx264 takes no odd side in 4:2:0
    found = probe.probe_encoder("libx264")
    assert not found.works and found.problem


def test_an_encoder_that_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_encode_picture", lambda _: [])
    assert not probe.probe_encoder("ffv1").works


def test_cameras_come_from_a_process() -> None:
    camera = probe.FoundCamera(2, "Käfer", "/dev/video2", True)
    fields = {"index": 2, "name": "Käfer", "path": "/dev/video2", "readable": True}
    assert probe.cameras(60, f"print({json.dumps(fields)!r}.join('[]'))") == (camera,)


def test_a_driver_that_hangs_is_left() -> None:
    before = threading.active_count()
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="did not respond"):
        probe.cameras(0.3, "import threading; threading.Event().wait()")
    assert time.monotonic() - start < 10
    assert threading.active_count() == before


def test_a_driver_that_dies_is_told() -> None:
    with pytest.raises(RuntimeError, match="no driver"):
        probe.cameras(60, "raise SystemExit('no driver')")


def test_a_camera_that_several_backends_reach_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [
        SimpleNamespace(index=1, name="second", path="/dev/video-that-is-not-there"),
        SimpleNamespace(index=0, name="first", path=None),
    ]
    monkeypatch.setattr(cv2_enumerate_cameras, "supported_backends", (1800, 200))
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda _: listed)
    probe.main()
    assert json.loads(capsys.readouterr().out) == [
        {"index": 0, "name": "first", "path": "", "readable": None},
        {"index": 1, "name": "second", "path": "/dev/video-that-is-not-there", "readable": False},
    ]
