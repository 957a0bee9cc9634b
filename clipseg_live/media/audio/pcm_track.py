"""A track of sound made of samples that are placed in time: gaps become silence, overlaps are cut."""

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from clipseg_live.media.audio.codecs import AAC_RATES, LAYOUTS, target_of
from clipseg_live.media.ffmpeg.guarded_av import frame_of
from clipseg_live.media.ffmpeg.muxing import needs_spacing

Samples = NDArray[np.float32]
"""Sound: float32, shape (channels, samples), each value in -1..1."""

_BLOCK = 1 << 14


class PcmTrack:
    """Adds a stream to a container that is not begun yet, and encodes into it: Opus for WebM and Matroska, otherwise
    AAC.

    fragmented: whether the file is written in fragments, if it is MP4 or MOV.
    rate, channels: as near to what is wished as the encoder takes; samples are given in these.
    position: samples written, from the file's beginning. The track begins there, with silence if need be.
    Raises av.FFmpegError, as PyAV does.
    """

    def __init__(
        self, output: av.container.OutputContainer, suffix: str, rate: int, channels: int, *, fragmented: bool = True
    ) -> None:
        self.target = target_of(suffix)
        self.rate = 48000 if self.target == "Opus" or rate not in AAC_RATES else rate
        self.channels = channels if channels in LAYOUTS else 2
        self.layout = LAYOUTS[self.channels]
        name = "libopus" if self.target == "Opus" else "aac"
        stream = output.add_stream(name, rate=self.rate, bit_rate=96_000 * self.channels)
        assert isinstance(stream, av.AudioStream)
        stream.layout = self.layout
        self.stream = stream
        self._output = output
        # Fragmented MP4 has no place for what an encoder puts before the beginning.
        self._cuts_lead = fragmented and needs_spacing(suffix)
        self.position = 0

    @property
    def reached(self) -> Fraction:
        """Seconds of the file."""
        return Fraction(self.position, self.rate)

    def put(self, samples: Samples, at: int) -> None:
        """Place samples; ``at`` counts in samples from the file's beginning."""
        self.silence(at)
        late = self.position - at
        if late < samples.shape[1]:
            self._encode(samples[:, late:])

    def silence(self, until: int) -> None:
        """Go on with silence up to a sample."""
        while (missing := until - self.position) > 0:
            self._encode(np.zeros((self.channels, min(missing, _BLOCK)), np.float32))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self.stream.encode(None))

    def _encode(self, samples: Samples) -> None:
        frame = frame_of(samples, self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.position, Fraction(1, self.rate)
        self.position += samples.shape[1]
        self._mux(self.stream.encode(frame))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            if not (self._cuts_lead and packet.pts is not None and packet.pts < 0):
                self._output.mux(packet)
