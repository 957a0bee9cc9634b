"""Audio track of samples that are placed in time: gaps become silence, overlaps are cut."""

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from clipseg_live.media.audio.codecs import AAC_RATES, LAYOUTS, target_of
from clipseg_live.media.ffmpeg.guarded_av import Packet, frame_of
from clipseg_live.media.ffmpeg.muxing import needs_spacing

Samples = NDArray[np.float32]
"""Audio samples: float32 (channels, samples), each value in -1..1."""

_BLOCK = 1 << 14


class PcmTrack:
    """Adds a stream to a container without a header, and encodes into it.

    The codec is Opus for WebM and Matroska, otherwise AAC.

    Args:
        output: Container that gets the stream.
        suffix: Suffix of the file, in lower case with its dot.
        rate: Preferred samples per second.
        channels: Preferred number of channels.
        fragmented: True if an MP4 or MOV file is written in fragments.

    Attributes:
        target: Name of the codec.
        rate: Samples per second that the encoder accepts, which ``put`` expects.
        channels: Number of channels that the encoder accepts, which ``put`` expects.
        layout: Channel layout.
        stream: Stream of the container.
        position: Number of samples written since the start of the file. The track starts there, with silence if needed.

    Raises:
        av.FFmpegError: If encoding or writing fails.
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
        # Fragmented MP4 cannot store samples before the start.
        self._cuts_lead = fragmented and needs_spacing(suffix)
        self.position = 0

    @property
    def reached(self) -> Fraction:
        """Time up to which the track is written, in seconds of the file."""
        return Fraction(self.position, self.rate)

    def put(self, samples: Samples, at: int) -> None:
        """Write samples at a position, counted in samples from the start of the file.

        Args:
            samples: float32 (channels, samples).
            at: Position of the first sample.
        """
        self.silence(at)
        late = self.position - at
        if late < samples.shape[1]:
            self._encode(samples[:, late:])

    def silence(self, until: int) -> None:
        """Write silence up to a position."""
        while (missing := until - self.position) > 0:
            self._encode(np.zeros((self.channels, min(missing, _BLOCK)), np.float32))

    def finish(self) -> None:
        """Flush the encoder."""
        self._mux(self.stream.encode(None))

    def _encode(self, samples: Samples) -> None:
        frame = frame_of(samples, self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.position, Fraction(1, self.rate)
        self.position += samples.shape[1]
        self._mux(self.stream.encode(frame))

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            if not (self._cuts_lead and packet.pts is not None and packet.pts < 0):
                self._output.mux(packet)
