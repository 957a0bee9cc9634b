"""Crash-safe recordings: fragmented files that stay playable if the process dies."""

import contextlib
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import av

from clipseg_live.core.errors import SinkError, SourceError
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
    HARDWARE,
    SOFTWARE,
    Candidates,
    Encoder,
    check_interlaced,
    choose_encoder,
    clock_of,
)
from clipseg_live.media.writers.muxer import MUX_ERRORS, FileMuxer, SideTrack
from clipseg_live.media.writers.remux import is_playable, truncate_to_last_fragment
from clipseg_live.media.writers.video import CONTAINERS, choose_codec, fragment_options

_MILLISECOND = Fraction(1, 1000)
_SYNC_SECONDS = 1.0


class RecordingWriter(FileMuxer):
    """Writes live frames into a growing, visible file ``NAME.recording.SUFFIX`` in the folder of the result.

    The file is playable at any moment and lacks less than a second. MP4 and MOV use fragments, Matroska and WebM use
    clusters, of 0.3 seconds each. The file is synced to disk every second. Only AV1 holds frames back. If a hardware
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
        place = AtomicOutput(path, overwrite=False, visible=True)
        super().__init__(Path(path), choose_codec(path, codec), quality, place)
        self._auto, self._candidates = encoder == "auto", candidates
        self._microphone = microphone
        self.encoder = ""
        self._sound: SyncedAudio | None = None
        self._microphone_track: MicrophoneTrack | None = None
        self._sync: _Sync | None = None
        self._looked = 0.0

    def open(self, info: SourceInfo) -> None:
        """Start the file.

        Raises:
            SinkError: If the file cannot be written.
            UsageError: If the file exists already, or the codec does not fit the source.
        """
        check_interlaced(self.codec, info)
        self._check_side(info, "use another codec")
        self._info = info
        self._clock = _MILLISECOND if self.path.suffix.lower() in (".mkv", ".webm") else clock_of(info.time_base)
        auto = self._auto and info.fields is None  # hardware encoders do not keep fields apart
        first = choose_encoder(self.codec, info, auto=auto, candidates=self._candidates)
        working = self._place.begin()
        errors: list[Exception] = []
        for encoder, with_sound in dict.fromkeys([(first, True), (SOFTWARE[self.codec], True), (first, False)]):
            try:
                self._start_file(working, encoder, with_sound)
            except MUX_ERRORS as error:
                errors.append(error)
                self._close()
                continue
            if not with_sound:
                self.notices[:] = ["The audio was left out: the output format cannot store it."]
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
        self._check_frame(frame)
        self._look_after()
        stamp, duration = self._timed(frame)
        try:
            self._mux(self._video.change_speed())
            self._mux(self._encoded(frame, stamp, self._ticks(duration)))
            self._last = stamp
            self._count += 1
            if self._sound is not None:
                self._sound.sync_to(stamp * self._clock, rendered.source_time, duration)
            if self._microphone_track is not None:
                self._microphone_track.sync_to(stamp * self._clock, frame.captured)
        except MUX_ERRORS as error:
            raise write_failure(self.path, error) from error

    def speed_up(self) -> bool:
        """Use the next faster preset from the next frame on; return False if there is none."""
        return self._container is not None and self._video.speed_up()

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop, and remove the file or keep it as ``NAME.partial.SUFFIX``. Never raises.

        A kept file is complete if the disk has room for its end.

        Args:
            keep_partial: True to keep what was written.

        Returns:
            The file that was kept, None if nothing was kept.
        """
        if keep_partial and self._count and self._container is not None:
            with contextlib.suppress(*MUX_ERRORS):
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
                self.notices.append(f"{str(error).rstrip('.')}; this recording has no audio.")
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
        except MUX_ERRORS as error:
            if not self._video.encoder.hardware:
                raise
            software = SOFTWARE[self.codec]
            self.notices.append(
                f"The encoder {self.encoder} failed ({getattr(error, 'strerror', None) or error}): "
                f"{self.path.name} continues with {software.name}."
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
            raise SinkError(f"{self.path.name} stopped because {working} was moved or deleted during the recording.")

    def _complete(self) -> None:
        container = self._opened()
        try:
            self._mux(self._video.flush())
            self._spacing.finish()
            for sound in (self._sound, self._microphone_track):
                if sound is not None:
                    sound.finish()
                    sound.close()
            self._container = None
            container.close()
        finally:
            self._close()

    def _tracks_beside(self) -> tuple[SideTrack | None, ...]:
        tracks = self._sound, self._microphone_track
        self._sound = self._microphone_track = None
        return tracks

    def _close(self) -> None:
        super()._close()
        sync, self._sync = self._sync, None
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
