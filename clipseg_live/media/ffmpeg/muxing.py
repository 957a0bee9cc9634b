"""Muxing of packets with exact durations, as MP4 fragments need them."""

import av

from clipseg_live.media.ffmpeg.guarded_av import Packet


class DurationFixingMuxer:
    """Muxes the packets of one stream with a delay of one packet, when the duration is known.

    FFmpeg's muxer places the first packet of a fragment at the end of the previous one and ignores its time. This would
    misplace frames of a variable rate, and audio after a gap.

    Args:
        output: Container to write to.
        is_needed: False for other containers, which get every packet without delay.
    """

    def __init__(self, output: av.container.OutputContainer, is_needed: bool) -> None:
        self._output, self._is_needed = output, is_needed
        self._held: Packet | None = None

    def mux(self, packet: Packet) -> None:
        """Mux a packet.

        Args:
            packet: Packet with a later time than the previous one, in the same clock.

        Raises:
            av.FFmpegError: If writing fails.
        """
        held, self._held = self._held, packet
        if not self._is_needed:
            held, self._held = packet, None
        elif held is not None and held.dts is not None and packet.dts is not None:
            held.duration = max(packet.dts - held.dts, 1)
        if held is not None:
            self._output.mux(held)

    def finish(self) -> None:
        """Mux the last packet.

        Raises:
            av.FFmpegError: If writing fails.
        """
        held, self._held = self._held, None
        if held is not None:
            self._output.mux(held)


def needs_spacing(suffix: str) -> bool:
    """Return True if recordings with this suffix are fragmented MP4 or MOV."""
    return suffix in (".mp4", ".m4v", ".mov")
