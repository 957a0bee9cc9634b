"""Tests of this machine's video libraries: working encoders and connected cameras."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

ENCODERS = ("libx264", "libvpx-vp9", "ffv1", "aac", "libopus")
CAMERA_SECONDS = 3.0

_SIDE = 64
_RATE = 48000


@dataclass(frozen=True, slots=True)
class EncoderProbe:
    """An encoder and the result of encoding one frame.

    Attributes:
        name: Name in FFmpeg.
        kind: "video", "audio" or "unknown".
        works: True if it encoded the frame.
        problem: Short reason for a failure.
    """

    name: str
    kind: str
    works: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera of this machine.

    Attributes:
        index: Number for OpenCV.
        name: Name for display.
        path: Device file, "" if the system has none.
        readable: True if this user may open the device, None if only opening it would show.
    """

    index: int
    name: str
    path: str
    readable: bool | None


def probe_encoder(name: str) -> EncoderProbe:
    """Open an encoder and encode one black frame, or one frame of silence."""
    import av

    kind = "unknown"
    try:
        kind = av.Codec(name, "w").type
        context: Any = av.CodecContext.create(name, "w")
        packets = _encode_sound(context) if kind == "audio" else _encode_picture(context)
        if sum(packet.size for packet in packets) == 0:
            return EncoderProbe(name, kind, False, "it opened but encoded no frame")
    except av.codec.codec.UnknownCodecError:
        return EncoderProbe(name, kind, False, "this build of FFmpeg has no such encoder")
    except av.FFmpegError as error:
        return EncoderProbe(name, kind, False, error.strerror or type(error).__name__)
    return EncoderProbe(name, kind, True, None)


def cameras(seconds: float = CAMERA_SECONDS, program: str | None = None) -> tuple[FoundCamera, ...]:
    """Return the cameras of this machine, listed by a separate process that is killed if a driver hangs.

    Args:
        seconds: Longest time to wait.
        program: Python source that the process runs, None for ``main`` of this module.

    Raises:
        TimeoutError: If the process does not answer in time.
        RuntimeError: If it fails.
    """
    path = f"import sys; sys.path[:] = {sys.path!r}\n"  # our search path, not the current folder
    process = subprocess.Popen(
        [sys.executable, "-c", path + (program or "from clipseg_live.media.probe import main; main()")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"The camera drivers did not respond within {seconds:g} s.") from None
    finally:
        _end(process)
    if process.returncode != 0:
        last = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise RuntimeError(f"The cameras could not be listed: {last}")
    return tuple(FoundCamera(**camera) for camera in json.loads(output))


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill and reap a process; abandon it after a second if it is stuck in a driver."""
    process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)


def ffmpeg_version() -> str:
    """Return the version of the FFmpeg libraries in PyAV."""
    import av

    return str(getattr(av, "ffmpeg_version_info", "unknown"))


def _encode_picture(context: Any) -> list[Any]:
    import av

    context.width = context.height = _SIDE
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, 25)
    context.framerate = Fraction(25)
    frame = av.VideoFrame(_SIDE, _SIDE, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts = 0
    frame.time_base = context.time_base
    return [*context.encode(frame), *context.encode(None)]


def _encode_sound(context: Any) -> list[Any]:
    import av

    context.sample_rate = _RATE
    context.format = context.codec.audio_formats[0]
    context.layout = "stereo"
    context.time_base = Fraction(1, _RATE)
    context.open()
    frame = av.AudioFrame(context.format.name, "stereo", context.frame_size or 1024)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate = _RATE
    frame.pts = 0
    frame.time_base = context.time_base
    return [*context.encode(frame), *context.encode(None)]


def _enumerate() -> list[FoundCamera]:
    """Return every camera once, although several of OpenCV's backends may list it."""
    from cv2_enumerate_cameras import enumerate_cameras, supported_backends

    found: dict[str, FoundCamera] = {}
    for camera in (camera for backend in supported_backends for camera in enumerate_cameras(backend)):
        path = camera.path or ""
        readable = os.access(path, os.R_OK | os.W_OK) if path.startswith("/dev/") else None
        one = FoundCamera(camera.index, camera.name or "camera", path, readable)
        found.setdefault(path or f"{one.index}:{one.name}", one)
    return sorted(found.values(), key=lambda camera: camera.index)


def main() -> None:
    """Write the cameras as JSON, in the process of ``cameras``."""
    json.dump([asdict(camera) for camera in _enumerate()], sys.stdout)
