"""The adapter of pyvirtualcam with a fake backend, and the errors without a driver."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.core.errors import Failure, SourceError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings
from clipseg_live.media.safe_card import placeholder_card
from clipseg_live.media.virtual_camera import STEPS, VirtualCamera, fit_pixels, list_devices
from tests.helpers.camera_backend import NAME, FakeBackend, fake_backend


@pytest.fixture
def backend() -> Iterator[type[FakeBackend]]:
    with fake_backend() as kind:
        yield kind


def loopback(sysfs: Path, *devices: tuple[str, str, str]) -> Path:
    """Create devices as the Linux driver lists them: folder, name, format."""
    for folder, name, held in devices:
        (sysfs / folder).mkdir()
        (sysfs / folder / "name").write_text(name + "\n", encoding="utf-8")
        (sysfs / folder / "format").write_text(held, encoding="ascii")
    (sysfs / "video3").mkdir()  # a device of another driver
    (sysfs / "video3" / "name").write_text("vivid\n")
    return sysfs


def info_of(width: int = 0, height: int = 0, rate: int = 1) -> SourceInfo:
    """Return the information of frames; unknown without a size."""
    return SourceInfo("", width, height, Fraction(rate), Fraction(1, 1000))


def frame_of(pixels: np.ndarray) -> RenderedFrame:
    return RenderedFrame.of(Frame(pixels, 0, Fraction(0)))


def test_sent_frames_reach_the_device(backend: type[FakeBackend], tmp_path: Path) -> None:
    camera = VirtualCamera(VirtualCameraSettings(width=64, height=48, rate=29.97), sysfs=tmp_path)
    camera.open(info_of())
    assert camera.format == VirtualCameraFormat(64, 48, Fraction(29.97).limit_denominator(1001), NAME)
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    camera.write(frame_of(picture))
    camera.write(frame_of(picture[::2, ::2]))
    camera.finish()
    camera.abort()
    (device,) = backend.opened
    assert device.fps == pytest.approx(29.97, abs=1e-3) and device.closed == 1
    assert np.array_equal(device.frames[0], picture) and device.frames[1].shape == (48, 64, 3)


def test_size_and_rate_default_to_the_source(backend: type[FakeBackend], tmp_path: Path) -> None:
    camera = VirtualCamera(VirtualCameraSettings(device=NAME), sysfs=tmp_path)
    camera.open(info_of(321, 180, 25))
    assert (camera.format.width, camera.format.height, camera.format.rate) == (320, 180, 25)
    camera.open(info_of())
    assert (camera.format.width, camera.format.height, camera.format.rate) == (1280, 720, 30)
    camera.finish()
    assert [device.closed for device in backend.opened] == [1, 1]


def test_the_format_of_the_receiver_has_priority(backend: type[FakeBackend], tmp_path: Path) -> None:
    devices = ("video10", "clipseg-live", ""), ("video2", "Busy", "YU12:640x480@30000/1001\n")
    sysfs = loopback(tmp_path, *devices)
    listed = list_devices("Linux", sysfs)
    assert [(each.name, each.label) for each in listed] == [("/dev/video2", "Busy"), ("/dev/video10", "clipseg-live")]
    assert listed[0].settled == VirtualCameraFormat(640, 480, Fraction(30000, 1001)) and listed[1].settled is None
    backend.known = ("/dev/video2", "/dev/video10")
    camera = VirtualCamera(VirtualCameraSettings(), "Linux", sysfs)
    camera.open(info_of(1920, 1080, 60))
    assert camera.format == VirtualCameraFormat(640, 480, Fraction(30000, 1001), "Busy")
    camera.finish()
    camera = VirtualCamera(VirtualCameraSettings(device="clipseg-live"), "Linux", sysfs)
    camera.open(info_of(1920, 1080, 60))
    camera.finish()
    assert [(each.name, each.size[0]) for each in backend.opened] == [("/dev/video2", 640), ("/dev/video10", 1920)]


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_a_missing_driver_gives_the_steps_for_the_system(
    backend: type[FakeBackend], tmp_path: Path, system: str
) -> None:
    backend.refuses = RuntimeError("The device is not installed. Did you install it?")
    with pytest.raises(Failure) as told:
        VirtualCamera(VirtualCameraSettings(), system, tmp_path).open(info_of())
    words = {
        "Linux": ("sudo apt install v4l2loopback-dkms", "sudo modprobe v4l2loopback", "exclusive_caps=1", "card_label"),
        "Darwin": ("OBS 30", "Start Virtual Camera", "allow the system extension", "Stop Virtual Camera"),
        "Windows": ("OBS", "Unity Capture", "Install.bat"),
    }[system]
    assert STEPS[system] in str(told.value) and all(word in str(told.value) for word in words)
    assert "\n" not in str(told.value)


def test_drivers_of_this_machine_are_used(tmp_path: Path) -> None:
    """Without a fake, either there is no driver or the named device is missing."""
    with pytest.raises(Failure, match="There is no virtual camera"):
        VirtualCamera(VirtualCameraSettings(device="/dev/video98"), sysfs=tmp_path).open(info_of())


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Could not access /dev/video2 due to missing permissions.", "usermod -aG video"),
        ("Device /dev/video2 is not a video output device.", "close that program"),
        ("Virtual camera device /dev/video2 could not be configured: Device or resource busy", "set to 640×480"),
        ("Something\n else. ", r"cannot be opened \(Something else\)"),
        ("Device /dev/video2 does not exist.", r"there are Busy \(/dev/video2\)"),
    ],
)
def test_driver_errors_give_one_sentence_with_a_solution(
    backend: type[FakeBackend], tmp_path: Path, said: str, sentence: str
) -> None:
    backend.refuses = RuntimeError(said)
    sysfs = loopback(tmp_path, ("video2", "Busy", "YUYV:640x480@30"))
    with pytest.raises(Failure, match=sentence) as told:
        VirtualCamera(VirtualCameraSettings(width=320, height=240), "Linux", sysfs).open(info_of())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("system", "said", "sentence"),
    [
        (
            "Windows",
            "virtual camera output could not be started\nNo camera registered. Did you install any?",
            "is used by",
        ),
        ("Windows", "OBS Virtual Camera device not found! Did you install OBS?\nNo camera registered.", "install OBS"),
        ("Windows", "This backend supports only the 'OBS Virtual Camera' device.", "install OBS"),
        ("Windows", "The image is odd.", r"cannot be opened \(The image is odd\)"),
        ("Darwin", "OBS Virtual Camera is not installed in your system.", "install OBS 30"),
    ],
)
def test_errors_of_other_systems_are_recognised(
    backend: type[FakeBackend], tmp_path: Path, system: str, said: str, sentence: str
) -> None:
    """Messages of their drivers, in part from the sources of pyvirtualcam. None of them runs here."""
    backend.refuses = RuntimeError(said)
    with pytest.raises(Failure, match=sentence):
        VirtualCamera(VirtualCameraSettings(), system, tmp_path).open(info_of())


def test_a_lost_device_is_reported(backend: type[FakeBackend], tmp_path: Path) -> None:
    camera = VirtualCamera(VirtualCameraSettings(width=64, height=48), sysfs=tmp_path)
    camera.open(info_of())
    backend.breaks = OSError("No such device")
    with pytest.raises(Failure, match=r"was lost: No such device\."):
        camera.write(frame_of(placeholder_card(64, 48)))
    camera.abort()


def test_a_missing_package_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UsageError, match='pip install "pyvirtualcam>='):
        VirtualCamera(VirtualCameraSettings()).open(info_of())


@pytest.mark.slow
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(["letterbox", "fill"]),
)
def test_any_frame_fits_any_camera(picture: tuple[int, int], size: tuple[int, int], fit: str) -> None:
    white = np.full((*picture, 3), 255, np.uint8)
    made = fit_pixels(white, size, fit)  # type: ignore[arg-type]
    assert made.shape == (size[1], size[0], 3) and made.dtype == np.uint8 and made.flags.c_contiguous
    lit = made[..., 0] > 0
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    assert lit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # the frame fills it completely
    if fit == "fill":
        assert lit.all()
    else:  # it touches two sides and is centred
        assert len(rows) == size[1] or len(columns) == size[0]
        assert abs(rows[0] - (size[1] - 1 - rows[-1])) <= 1 and abs(columns[0] - (size[0] - 1 - columns[-1])) <= 1


def test_letterbox_keeps_everything_and_fill_keeps_the_centre() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[:, :10], picture[:, 70:], picture[:, 10:70] = (255, 0, 0), (255, 0, 0), (0, 0, 255)
    whole, middle = fit_pixels(picture, (64, 64), "letterbox"), fit_pixels(picture, (60, 60), "fill")
    assert not whole[:8].any() and not whole[56:].any() and tuple(whole[32, 2]) == (255, 0, 0)
    assert np.array_equal(middle, np.full((60, 60, 3), (0, 0, 255), np.uint8))


@pytest.mark.parametrize(("width", "height"), [(32, 32), (320, 180), (1280, 720), (480, 854), (7680, 64)])
def test_the_placeholder_card_is_dark_with_text(width: int, height: int) -> None:
    card = placeholder_card(width, height)
    assert card.shape == (height, width, 3) and not card.flags.writeable
    assert card.mean() < 60 and np.array_equal(card, placeholder_card(width, height))
    assert card.max() > 120


def test_a_custom_placeholder_image_is_resized(backend: type[FakeBackend], tmp_path: Path) -> None:
    path = tmp_path / "safe.png"
    Image.new("RGB", (40, 40), (10, 200, 30)).save(path)
    camera = VirtualCamera(VirtualCameraSettings(width=64, height=40), sysfs=tmp_path)
    camera.open(info_of())
    safe = camera.safe_frame(str(path)).composed
    assert safe.shape == (40, 64, 3) and tuple(safe[20, 32]) == (10, 200, 30) and not safe[:, 0].any()
    assert np.array_equal(camera.safe_frame("").composed, placeholder_card(64, 40))
    with pytest.raises(SourceError, match="no file"):
        camera.safe_frame(str(tmp_path / "gone.png"))
    camera.finish()
