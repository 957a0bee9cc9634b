"""Sound of a microphone, captured in its own thread and placed where the pictures say that it belongs."""

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
_ALSA_NAMES = ("default", "pulse", "pipewire", "sysdefault:")  # its other names are parts of these
_ALSA_CONFIG = "/usr/share/alsa/alsa.conf"
_ALSA_PLUGINS = ("/usr/lib/*-linux-gnu*/alsa-lib", "/usr/lib64/alsa-lib", "/usr/lib/alsa-lib")
_RATE = 48_000
_QUEUE_SECONDS = 10.0
_BLOCK_SECONDS = 0.01
_OPEN_SECONDS, _STOP_SECONDS = 1.5, 0.5
_PATIENCE = 0.25

# Seconds: for how long the block that came soonest counts, when it is known, and how late one is after missing samples.
_SOONEST_OF, _KNOWN_AFTER, _MISSING = 2.0, 0.4, 0.25
_PAUSE = 0.08
"""Seconds by which pictures jump where a recording was paused."""
JUMP = 0.03
"""Seconds by which sound may be early or late before it is moved at once."""
_SMOOTH = 0.02  # of each block's error, so that a block that was fetched late moves nothing
_STILL = 0.001
_STRETCH = 0.002
_LATE = Fraction(1)


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """Sound in one piece. start: ``time.monotonic()`` of its first sample."""

    samples: Samples
    start: float


class SoundCapture(Protocol):
    """A sound device. Made without touching it; used by one thread."""

    rate: int
    channels: int

    def open(self) -> None:
        """Sets rate and channels. Raises SourceError."""

    def read(self) -> Samples | None:
        """The next samples, as soon as they are there; None after the last. Raises SourceError."""

    def close(self) -> None: ...


def find_microphones() -> list[str]:
    """Names that ``Microphone`` takes, the system's own choice first; empty where there are none, or the system does
    not tell."""
    _show_alsa_its_files()
    try:
        found = sorted(av.enumerate_input_devices(_FORMAT), key=lambda one: not one.is_default)
    except (av.FFmpegError, ValueError, OSError, AttributeError):  # the last: an older PyAV
        return []
    if _FORMAT == "alsa":
        return list(dict.fromkeys(one.name for one in found if one.name.startswith(_ALSA_NAMES)))
    return list(dict.fromkeys(one.description for one in found if "audio" in one.media_types))


def _show_alsa_its_files() -> None:
    """The library within PyAV's wheel looks for the system's configuration and plugins where it was built."""
    if _FORMAT != "alsa":
        return
    if os.path.exists(_ALSA_CONFIG):
        os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA_CONFIG)
    for folder in (found for pattern in _ALSA_PLUGINS for found in sorted(glob.glob(pattern))):
        os.environ.setdefault("ALSA_PLUGIN_DIR", folder)


class SoundDevice:
    """A microphone of this machine, or (form) of another input that FFmpeg knows by that name."""

    def __init__(self, name: str = "", form: str = _FORMAT) -> None:
        self._name, self._form = name, form
        self._container: av.container.InputContainer | None = None
        self.rate, self.channels = _RATE, 1

    def open(self) -> None:
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
        parts: list[Samples] = []
        while sum(part.shape[1] for part in parts) < _BLOCK_SECONDS * self.rate:  # some devices give 3 ms at a time
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
            return SourceError(f"{name} may not be used: allow it in the system's privacy settings.")
        if number == errno.EBUSY:
            return SourceError(f"{name} is used by another program: close that one, or choose another microphone.")
        if self._container is not None:
            return SourceError(f"{name} was lost: plug it in again, and begin a new recording.")
        return SourceError(f"{name} is not there: plug one in, choose another, or record without its sound.")


class Microphone:
    """Captures while it is attached to a recording. One recording at a time.

    name: of ``find_microphones``, "" for the system's own. capture: makes what is captured from.
    """

    def __init__(self, name: str = "", capture: Callable[[], SoundCapture] | None = None) -> None:
        self._make = (lambda: SoundDevice(name)) if capture is None else capture

    def attach(self, output: av.container.OutputContainer, suffix: str, notices: list[str]) -> "MicrophoneTrack":
        """Add its track to a file that is not begun yet, and start listening. Raises SourceError."""
        listener = Listener(self._make())
        try:
            listener.wait_until_open(_OPEN_SECONDS)
            track = PcmTrack(output, suffix, listener.rate, listener.channels)
        except BaseException:
            listener.stop()
            raise
        return MicrophoneTrack(track, listener, notices)


class _ContinuousClock:
    """Sound without a gap. Blocks are fetched late, some later than others, never early: when a sample was heard
    follows from the block of the last seconds that came soonest."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._newest: deque[float] = deque(maxlen=round(_SOONEST_OF / _BLOCK_SECONDS))
        self.count = 0

    @property
    def origin(self) -> float:
        """When its first sample was heard."""
        return min(self._newest)

    @property
    def is_known(self) -> bool:
        """Whether enough was heard; devices often hand over a store of blocks at once in the beginning."""
        return self.count >= _KNOWN_AFTER * self._rate

    def goes_on(self, samples: int, now: float) -> bool:
        """Take in a block that was fetched now; False where samples are missing before it."""
        origin = now - (self.count + samples) / self._rate
        if self._newest and origin > self.origin + _MISSING:
            return False
        self._newest.append(origin)
        self.count += samples
        return True


class Listener:
    """The thread that captures, and what it has heard: the last ten seconds that nobody has fetched.

    dropped: blocks that were thrown away. error: the sentence where the device was lost.
    """

    def __init__(self, capture: SoundCapture, clock: Callable[[], float] = time.monotonic) -> None:
        """capture: not open yet: its thread opens and closes it, for both may take as long as the device likes."""
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
        """Raises SourceError where the device cannot be opened, or not in time."""
        if not self._open.wait(seconds):
            raise SourceError("The microphone does not answer: choose another, or record without its sound.")
        if not self._was_open:
            raise SourceError(self.error)

    def take(self, until: float, patience: float = 0.0) -> list[SampleBlock]:
        """Blocks that began by a time of the clock, oldest first; in the beginning they wait until it is known when.

        patience: seconds to wait at most for what was heard by then but is not fetched yet.
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
        """End the thread; one that the device holds is left to itself."""
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
        except Exception as error:  # a resampler or driver raises anything; the recording continues without sound
            logger.exception("The microphone failed unexpectedly")
            words = " ".join(str(error).split())[:160].rstrip(".")
            self.error = f"The microphone broke off unexpectedly ({type(error).__name__}: {words})."
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
    """Places what a listener hears. The sound card's clock is never quite ours: where they part, blocks are stretched
    by at most 0.2 %; what parts by more than ``JUMP`` is moved at once, and gaps become silence.

    Raises av.FFmpegError where nothing can be written.
    """

    def __init__(self, track: PcmTrack, listener: Listener, notices: list[str]) -> None:
        self._track, self._listener, self._notices = track, listener, notices
        self._offset: float | None = None  # time in the file less time of the clock
        self._error: float | None = None  # seconds by which sound is late in the file, smoothed
        self._end = Fraction(0)
        self._told = False

    def follow(self, time_: Fraction, captured: float | None) -> None:
        """A picture at ``time_`` of the file, in seconds, got at ``captured`` of ``time.monotonic``."""
        now = time.monotonic() if captured is None else captured
        offset = float(time_) - now
        if self._offset is not None and abs(offset - self._offset) > _PAUSE:
            for block in self._listener.take(now):  # a pause: what was heard in it is left out
                self._place(block, limit=time_)
            self._track.silence(round(time_ * self._track.rate))
            self._offset = self._error = None
        self._offset = offset if self._offset is None else self._offset + _SMOOTH * (offset - self._offset)
        for block in self._listener.take(now):
            self._place(block)
        self._track.silence(round((time_ - _LATE) * self._track.rate))
        self._end = time_
        if self._listener.error and not self._told:
            self._notices.append(f"{self._listener.error.rstrip('.')}; the recording goes on without its sound.")
            self._told = True

    def finish(self) -> None:
        """Write what was heard up to the last picture, and end the track."""
        if self._offset is not None:
            for block in self._listener.take(float(self._end) - self._offset, _PATIENCE):
                self._place(block, limit=self._end)
        self._track.silence(round(self._end * self._track.rate))
        self._track.finish()

    def close(self) -> None:
        self._listener.stop()

    def _place(self, block: SampleBlock, limit: Fraction | None = None) -> None:
        assert self._offset is not None
        rate, samples = self._track.rate, self._converted(block.samples)
        at = (block.start + self._offset) * rate
        error = at / rate - self._track.position / rate
        if self._error is None or abs(error) > JUMP:
            self._error = 0.0
            position = round(at)
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
        """At the track's rate and channels, which are the device's for all usual ones."""
        if self._listener.rate != self._track.rate:
            count = round(samples.shape[1] * self._track.rate / self._listener.rate)
            samples = _resized(samples, count)
        return samples


def _stretched(samples: Samples, error: float, rate: int) -> tuple[Samples, float]:
    """Longer where the sound is early, shorter where it is late; the seconds that were added."""
    if abs(error) < _STILL:
        return samples, 0.0
    most = max(1, round(samples.shape[1] * _STRETCH))
    more = int(np.clip(round(error * rate), -most, most))
    return _resized(samples, samples.shape[1] + more), more / rate


def _resized(samples: Samples, count: int) -> Samples:
    before = np.arange(samples.shape[1])
    places = np.linspace(0, samples.shape[1] - 1, count)
    return np.stack([np.interp(places, before, channel) for channel in samples]).astype(np.float32)
