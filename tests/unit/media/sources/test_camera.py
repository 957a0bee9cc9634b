"""Cameras with a fake of OpenCV: requested settings, frames, and failures."""

from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
import pytest

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.media import probe
from clipseg_live.media.probe import FoundCamera
from clipseg_live.media.sources import camera as cameras
from clipseg_live.media.sources.camera import CameraSource, find_camera, find_cameras

MJPG = float(cv2.VideoWriter.fourcc(*"MJPG"))
YUYV = float(cv2.VideoWriter.fourcc(*"YUYV"))
BGR = (10, 120, 240)


@dataclass
class Device:
    """A camera behind a driver. It fails at every ``fails_at``-th frame, and always after it is unplugged."""

    there: bool = True
    sizes: dict[float, tuple[int, int]] = field(default_factory=lambda: {YUYV: (640, 480), MJPG: (1920, 1080)})
    black: tuple[float, ...] = ()
    fails_at: int | None = None
    plugged: bool = True
    picture: np.ndarray | None = None
    values: dict[int, float] = field(default_factory=dict)
    refused: tuple[int, ...] = ()
    grabs: int = 0
    now: float = 100.0
    handles: list["Handle"] = field(default_factory=list)
    opened: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self) -> "Handle":
        self.handles.append(Handle(self))
        return self.handles[-1]

    def clock(self) -> float:
        return self.now

    @property
    def held(self) -> int:
        return sum(handle.open_now for handle in self.handles)


class Handle:
    """The interface of ``cv2.VideoCapture`` for one device."""

    def __init__(self, device: Device) -> None:
        self.device, self.open_now = device, False
        self.requested: dict[int, float] = {}
        self.fourcc, self.width, self.height, self.rate = YUYV, 640.0, 480.0, 30.0

    def open(self, index: int, backend: int) -> bool:
        self.device.opened.append((index, backend))
        self.open_now = self.device.there
        return self.open_now

    def isOpened(self) -> bool:
        return self.open_now

    def release(self) -> None:
        self.open_now = False

    def set(self, prop: int, value: float) -> bool:
        assert self.open_now
        self.requested[prop] = value
        if prop == cv2.CAP_PROP_FOURCC:
            if value not in self.device.sizes:
                return False
            self.fourcc = value
        elif prop == cv2.CAP_PROP_FRAME_WIDTH:
            self.width = value
        elif prop == cv2.CAP_PROP_FRAME_HEIGHT:
            self.height = value
        elif prop == cv2.CAP_PROP_FPS:
            self.rate = value
        elif prop in self.device.values and prop not in self.device.refused:
            self.device.values[prop] = value
        else:
            return False
        return True

    def get(self, prop: int) -> float:
        assert self.open_now
        if prop == cv2.CAP_PROP_FOURCC:
            return self.fourcc
        if prop == cv2.CAP_PROP_FPS:
            return self.rate
        return self.device.values.get(prop, -1.0)

    def grab(self) -> bool:
        assert self.open_now
        device = self.device
        device.now += 1 / 30
        device.grabs += 1
        if not device.plugged or self.fourcc in device.black:
            return False
        return device.fails_at is None or device.grabs % device.fails_at != 0

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        if self.device.picture is not None:
            return True, self.device.picture
        most = self.device.sizes[self.fourcc]
        width, height = min(int(self.width), most[0]), min(int(self.height), most[1])
        return True, np.full((height, width, 3), BGR, np.uint8)


def source_of(device: Device, camera: int | str = 0, **options) -> CameraSource:
    return CameraSource(camera, capture=device, clock=device.clock, **options)


def test_frames_are_rgb_with_times_of_the_clock():
    device = Device()
    source = source_of(device)
    info = source.open()
    assert (info.name, info.width, info.height, info.rate) == ("camera 0", 640, 480, 30)
    assert info.time_base == Fraction(1, 1_000_000) and info.duration is None and source.live
    frames = [source.read() for _ in range(5)]
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == [Fraction(round(n / 30 * 1e6), 10**6) for n in range(5)]
    assert frames[0].pixels.flags.c_contiguous and tuple(frames[0].pixels[0, 0]) == BGR[::-1]
    handle = device.handles[-1]
    assert handle.requested[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert not handle.requested.keys() & {cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FPS}
    source.close()
    source.close()
    assert device.held == 0 and source.read() is None


def test_times_increase_with_a_stopped_clock():
    device = Device()
    source = CameraSource(0, capture=device, clock=lambda: 5.0)
    source.open()
    assert [source.read().time for _ in range(3)] == [0, Fraction(1, 10**6), Fraction(2, 10**6)]
    source.close()


def test_hd_is_requested_as_mjpeg():
    device = Device()
    source = source_of(device, width=1920, height=1080, rate=60.0)
    info = source.open()
    assert (info.width, info.height, info.rate) == (1920, 1080, 60)
    assert list(device.handles[-1].requested)[:4] == [
        cv2.CAP_PROP_BUFFERSIZE, cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT,
    ]  # fmt: skip
    source.close()
    source = source_of(device, width=800, height=600)
    source.open()
    assert cv2.CAP_PROP_FOURCC not in device.handles[-1].requested
    source.close()
    source = source_of(device, width=1280, height=720, fourcc="YUYV")
    source.open()
    assert device.handles[-1].requested[cv2.CAP_PROP_FOURCC] == YUYV
    source.close()


def test_a_camera_without_mjpeg_uses_its_own_format():
    device = Device(sizes={YUYV: (1280, 720)})
    source = source_of(device, width=1920, height=1080)
    info = source.open()
    assert (info.width, info.height) == (1280, 720) and device.held == 1
    source.close()


@pytest.mark.parametrize("fourcc", [None, "MJPG"])
def test_a_camera_that_fails_with_mjpeg_is_reopened_without_it(fourcc):
    device = Device(black=(MJPG,))
    source = source_of(device, width=1280, height=720, fourcc=fourcc)
    info = source.open()
    assert (info.width, info.height) == (640, 480)
    assert len(device.handles) == 2 and device.held == 1
    source.close()
    assert device.held == 0


@pytest.mark.slow
def test_one_failed_frame_does_not_lose_the_camera():
    device = Device(fails_at=4)
    source = source_of(device)
    source.open()
    assert [source.read().index for _ in range(40)] == list(range(40))
    source.close()


def test_an_unplugged_camera_is_reported_and_can_reconnect():
    device = Device()
    source = source_of(device)
    source.open()
    assert source.read() and source.read()
    device.plugged = False
    with pytest.raises(SourceError, match="camera 0 sends no more frames"):
        source.read()
    source.close()
    for _ in range(3):
        with pytest.raises(SourceError, match="camera 0 sends no frames"):
            source.open()
    device.there = False
    with pytest.raises(SourceError, match="camera 0 cannot be opened"):
        source.open()
    assert device.held == 0
    device.there = device.plugged = True
    source.open()
    frame = source.read()
    assert (frame.index, frame.time) == (0, 0)
    source.close()
    assert device.held == 0


def test_a_slow_failure_is_not_retried():
    device = Device()
    source = source_of(device)
    source.open()
    source.read()

    def slow() -> bool:
        device.now += 10
        device.grabs += 1
        return False

    device.handles[-1].grab = slow
    before = device.grabs
    with pytest.raises(SourceError):
        source.read()
    assert device.grabs == before + 1
    source.close()


def test_size_changes_and_invalid_frames_are_errors():
    device = Device()
    source = source_of(device)
    source.open()
    source.read()
    device.picture = np.zeros((240, 320, 3), np.uint8)
    with pytest.raises(SourceError, match="size"):
        source.read()
    device.picture = np.zeros((480, 640), np.uint16)
    with pytest.raises(SourceError, match="format"):
        source.read()
    source.close()


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 1), (480, 640, 4)])
def test_grey_and_four_channels_become_rgb(shape):
    device = Device(picture=np.full(shape, 77, np.uint8))
    source = source_of(device)
    source.open()
    pixels = source.read().pixels
    assert pixels.shape == (480, 640, 3) and (pixels == 77).all()
    source.close()


@pytest.mark.parametrize(
    ("told", "rate"),
    [(30.0, 30), (29.97, Fraction(30000, 1001)), (59.94005994, Fraction(60000, 1001)), (7.5, Fraction(15, 2)),
     (0.0, None), (-1.0, None), (float("nan"), None), (1e9, None)],
)  # fmt: skip
def test_the_rate_of_a_camera_is_validated(told, rate):
    assert cameras._rate(told) == rate


EXPOSURE, FOCUS, GAIN = cv2.CAP_PROP_EXPOSURE, cv2.CAP_PROP_FOCUS, cv2.CAP_PROP_GAIN
AUTO_EXPOSURE, AUTOFOCUS = cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTOFOCUS


@pytest.fixture
def v4l(monkeypatch: pytest.MonkeyPatch) -> None:
    automatics = {"focus": (AUTOFOCUS, 0.0), "exposure": (AUTO_EXPOSURE, 1.0)}
    monkeypatch.setattr(cameras, "_AUTOMATICS", automatics)


@pytest.mark.usefixtures("v4l")
def test_only_supported_controls_are_listed():
    device = Device(values={EXPOSURE: 156.0, GAIN: 0.0, AUTO_EXPOSURE: 3.0})
    source = source_of(device)
    assert source.controls() == {}
    source.open()
    assert source.controls() == {"exposure": 156.0, "gain": 0.0}
    source.set_control("exposure", 300.0)
    assert source.controls()["exposure"] == 300.0 and device.values[AUTO_EXPOSURE] == 1.0
    source.set_control("gain", 12.0)
    for name, value in [("focus", 3.0), ("nonsense", 1.0), ("gain", float("nan"))]:
        source.set_control(name, value)
    assert source.controls() == {"exposure": 300.0, "gain": 12.0}
    source.close()
    assert device.values == {EXPOSURE: 156.0, GAIN: 0.0, AUTO_EXPOSURE: 3.0}  # restored to the original value
    source.open()
    assert source.controls() == {"exposure": 300.0, "gain": 12.0}  # and requested again
    source.close()


@pytest.mark.usefixtures("v4l")
def test_a_rejected_value_changes_nothing():
    device = Device(values={EXPOSURE: 156.0, AUTO_EXPOSURE: 3.0}, refused=(EXPOSURE,))
    source = source_of(device, controls=(("exposure", 9.0),))
    source.open()
    source.set_control("exposure", 10.0)
    assert source.controls() == {"exposure": 156.0} and device.values[AUTO_EXPOSURE] == 3.0
    source.close()


@pytest.mark.usefixtures("v4l")
def test_zero_is_accepted_only_for_settable_controls():
    device = Device(values={GAIN: 0.0, FOCUS: 0.0}, refused=(GAIN,))
    source = source_of(device, controls=(("focus", 40.0),))
    source.open()
    assert source.controls() == {"focus": 40.0}
    source.close()


FOUND = (
    FoundCamera(0, "Integrated Camera", "/dev/video0", True),
    FoundCamera(4, "Logitech BRIO", "/dev/video4", True),
    FoundCamera(6, "Logitech C920", "/dev/video6", True),
    FoundCamera(8, "Logitech C920", "/dev/video8", True),
)


@pytest.mark.parametrize(
    ("name", "index"), [("integrated camera", 0), ("brio", 4), (" Logitech C920 ", 6), ("c920", 6), ("INTEG", 0)]
)
def test_a_camera_is_found_by_name(name, index):
    assert find_camera(name, FOUND).index == index


def test_unknown_and_ambiguous_names_give_an_error():
    with pytest.raises(SourceError, match=r"could be any of Logitech BRIO \(camera:4\), Logitech C920"):
        find_camera("logitech", FOUND)
    with pytest.raises(SourceError, match=r"no camera named 'nikon': there is Integrated Camera \(camera:0\)"):
        find_camera("nikon", FOUND)
    with pytest.raises(SourceError, match="no camera is connected"):
        find_camera("nikon", ())


def test_a_named_camera_is_looked_up_at_each_opening():
    device = Device()
    listed = [FOUND, (FoundCamera(2, "Logitech BRIO", "", None),)]
    source = source_of(device, "brio", cameras=lambda: listed.pop(0))
    assert device.opened == []
    assert source.open().name == "Logitech BRIO"
    source.open()
    assert [index for index, _ in device.opened] == [4, 2]
    source.close()


def test_a_missing_camera_list_is_reported(monkeypatch: pytest.MonkeyPatch):
    def hangs(seconds: float) -> tuple[FoundCamera, ...]:
        raise TimeoutError("The camera drivers did not respond within 3 s.")

    monkeypatch.setattr(probe, "cameras", hangs)
    with pytest.raises(SourceError, match="did not respond within 3 s: name a camera by its number"):
        find_cameras()


def test_a_missing_camera_is_reported_without_output_of_opencv(capfd: pytest.CaptureFixture[str]):
    source = CameraSource(87)
    with pytest.raises(SourceError, match="camera 87 cannot be opened"):
        source.open()
    source.close()
    assert source.read() is None
    assert capfd.readouterr().err == ""


def test_invalid_camera_settings_are_rejected():
    with pytest.raises(UsageError, match="numbered from 0"):
        CameraSource(-1)
    with pytest.raises(UsageError, match="four letters"):
        CameraSource(0, fourcc="MPEG4")
    with pytest.raises(SourceError, match="live"):
        CameraSource(0).seek(Fraction(1))
