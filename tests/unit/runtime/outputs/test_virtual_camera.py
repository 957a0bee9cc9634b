"""A virtual camera's thread by itself: what it shows, how evenly, and what it does where the device fails."""

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
from tests.helpers.fakes import SAFE, FakeOutput

SMALL = VirtualCameraSettings(width=64, height=48, rate=100)


def picture(value: int, size: tuple[int, int] = (48, 64)) -> RenderedFrame:
    pixels = np.full((*size, 3), value, np.uint8)
    return RenderedFrame(Frame(255 - pixels, value, Fraction(value), epoch=1), pixels)


class Camera:
    """A running output over a fake device. shows: the gate; source: of the pictures to come."""

    def __init__(self, output: FakeOutput, settings: VirtualCameraSettings = SMALL) -> None:
        self.output, self.shows, self.source = output, True, SourceInfo("", 64, 48, Fraction(100), Fraction(1, 100))
        self.messages: list[Message] = []
        self.thread = VirtualCameraThread(
            output.made, settings, source=lambda: self.source, may_show=lambda picture: self.shows,
            send_message=self._said, first_pause=0.01,
        )  # fmt: skip
        self.thread.start()

    def _said(self, message: Message) -> None:
        with self.output.changed:
            self.messages.append(message)
            self.output.changed.notify_all()

    def values(self) -> list[int]:
        """The first byte of each picture that was sent."""
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


def test_the_safe_picture_comes_first_and_then_the_newest(running: Callable[..., Camera]) -> None:
    one = running()
    one.output.wait(lambda: len(one.output.frames) > 2)
    assert one.thread.status.shows_placeholder and all(tuple(frame[5, 5]) == SAFE for frame in one.output.frames)
    for value in range(100, 110):
        one.thread.put(picture(value))
    one.output.wait(lambda: one.last() == 109)
    assert set(one.values()) <= {1, 109} and not one.thread.status.shows_placeholder


def test_the_last_picture_is_repeated_and_fitted_once(running: Callable[..., Camera]) -> None:
    one = running()
    one.thread.put(picture(50, (24, 32)))
    one.output.wait(lambda: one.values().count(50) > 5)
    assert one.output.fitted_pictures == 1 and one.output.frames[-1].shape == (48, 64, 3)
    assert one.output.frames[-1] is one.output.frames[-2]


def test_what_may_not_be_shown_is_not_even_repeated(running: Callable[..., Camera]) -> None:
    one = running()
    one.thread.put(picture(50))
    one.output.wait(lambda: one.last() == 50)
    one.shows = False
    sent = len(one.output.frames) + 1  # one may be on its way
    one.output.wait(lambda: len(one.output.frames) > sent + 3)
    assert set(one.values()[sent:]) == {SAFE[0]} and one.thread.status.shows_placeholder
    one.shows = True
    one.output.wait(lambda: one.last() == 50)
    one.thread.forget()
    one.output.wait(lambda: one.last() == SAFE[0])


@pytest.mark.slow
def test_it_sends_at_its_rate(running: Callable[..., Camera]) -> None:
    one = running(settings=VirtualCameraSettings(width=64, height=48, rate=50))
    one.output.wait(lambda: one.output.frames)
    begun, first = time.monotonic(), len(one.output.frames)
    one.output.wait(lambda: len(one.output.frames) >= first + 25)
    assert 0.4 < time.monotonic() - begun < 2.0
    status = one.thread.status
    assert (status.device, status.width, status.height, status.rate) == ("Fake Camera", 64, 48, 50.0)
    assert status.active and status.sent >= 25 and not status.problem


def test_a_device_that_holds_a_picture_up_holds_nothing_else(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(blocks_at=3))
    assert one.output.blocked.wait(15)
    begun = time.monotonic()
    for value in range(200):
        one.thread.put(picture(value))
    assert time.monotonic() - begun < 1.0
    one.thread.request_stop()
    assert not one.thread.join(0.05)
    one.output.release.set()


def test_moments_that_passed_are_counted(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(blocks_at=3))
    assert one.output.blocked.wait(15)
    threading.Event().wait(0.1)  # ten moments at this rate
    one.output.release.set()
    one.output.wait(lambda: len(one.output.frames) > 5)
    assert 5 <= one.thread.status.late < 1000


def test_a_missing_device_is_told_once_and_tried_again(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(missing=3))
    one.output.wait(lambda: len(one.output.frames) > 2 and len(one.messages) > 1)
    assert [message.text for message in one.messages] == ["There is no fake camera: install it.", ""]
    assert len(one.output.opened) == 4 and not one.thread.status.problem


def test_while_it_is_missing_the_status_says_so(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(missing=10**9))
    one.output.wait(lambda: len(one.messages) == 1 and one.thread.status.problem)
    status = one.thread.status
    assert status.active and status.problem == "There is no fake camera: install it." and not status.device


def test_a_device_that_goes_away_comes_back(running: Callable[..., Camera]) -> None:
    one = running(FakeOutput(gone_at=4))
    one.thread.put(picture(50))
    one.output.wait(lambda: len(one.output.frames) > 8 and len(one.messages) > 1)
    assert [message.text for message in one.messages] == ["The fake camera is gone.", ""]
    assert len(one.output.opened) == 2 and one.last() == 50


def test_a_bug_is_told_in_words(running: Callable[..., Camera], monkeypatch: pytest.MonkeyPatch) -> None:
    output = FakeOutput()
    monkeypatch.setattr(output, "fitted", lambda pixels: 1 / 0)
    one = running(output)
    one.thread.put(picture(50))
    one.output.wait(lambda: one.messages)
    assert (
        one.messages[0].text == "The virtual camera failed (ZeroDivisionError: division by zero) and will be reopened."
    )


def test_a_safe_picture_that_is_not_there_has_a_card_in_its_place(running: Callable[..., Camera]) -> None:
    one = running(settings=SMALL.model_copy(update={"placeholder": "no.png"}))
    one.output.wait(lambda: one.output.frames)
    assert tuple(one.output.frames[0][5, 5]) == SAFE
    assert [(message.level, message.text) for message in one.messages] == [
        ("warning", "There is no file no.png, so the virtual camera sends the default placeholder image.")
    ]


def test_the_sources_size_is_waited_for(running: Callable[..., Camera]) -> None:
    output, asked = FakeOutput(), threading.Event()
    known: list[SourceInfo] = []

    def source() -> SourceInfo | None:
        asked.set()
        return known[0] if known else None

    one = VirtualCameraThread(
        output.made,
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


def test_it_ends_at_once_while_it_waits(running: Callable[..., Camera]) -> None:
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
