"""Microphone audio, captured in its own thread and aligned with the video frames."""

import errno
import glob
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np

from clipseg_live.core.errors import SourceError
from clipseg_live.media.audio.pcm_track import PcmTrack, Samples

logger = logging.getLogger(__name__)

_FORMATS = {"darwin": "avfoundation", "win32": "dshow"}
_FORMAT = _FORMATS.get(sys.platform, "alsa")
_ALSA_NAMES = ("default", "pulse", "pipewire", "sysdefault:")  # other names are derived from these
_ALSA_CONFIG = "/usr/share/alsa/alsa.conf"
_ALSA_PLUGINS = ("/usr/lib/*-linux-gnu*/alsa-lib", "/usr/lib64/alsa-lib", "/usr/lib/alsa-lib")
_RATE = 48_000
_QUEUE_SECONDS = 10.0
_BLOCK_SECONDS = 0.01
_OPEN_SECONDS, _STOP_SECONDS = 1.5, 0.5
_PATIENCE = 0.25

# Seconds: window for the earliest block, time until its result is valid, and lateness after missing samples.
_SOONEST_OF, _KNOWN_AFTER, _MISSING = 2.0, 0.4, 0.25
_PAUSE = 0.08
"""Change of a frame's offset in seconds from which on it counts as a pause of the recording."""
JUMP = 0.03
"""Seconds of error above which audio is moved in one step."""
_SMOOTH = 0.02  # share of each block's error, so that one late block has little effect
_STILL = 0.001
_STRETCH = 0.002
_LATE = Fraction(1)


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """Consecutive samples.

    Attributes:
        samples: float32 (channels, samples), -1..1.
        start: Time of the first sample, in seconds of ``time.monotonic``.
    """

    samples: Samples
    start: float


class SoundCapture(Protocol):
    """An audio device. Creating it does not access the device; it is used by one thread.

    Attributes:
        rate: Samples per second.
        channels: Number of channels.
    """

    rate: int
    channels: int

    def open(self) -> None:
        """Open the device, and set rate and channels.

        Raises:
            SourceError: If the device cannot be opened.
        """

    def read(self) -> Samples | None:
        """Return the next samples as soon as they are available, or None after the last.

        Raises:
            SourceError: If the device is lost.
        """

    def close(self) -> None:
        """Close the device."""


def find_microphones() -> list[str]:
    """Return the device names for ``Microphone``, the system's default first.

    The list is empty if there are none or the system does not report them.
    """
    _show_alsa_its_files()
    try:
        devices = sorted(av.enumerate_input_devices(_FORMAT), key=lambda device: not device.is_default)
    except (av.FFmpegError, ValueError, OSError, AttributeError):  # AttributeError: older PyAV
        return []
    if _FORMAT == "alsa":
        return list(dict.fromkeys(device.name for device in devices if device.name.startswith(_ALSA_NAMES)))
    return list(dict.fromkeys(device.description for device in devices if "audio" in device.media_types))


def _show_alsa_its_files() -> None:
    """Set the paths of ALSA, because the library in PyAV's wheel searches those of its build machine."""
    if _FORMAT != "alsa":
        return
    if os.path.exists(_ALSA_CONFIG):
        os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA_CONFIG)
    for folder in (path for pattern in _ALSA_PLUGINS for path in sorted(glob.glob(pattern))):
        os.environ.setdefault("ALSA_PLUGIN_DIR", folder)


class SoundDevice:
    """A microphone of this machine, or an input of another FFmpeg format (``form``)."""

    def __init__(self, name: str = "", form: str = _FORMAT) -> None:
        self._name, self._form = name, form
        self._container: av.container.InputContainer | None = None
        self.rate, self.channels = _RATE, 1

    def open(self) -> None:
        """Open the device, and set rate and channels."""
        _show_alsa_its_files()
        try:
            self._container = self._opened()
            stream = self._container.streams.audio[0]
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            self.close()
            raise self._failure(error) from error
        context = stream.codec_context
        self.rate, self.channels = context.sample_rate, 1 if context.layout.nb_channels == 1 else 2
        self._resampler = av.AudioResampler("fltp", "mono" if self.channels == 1 else "stereo", self.rate)
        self._frames = self._container.decode(stream)

    def read(self) -> Samples | None:
        """Return the next samples, or None after the last."""
        parts: list[Samples] = []
        while sum(part.shape[1] for part in parts) < _BLOCK_SECONDS * self.rate:  # some devices return 3 ms at a time
            try:
                frame = next(self._frames, None)
            except (av.FFmpegError, OSError, ValueError) as error:
                raise self._failure(error) from error
            if frame is None:
                break
            frame.pts = None
            parts += [np.asarray(part.to_ndarray(), np.float32) for part in self._resampler.resample(frame)]
        return np.concatenate(parts, axis=1) if parts else None

    def close(self) -> None:
        """Close the device."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _address(self) -> str:
        if self._form == "avfoundation":
            return f":{self._name or 'default'}"
        if self._form == "dshow":
            return f"audio={self._name or next(iter(find_microphones()), '')}"
        return self._name or "default"

    def _opened(self) -> av.container.InputContainer:
        address, form = self._address(), self._form
        if form != "alsa":
            options = {"audio_buffer_size": "20"} if form == "dshow" else {}  # milliseconds
            return av.open(address, format=form, options=options)
        try:
            return av.open(address, format=form, options={"sample_rate": str(_RATE), "channels": "2"})
        except (av.FFmpegError, OSError):
            return av.open(address, format=form, options={"sample_rate": str(_RATE), "channels": "1"})

    def _failure(self, error: Exception) -> SourceError:
        name = f"The microphone {self._name!r}" if self._name else "The system's microphone"
        number = getattr(error, "errno", None)
        if number in (errno.EACCES, errno.EPERM):
            return SourceError(f"{name} is not permitted: allow it in the system's privacy settings.")
        if number == errno.EBUSY:
            return SourceError(f"{name} is in use by another program: close it or choose another microphone.")
        if self._container is not None:
            return SourceError(f"{name} was disconnected: plug it in again and start a new recording.")
        return SourceError(f"{name} is unavailable: plug one in, choose another, or record without a microphone.")


class Microphone:
    """Captures while it is attached to a recording, one recording at a time.

    Args:
        name: Name from ``find_microphones``, "" for the system's default.
        capture: Creates the device, None for a ``SoundDevice``.
    """

    def __init__(self, name: str = "", capture: Callable[[], SoundCapture] | None = None) -> None:
        self._make = (lambda: SoundDevice(name)) if capture is None else capture

    def attach(self, output: av.container.OutputContainer, suffix: str, notices: list[str]) -> "MicrophoneTrack":
        """Add a track to a file whose header is not written yet, and start capturing.

        Args:
            output: File that gets the track.
            suffix: Suffix of the file, in lower case with its dot.
            notices: List that gets messages for the user.

        Raises:
            SourceError: If the device cannot be opened.
        """
        listener = Listener(self._make())
        try:
            listener.wait_until_open(_OPEN_SECONDS)
            track = PcmTrack(output, suffix, listener.rate, listener.channels)
        except BaseException:
            listener.stop()
            raise
        return MicrophoneTrack(track, listener, notices)


class _ContinuousClock:
    """Estimates when gapless audio was captured.

    Blocks are fetched late by varying amounts, but never early. The earliest block of the last seconds therefore gives
    the time of every sample.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._newest: deque[float] = deque(maxlen=round(_SOONEST_OF / _BLOCK_SECONDS))
        self.count = 0

    @property
    def origin(self) -> float:
        """Time of its first sample, in seconds."""
        return min(self._newest)

    @property
    def is_known(self) -> bool:
        """True if enough audio was captured; devices often deliver many stored blocks at the start."""
        return self.count >= _KNOWN_AFTER * self._rate

    def goes_on(self, samples: int, now: float) -> bool:
        """Add a block that was fetched now; return False if samples are missing before it.

        Args:
            samples: Number of samples.
            now: Time in seconds.
        """
        origin = now - (self.count + samples) / self._rate
        if self._newest and origin > self.origin + _MISSING:
            return False
        self._newest.append(origin)
        self.count += samples
        return True


class Listener:
    """Thread that captures, with a buffer of the last ten seconds that were not taken.

    Attributes:
        dropped: Number of blocks that did not fit in the buffer.
        error: Message if the device was lost, otherwise "".
    """

    def __init__(self, capture: SoundCapture, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the thread.

        Args:
            capture: Device that is not open yet. The thread opens and closes it, because both can take any time.
            clock: Returns the time in seconds.
        """
        self._capture, self._clock = capture, clock
        self._blocks: deque[tuple[Samples, _ContinuousClock, int]] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._open = threading.Event()
        self._was_open = self._ended = False
        self.rate, self.channels = capture.rate, capture.channels
        self._newest_sound = _ContinuousClock(self.rate)
        self.dropped = 0
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="clipseg-live microphone", daemon=True)
        self._thread.start()

    def wait_until_open(self, seconds: float) -> None:
        """Wait until the device is open.

        Args:
            seconds: Longest time to wait.

        Raises:
            SourceError: If the device cannot be opened, or not in time.
        """
        if not self._open.wait(seconds):
            raise SourceError("The microphone does not respond: choose another, or record without a microphone.")
        if not self._was_open:
            raise SourceError(self.error)

    def take(self, until: float, patience: float = 0.0) -> list[SampleBlock]:
        """Return the blocks that started by a time, oldest first.

        At the beginning, blocks are kept until their time is known.

        Args:
            until: Time of the clock, in seconds.
            patience: Longest time to wait for blocks of that time that are not fetched yet, in seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._heard_until() >= until, patience)
            taken: list[SampleBlock] = []
            while self._blocks:
                samples, sound, position = self._blocks[0]
                start = sound.origin + position / self.rate
                waits = sound is self._newest_sound and not sound.is_known and not self._ended
                if waits or start > until:
                    break
                self._blocks.popleft()
                self._waiting -= samples.shape[1]
                taken.append(SampleBlock(samples, start))
            return taken

    def _heard_until(self) -> float:
        sound = self._newest_sound
        return sound.origin + sound.count / self.rate if sound.count else 0.0

    def stop(self) -> None:
        """Stop the thread; abandon it if it is stuck in a driver."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._capture.open()
            self.rate, self.channels = self._capture.rate, self._capture.channels
            self._newest_sound = _ContinuousClock(self.rate)
            self._was_open = True
            self._open.set()
            while not self._stopping.is_set():
                samples = self._capture.read()
                if samples is None:
                    return
                if samples.shape[1]:
                    self._put(samples, self._clock())
        except SourceError as error:
            logger.warning("The microphone failed", exc_info=True)
            self.error = str(error)
        except Exception as error:  # resamplers and drivers can raise anything; the recording continues without audio
            logger.exception("The microphone failed unexpectedly")
            words = " ".join(str(error).split())[:160].rstrip(".")
            self.error = f"The microphone stopped unexpectedly ({type(error).__name__}: {words})."
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._open.set()
            self._capture.close()

    def _put(self, samples: Samples, now: float) -> None:
        with self._changed:
            if not self._newest_sound.goes_on(samples.shape[1], now):
                self._newest_sound = _ContinuousClock(self.rate)
                self._newest_sound.goes_on(samples.shape[1], now)
            self._blocks.append((samples, self._newest_sound, self._newest_sound.count - samples.shape[1]))
            self._waiting += samples.shape[1]
            while self._waiting > _QUEUE_SECONDS * self.rate and len(self._blocks) > 1:
                self._waiting -= self._blocks.popleft()[0].shape[1]
                self.dropped += 1
            self._changed.notify_all()


class MicrophoneTrack:
    """Aligns captured audio with the video frames.

    The clock of the sound card drifts against that of the system. Blocks are stretched by at most 0.2 % to follow.
    Larger errors than ``JUMP`` are corrected in one step. Gaps become silence.

    Raises:
        av.FFmpegError: If writing fails.
    """

    def __init__(self, track: PcmTrack, listener: Listener, notices: list[str]) -> None:
        self._track, self._listener, self._notices = track, listener, notices
        self._offset: float | None = None  # time in the file minus time of the clock
        self._error: float | None = None  # seconds by which audio is late in the file, smoothed
        self._end = Fraction(0)
        self._told = False

    def sync_to(self, time_: Fraction, captured: float | None) -> None:
        """Write the audio up to a frame.

        Args:
            time_: Time of the frame in the file, in seconds.
            captured: Time of ``time.monotonic`` when the frame was captured, None for now.
        """
        now = time.monotonic() if captured is None else captured
        offset = float(time_) - now
        if self._offset is not None and abs(offset - self._offset) > _PAUSE:
            for block in self._listener.take(now):  # drop what was captured during a pause
                self._place(block, limit=time_)
            self._track.silence(round(time_ * self._track.rate))
            self._offset = self._error = None
        self._offset = offset if self._offset is None else self._offset + _SMOOTH * (offset - self._offset)
        for block in self._listener.take(now):
            self._place(block)
        self._track.silence(round((time_ - _LATE) * self._track.rate))
        self._end = time_
        if self._listener.error and not self._told:
            self._notices.append(f"{self._listener.error.rstrip('.')}; the recording continues without its audio.")
            self._told = True

    def finish(self) -> None:
        """Write the audio up to the last frame, and end the track."""
        if self._offset is not None:
            for block in self._listener.take(float(self._end) - self._offset, _PATIENCE):
                self._place(block, limit=self._end)
        self._track.silence(round(self._end * self._track.rate))
        self._track.finish()

    def close(self) -> None:
        """Stop capturing."""
        self._listener.stop()

    def _place(self, block: SampleBlock, limit: Fraction | None = None) -> None:
        assert self._offset is not None
        rate, samples = self._track.rate, self._converted(block.samples)
        exact = (block.start + self._offset) * rate
        error = exact / rate - self._track.position / rate
        if self._error is None or abs(error) > JUMP:
            self._error = 0.0
            position = round(exact)
        else:
            self._error += _SMOOTH * (error - self._error)
            position = self._track.position
            samples, moved = _stretched(samples, self._error, rate)
            self._error -= moved
        if limit is not None:
            samples = samples[:, : max(0, round(limit * rate) - position)]
        if samples.shape[1]:
            self._track.put(samples, position)

    def _converted(self, samples: Samples) -> Samples:
        """Return samples at the rate of the track, which most devices have."""
        if self._listener.rate != self._track.rate:
            count = round(samples.shape[1] * self._track.rate / self._listener.rate)
            samples = _resized(samples, count)
        return samples


def _stretched(samples: Samples, error: float, rate: int) -> tuple[Samples, float]:
    """Return the samples stretched by up to the error, and the seconds that were added."""
    if abs(error) < _STILL:
        return samples, 0.0
    most = max(1, round(samples.shape[1] * _STRETCH))
    more = int(np.clip(round(error * rate), -most, most))
    return _resized(samples, samples.shape[1] + more), more / rate


def _resized(samples: Samples, count: int) -> Samples:
    before = np.arange(samples.shape[1])
    positions = np.linspace(0, samples.shape[1] - 1, count)
    return np.stack([np.interp(positions, before, channel) for channel in samples]).astype(np.float32)
