"""HLS playlists: every address in them is opened with the options of the playlist itself.

FFmpeg opens addresses in a playlist without the TLS options, so that certificates of segments would not be verified. It
also follows nested playlists without end. This module limits both.
"""

import logging
import re
from collections.abc import Callable, Mapping

import av

from clipseg_live.core.addresses import redact

logger = logging.getLogger(__name__)

OPTIONS = {"http_persistent": "0", "http_multiple": "0"}  # they need connections that FFmpeg opens itself
MOST_VARIANTS = 200
"""Number of further playlists that a playlist may contain; those may contain none."""
MOST_BYTES = 8 << 20
"""Size limit of a playlist in bytes; a day of segments takes half of it."""
_READ_BYTES = 32768
_BEGINNING = b"#EXTM3U"
_VARIANT = re.compile(rb"#EXT-X-(?:STREAM-INF|MEDIA):")
_LONGEST_MARK = len("#EXT-X-STREAM-INF:")

SecondsLeft = Callable[[], float]


class Resources:
    """Opens the addresses of one playlist for FFmpeg; ``open`` is the ``io_open`` of ``av.open``.

    Args:
        options: Options for every address.
        seconds_left: Returns the seconds until the current FFmpeg call must end.
    """

    def __init__(self, options: Mapping[str, str], seconds_left: SecondsLeft) -> None:
        self._options, self._seconds_left = dict(options), seconds_left
        self._first = True

    def open(self, address: str, flags: int, options: Mapping[str, str]) -> "Resource":
        """Open one address; an address from the playlist that cannot be opened is empty.

        Args:
            address: Address to open.
            flags: Flags of FFmpeg, not used.
            options: Options of FFmpeg, which those of the playlist override.

        Raises:
            TimeoutError: If there is no time left.
            av.FFmpegError: If the playlist itself cannot be opened. PyAV can also raise OSError and ValueError.
        """
        first, self._first = self._first, False
        if self._seconds_left() <= 0:
            raise TimeoutError
        most = MOST_VARIANTS if first else 0
        try:
            return Resource(address, {**options, **self._options}, self._seconds_left, most)
        except (av.FFmpegError, OSError, ValueError) as error:
            if first or isinstance(error, av.error.ExitError):
                raise
            logger.warning("An address of a playlist cannot be opened: %s", redact(str(error)))
            return Resource(None, {}, self._seconds_left, most)


class Resource:
    """The bytes at an address as a file, empty without an address.

    Args:
        address: Address, None for an empty file.
        options: Options of FFmpeg.
        seconds_left: Returns the seconds until the current FFmpeg call must end.
        most_variants: Number of playlists that a playlist may contain. It is cut off if it contains more or is too
            long.
    """

    def __init__(
        self, address: str | None, options: Mapping[str, str], seconds_left: SecondsLeft, most_variants: int
    ) -> None:
        self.name = ""  # PyAV puts it into errors
        self._seconds_left = seconds_left
        self._most_variants, self._variants, self._length = most_variants, 0, 0
        self._start = self._end = self._rest = b""
        self._container: av.container.InputContainer | None = None
        if address is not None:
            timeout = max(seconds_left(), 0.05)
            wanted = {**options, "raw_packet_size": str(_READ_BYTES)}
            self._container = av.open(
                address, mode="r", format="data", container_options=wanted, timeout=(timeout, timeout)
            )
            self._packets = self._container.demux()

    def read(self, count: int) -> bytes:
        """Return at most ``count`` bytes, none at the end."""
        if self._seconds_left() <= 0:  # FFmpeg checks the time only when it reads by itself
            raise TimeoutError
        while not self._rest and self._container is not None:
            try:
                packet = next(self._packets, None)
            except av.error.ExitError:  # too slow, or too large
                raise
            except (av.FFmpegError, OSError) as error:
                logger.warning("An address of a playlist broke off: %s", redact(str(error)))
                packet = None
            if packet is None or not self._allowed(data := bytes(packet)):
                break
            self._rest = data
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def close(self) -> None:
        """Close the connection."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _allowed(self, data: bytes) -> bool:
        """Return True if the bytes do not belong to a playlist, or to one within the limits."""
        self._start += data[: len(_BEGINNING) - len(self._start)]
        if not _BEGINNING.startswith(self._start):
            return True
        self._length += len(data)
        text = self._end + data
        self._variants += len(_VARIANT.findall(text))
        self._end = text[-_LONGEST_MARK + 1 :]
        within = self._length <= MOST_BYTES and self._variants <= self._most_variants
        if not within:
            logger.warning("A playlist is too long, or names too many others")
        return within
