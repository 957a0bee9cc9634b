"""Packets that last until the next one, as fragments of MP4 need them."""

import av


class DurationFixingMuxer:
    """Muxes the packets of one stream, each one step late, when it is known how long it lasts.

    FFmpeg's muxer puts the first packet of a fragment where the one before ended by its own account, not where its time
    says; without this, pictures of a variable rate, and sound after a gap, would be misplaced there. Other
    containers (``is_needed`` False) get every packet at once.
    """

    def __init__(self, output: av.container.OutputContainer, is_needed: bool) -> None:
        self._output, self._is_needed = output, is_needed
        self._held: av.Packet | None = None

    def mux(self, packet: av.Packet) -> None:
        """Times of packets grow, in one clock. Raises av.FFmpegError."""
        held, self._held = self._held, packet
        if not self._is_needed:
            held, self._held = packet, None
        elif held is not None and held.dts is not None and packet.dts is not None:
            held.duration = max(packet.dts - held.dts, 1)
        if held is not None:
            self._output.mux(held)

    def finish(self) -> None:
        """Mux the last one. Raises av.FFmpegError."""
        held, self._held = self._held, None
        if held is not None:
            self._output.mux(held)


def needs_spacing(suffix: str) -> bool:
    """Whether recordings with this suffix are fragmented MP4 or MOV."""
    return suffix in (".mp4", ".m4v", ".mov")
