"""Crash-safe recordings: fragmented files that stay playable if the process dies."""

import contextlib
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import av

from clipseg_live.core.errors import SinkError, SourceError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import Codec
from clipseg_live.core.settings.recording import Encoding
from clipseg_live.media.atomic_output import AtomicOutput, write_failure
from clipseg_live.media.audio.microphone import Microphone, MicrophoneTrack
from clipseg_live.media.audio.synced_tracks import SyncedAudio
from clipseg_live.media.ffmpeg.guarded_av import Packet
from clipseg_live.media.ffmpeg.muxing import DurationFixingMuxer, needs_spacing
from clipseg_live.media.ffmpeg.thread_priority import keep_priority
from clipseg_live.media.writers.adaptive_encoder import AdaptiveEncoder
from clipseg_live.media.writers.encoders import (
    DEFAULT_VIDEO_RATE,
    HARDWARE,
    LARGEST_H264,
    SOFTWARE,
    Candidates,
    Encoder,
    check_interlaced,
    choose_encoder,
    clock_of,
)
from clipseg_live.media.writers.remux import is_playable, truncate_to_last_fragment
from clipseg_live.media.writers.video import CONTAINERS, choose_codec, fragment_options

_MILLISECOND = Fraction(1, 1000)
_SYNC_SECONDS = 1.0


class RecordingWriter:
    """Writes live frames into a growing, visible file ``NAME.recording.SUFFIX`` in the folder of the result.

    The file is playable at any moment and lacks less than a second. MP4 and MOV use fragments, Matroska and WebM use
    clusters, of 0.3 seconds each. The file is synced to disk every second. No encoder holds frames back. If a hardware
    encoder fails, the software encoder continues in the same file. Use it from one thread.

    Args:
        path: File to write. Its suffix is one of ``core.settings.recording.SUFFIXES``, or another that can hold the
            codec.
        codec: Codec of the video.
        encoder: "auto" tries ``candidates`` first.
        quality: 0 (smallest) to 100 (best).
        microphone: Microphone to record, None for the audio of ``info.audio_path``.
        candidates: Hardware encoders to try.

    Attributes:
        encoder: Name of the encoder in use, "" before ``open``.
        notices: Messages for the user.
    """

    def __init__(
        self,
        path: str | Path,
        codec: Codec = "h264",
        *,
        encoder: Encoding = "auto",
        quality: int = 70,
        microphone: Microphone | None = None,
        candidates: Candidates = HARDWARE,
    ) -> None:
        """Check the settings.

        Raises:
            UsageError: If the name, codec or quality is invalid, or the file exists.
            SinkError: If the folder does not exist.
        """
        self.path = Path(path)
        self.codec = choose_codec(path, codec)
        if not 0 <= quality <= 100:
            raise UsageError(f"A quality of {quality} is not possible: it goes from 0 (smallest) to 100 (best).")
        self._quality, self._auto, self._candidates = quality, encoder == "auto", candidates
        self._microphone = microphone
        self._place = AtomicOutput(path, overwrite=False, visible=True)
        self._place.check()
        self.encoder = ""
        self.notices: list[str] = []
        self._container: av.container.OutputContainer | None = None
        self._sound: SyncedAudio | None = None
        self._microphone_track: MicrophoneTrack | None = None
        self._sync: _Sync | None = None
        self._count = 0
        self._last: int | None = None
        self._faster = False
        self._looked = 0.0

    @property
    def working(self) -> Path | None:
        """The file that is being written, None if there is none."""
        return self._place.working

    def open(self, info: SourceInfo) -> None:
        """Start the file.

        Raises:
            SinkError: If the file cannot be written.
            UsageError: If the file exists already, or the codec does not fit the source.
        """
        check_interlaced(self.codec, info)
        if self.codec == "h264" and max(info.width, info.height) > LARGEST_H264:
            raise UsageError(
                f"{info.name} has {info.width}×{info.height} pixels, and H.264 takes at most {LARGEST_H264} a side: "
                "record in another codec."
            )
        self._info = info
        self._clock = _MILLISECOND if self.path.suffix.lower() in (".mkv", ".webm") else clock_of(info.time_base)
        auto = self._auto and info.fields is None  # hardware encoders do not keep fields apart
        first = choose_encoder(self.codec, info, auto=auto, candidates=self._candidates)
        working = self._place.begin()
        errors: list[Exception] = []
        for encoder, with_sound in dict.fromkeys([(first, True), (SOFTWARE[self.codec], True), (first, False)]):
            try:
                self._start_file(working, encoder, with_sound)
            except (av.FFmpegError, OSError, ValueError) as error:
                errors.append(error)
                self._close()
                continue
            if not with_sound:
                self.notices[:] = ["The sound was left out: it cannot be kept here."]
            self._sync = _Sync(working)
            return
        self._place.discard()
        raise write_failure(self.path, errors[0]) from errors[0]

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame of the source's size at its own time.

        Raises:
            SinkError: If the frame has another size, or writing fails.
        """
        frame = rendered.output_frame
        self._opened()
        info = self._info
        if (frame.width, frame.height) != (info.width, info.height):
            raise SinkError(
                f"A frame of {frame.width}×{frame.height} pixels does not fit {self.path.name}, "
                f"which has {info.width}×{info.height}."
            )
        self._look_after()
        stamp = round(frame.time / self._clock)
        if self._last is not None and stamp <= self._last:
            stamp = self._last + 1
        duration = frame.duration or 1 / (info.rate or DEFAULT_VIDEO_RATE)
        ticks = max(round(duration / self._clock), 1)
        try:
            if self._faster and self._last is not None:
                self._mux(self._video.speed_up())
            self._faster = False
            self._mux(self._encoded(frame, stamp, ticks))
            self._last = stamp
            self._count += 1
            if self._sound is not None:
                self._sound.sync_to(stamp * self._clock, rendered.source_time, duration)
            if self._microphone_track is not None:
                self._microphone_track.sync_to(stamp * self._clock, frame.captured)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise write_failure(self.path, error) from error

    def speed_up(self) -> bool:
        """Use the next faster preset from the next frame on; return False if there is none."""
        if self._container is None or self._faster or not self._video.can_speed_up:
            return False
        self._faster = True
        return True

    def finish(self) -> None:
        """Complete the file and move it to its path.

        Raises:
            SinkError: If it cannot be completed. The file is then still at ``working``.
        """
        self._opened()
        if not self._count:
            raise SinkError(f"{self.path.name} was not written: there was not a single frame.")
        try:
            self._complete()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise write_failure(self.path, error) from error
        finally:
            self._close()
        self._place.commit()

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop, and remove the file or keep it as ``NAME.partial.SUFFIX``. Never raises.

        A kept file is complete if the disk has room for its end.

        Args:
            keep_partial: True to keep what was written.

        Returns:
            The file that was kept, None if nothing was kept.
        """
        if keep_partial and self._count and self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._complete()
        self._close()
        working = self._place.working
        if working is None:
            return None
        if keep_partial and self._count and is_playable(working):
            truncate_to_last_fragment(working)
            return self._place.keep_partial() or working
        self._place.discard()
        return None

    def _start_file(self, working: Path, encoder: Encoder, with_sound: bool) -> None:
        suffix = self.path.suffix.lower()
        form = CONTAINERS[suffix].format
        self._container = av.open(f"file:{working}", "w", format=form, container_options=fragment_options(form))
        self._video = AdaptiveEncoder(self._container, encoder, self._quality, self._info, self._clock)
        self._spacing = DurationFixingMuxer(self._container, needs_spacing(suffix))
        if with_sound and self._microphone is not None:
            try:
                self._microphone_track = self._microphone.attach(self._container, suffix, self.notices)
            except SourceError as error:
                self.notices.append(f"{str(error).rstrip('.')}; this recording has no sound.")
        elif with_sound and self._info.audio_path is not None:
            self._sound = SyncedAudio(self._info.audio_path, self._container, suffix, self.notices)
        with keep_priority():
            self._container.start_encoding()
        self.encoder = encoder.name

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            self._spacing.mux(packet)

    def _encoded(self, frame: Frame, stamp: int, ticks: int) -> list[Packet]:
        try:
            return self._video.encode(frame.pixels, stamp, ticks)
        except (av.FFmpegError, OSError, ValueError) as error:
            if not self._video.encoder.hardware:
                raise
            software = SOFTWARE[self.codec]
            self.notices.append(
                f"The encoder {self.encoder} failed ({getattr(error, 'strerror', None) or error}): "
                f"{self.path.name} goes on with {software.name}."
            )
            left = self._video.change_to(software)
            self.encoder = software.name
            return left + self._video.encode(frame.pixels, stamp, ticks)

    def _look_after(self) -> None:
        """Raise SinkError if the file was moved or removed; most systems report no error when writing goes on."""
        now, working = time.monotonic(), self._place.working
        if working is None or now < self._looked + _SYNC_SECONDS:
            return
        self._looked = now
        if not working.exists():
            raise SinkError(
                f"{self.path.name} broke off: {working} was moved or removed while it was written; "
                "record into a folder that stays."
            )

    def _complete(self) -> None:
        container = self._opened()
        self._mux(self._video.flush())
        self._spacing.finish()
        for sound in (self._sound, self._microphone_track):
            if sound is not None:
                sound.finish()
                sound.close()
        self._container = None
        container.close()

    def _opened(self) -> av.container.OutputContainer:
        if self._container is None:
            raise SinkError(f"{self.path.name} is not open.")
        return self._container

    def _close(self) -> None:
        container, self._container = self._container, None
        sounds, self._sound, self._microphone_track = (self._sound, self._microphone_track), None, None
        sync, self._sync = self._sync, None
        for sound in sounds:
            if sound is not None:
                sound.close()
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                container.close()
        if sync is not None:
            sync.stop()


class _Sync:
    """Syncs a growing file to disk every second, in its own thread, until stopped."""

    def __init__(self, path: Path) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path,), name="clipseg-live sync", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(_SYNC_SECONDS)

    def _run(self, path: Path) -> None:
        with contextlib.suppress(OSError), path.open("rb+") as file:
            while not self._stopping.wait(_SYNC_SECONDS):
                os.fsync(file.fileno())
