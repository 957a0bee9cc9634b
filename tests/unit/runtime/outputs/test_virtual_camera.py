"""The thread of a virtual camera: shown frames, rate, and failures of the device."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import Message
from clipseg_live.runtime.outputs.virtual_camera import VirtualCameraThread
from tests.helpers.fakes import PLACEHOLDER_COLOUR, FakeOutput

SMALL = VirtualCameraSettings(width=64, height=48, rate=100)


def picture(value: int, size: tuple[int, int] = (48, 64)) -> RenderedFrame:
    pixels = np.full((*size, 3), value, np.uint8)
    return RenderedFrame(Frame(255 - pixels, value, Fraction(value), epoch=1), pixels)


class Camera:
    """A running output with a fake device.

    Attributes:
        shows: Whether frames may be shown.
        source: Information of the following frames.
    """

    def __init__(self, output: FakeOutput, settings: VirtualCameraSettings = SMALL) -> None:
        self.output, self.shows, self.source = output, True, SourceInfo("", 64, 48, Fraction(100), Fraction(1, 100))
        self.messages: list[Message] = []
        self.thread = VirtualCameraThread(
            output.with_settings, settings, source=lambda: self.source, may_show=lambda picture: self.shows,
            send_message=self._said, first_pause=0.01,
        )  # fmt: skip
        self.thread.start()

    def _said(self, message: Message) -> None:
        with self.output.changed:
            self.messages.append(message)
            self.output.changed.notify_all()

    def values(self) -> list[int]:
        """Return the first byte of each sent frame."""
        return [int(frame[0, 0, 0]) for frame in self.output.frames]

    def last(self) -> int:
        return self.values()[-1] if self.output.frames else -1


@pytest.fixture
def running() -> Iterator[Callable[..., Camera]]:
    made: list[Camera] = []

    def make(output: FakeOutput | None = None, settings: VirtualCameraSettings = SMALL) -> Camera:
        made.append(Camera(output or FakeOutput(), settings))
        return made[-1]

    yield make
    for each in made:
        each.output.release.set()
        each.thread.request_stop()
        assert each.thread.join(2.0)
        assert each.output.closed >= len(each.output.opened) and not each.thread.status.active


def test_the_placeholder_is_sent_first_and_then_the_newest_frame(running: Callable[..., Camera]) -> None:
    one = running()
    one.output.wait(lambda: len(one.output.frames) > 2)
    assert one.thread.status.shows_placeholder and all(
        tuple(frame[5, 5]) == PLACEHOLDER_COLOUR for frame in one.output.frames
    )
    for value in range(100, 110):
        one.thread.put(picture(value))
    one.output.wait(lambda: one.last() == 109)
    assert set(one.values()) <= {1, 109} and not one.thread.status.shows_placeholder


def test_the_last_frame_is_repeated_and_resized_once(running: Callable[..., Camera]) -> None:
    one = running()
    one.thread.put(picture(50, (24, 32)))
    one.output.wait(lambda: one.values().count(50) > 5)
    assert one.output.fitted_count == 1 and one.output.frames[-1].shape == (48, 64, 3)
    assert one.output.frames[-1] is one.output.frames[-2]


def test_a_frame_that_may_not_be_shown_is_not_repeated(running: Callable[..., Camera]) -> None:
    one = running()
    one.thread.put(picture(50))
    one.output.wait(lambda: one.last() == 50)
    one.shows = False
    sent = len(one.output.frames) + 1  # one may be in transfer
    one.output.wait(lambda: len(one.output.frames) > sent + 3)
    assert set(one.values()[sent:]) == {PLACEHOLDER_COLOUR[0]} and one.thread.status.shows_placeholder
    one.shows = True
    one.output.wait(lambda: one.last() == 50)
    one.thread.forget()
    one.output.wait(lambda: one.last() == PLACEHOLDER_COLOUR[0])


@pytest.mark.slow
def test_frames_are_sent_at_the_rate(running: Callable[..., Camera]) -> None:
    one = running(settings=VirtualCameraSettings(width=64, height=48, rate=50))
    one.output.wait(lambda: one.output.frames)
    begun, first = time.monotonic(), len(one.output.frames)
    one.output.wait(lambda: len(one.output.frames) >= first + 25)
    assert 0.4 < time.monotonic() - begun < 2.0
    status = one.thread.status
    assert (status.device, status.width, status.height, status.rate) == ("Fake Camera", 64, 48, 50.0)
    assert status.active and status.sent >= 25 and not status.problem


def test_a_blocked_device_does_not_block_other_threads(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(blocks_at=3))
    assert one.output.blocked.wait(15)
    begun = time.monotonic()
    for value in range(200):
        one.thread.put(picture(value))
    assert time.monotonic() - begun < 1.0
    one.thread.request_stop()
    assert not one.thread.join(0.05)
    one.output.release.set()


def test_missed_frames_are_counted(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(blocks_at=3))
    assert one.output.blocked.wait(15)
    threading.Event().wait(0.1)  # ten frames at this rate
    one.output.release.set()
    one.output.wait(lambda: len(one.output.frames) > 5)
    assert 5 <= one.thread.status.late < 1000


def test_a_missing_device_is_reported_once_and_retried(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(missing=3))
    one.output.wait(lambda: len(one.output.frames) > 2 and len(one.messages) > 1)
    assert [message.text for message in one.messages] == ["There is no fake camera: install it.", ""]
    assert len(one.output.opened) == 4 and not one.thread.status.problem


def test_the_status_reports_a_missing_device(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(missing=10**9))
    one.output.wait(lambda: len(one.messages) == 1 and one.thread.status.problem)
    status = one.thread.status
    assert status.active and status.problem == "There is no fake camera: install it." and not status.device


def test_a_lost_device_reconnects(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(lost_at=4))
    one.thread.put(picture(50))
    one.output.wait(lambda: len(one.output.frames) > 8 and len(one.messages) > 1)
    assert [message.text for message in one.messages] == ["The fake camera is gone.", ""]
    assert len(one.output.opened) == 2 and one.last() == 50


def test_an_unexpected_error_is_reported(running: Callable[..., Camera], monkeypatch: pytest.MonkeyPatch) -> None:
    output = FakeOutput()
    monkeypatch.setattr(output, "fitted", lambda pixels: 1 / 0)
    one = running(output)
    one.thread.put(picture(50))
    one.output.wait(lambda: one.messages)
    assert (
        one.messages[0].text == "The virtual camera failed (ZeroDivisionError: division by zero) and will be reopened."
    )


def test_a_missing_placeholder_image_is_replaced_by_the_card(running: Callable[..., Camera]) -> None:
    one = running(settings=SMALL.model_copy(update={"placeholder": "no.png"}))
    one.output.wait(lambda: one.output.frames)
    assert tuple(one.output.frames[0][5, 5]) == PLACEHOLDER_COLOUR
    assert [(message.level, message.text) for message in one.messages] == [
        ("warning", "There is no file no.png, so the virtual camera sends the default placeholder image.")
    ]


def test_the_thread_waits_for_the_size_of_the_source(running: Callable[..., Camera]) -> None:
    output, asked = FakeOutput(), threading.Event()
    known: list[SourceInfo] = []

    def source() -> SourceInfo | None:
        asked.set()
        return known[0] if known else None

    one = VirtualCameraThread(
        output.with_settings,
        VirtualCameraSettings(),
        source=source,
        may_show=lambda picture: True,
        send_message=lambda message: None,
    )
    one.start()
    assert asked.wait(15) and not output.opened
    known.append(SourceInfo("", 160, 90, Fraction(50), Fraction(1, 50)))
    output.wait(lambda: output.frames)
    one.request_stop()
    assert one.join(2.0) and output.frames[0].shape == (90, 160, 3)


def test_a_waiting_thread_ends_at_once(running: Callable[..., Camera]) -> None:
    one = VirtualCameraThread(
        lambda settings: FakeOutput(settings, missing=1), SMALL, source=lambda: None, may_show=lambda picture: True,
        send_message=lambda message: None, first_pause=60.0,
    )  # fmt: skip
    one.start()
    while not one.status.problem:
        threading.Event().wait(0.005)
    begun = time.monotonic()
    one.request_stop()
    assert one.join(2.0) and time.monotonic() - begun < 1.0
