"""Encoders are tested with an encoded frame. A camera driver that hangs or crashes gives a one-sentence error."""

import json
import threading
import time
from types import SimpleNamespace

import cv2_enumerate_cameras
import pytest

from clipseg_live.media import probe


@pytest.mark.parametrize(("name", "kind"), [("ffv1", "video"), ("libx264", "video"), ("aac", "audio")])
def test_a_working_encoder_is_accepted(name: str, kind: str) -> None:
    assert probe.probe_encoder(name) == probe.EncoderProbe(name, kind, True, None)


def test_a_missing_encoder_is_rejected() -> None:
    found = probe.probe_encoder("nonsense")
    assert not found.works and "no such encoder" in str(found.problem)


def test_an_encoder_that_cannot_be_opened_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_SIDE", 63)  # libx264 does not support odd sides in 4:2:0
    found = probe.probe_encoder("libx264")
    assert not found.works and found.problem


def test_an_encoder_without_output_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_encode_picture", lambda _: [])
    assert not probe.probe_encoder("ffv1").works


def test_cameras_are_listed_by_a_separate_process() -> None:
    camera = probe.FoundCamera(2, "Käfer", "/dev/video2", True)
    fields = {"index": 2, "name": "Käfer", "path": "/dev/video2", "readable": True}
    assert probe.cameras(60, f"print({json.dumps(fields)!r}.join('[]'))") == (camera,)


def test_a_hanging_driver_is_abandoned() -> None:
    before = threading.active_count()
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="did not respond"):
        probe.cameras(0.3, "import threading; threading.Event().wait()")
    assert time.monotonic() - start < 10
    assert threading.active_count() == before


def test_a_crashing_driver_is_reported() -> None:
    with pytest.raises(RuntimeError, match="no driver"):
        probe.cameras(60, "raise SystemExit('no driver')")


def test_a_camera_of_several_backends_is_listed_once(
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
