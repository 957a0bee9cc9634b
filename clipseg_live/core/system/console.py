"""Protection of standard output and standard error: a closed terminal or pipe must not break a running job."""

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

_STANDARD = (0, 1, 2)
_CLOSED = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET, errno.ENXIO)
_errors: dict[int, OSError] = {}


def protect() -> None:
    """Make standard output and standard error safe for this process.

    Call it once, before any file is opened.

    - A closed descriptor (``>&-``) is opened on the null device. Otherwise the next file would take its number, and
      printed text would end up in that file.
    - The error of a failed write is kept (``output_failure``), and all later output goes to the null device.
    - Characters that the encoding lacks are written as escapes.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free number, which is this one
    sys.stdout = _protected(sys.stdout, 1)
    sys.stderr = _protected(sys.stderr, 2)


def output_failure() -> OSError | None:
    """Return the error of the first failed write to standard output; None if its reader has only closed it."""
    error = _errors.get(1)
    return None if error is None or _is_closing(error) else error


def is_closed() -> bool:
    """Return whether nobody reads standard output or standard error any more: a closed pipe or terminal."""
    return any(_is_closing(error) for error in _errors.values()) or _has_no_reader()


def ascii_only(stream: TextIO | None) -> bool:
    """Return whether JSON for this stream must escape all non-ASCII characters."""
    try:
        return codecs.lookup(getattr(stream, "encoding", None) or "ascii").name != "utf-8"
    except LookupError:
        return True


class _Descriptor(io.FileIO):
    """A file descriptor whose writes never fail."""

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        while True:
            try:
                written = super().write(data)
            except OSError as error:
                _errors.setdefault(self.fileno(), error)
                _give_up(self.fileno())
                return size
            if written is not None:
                return written
            select.select([], [self], [], 1.0)  # a non-blocking descriptor that is full


def _protected(stream: Any, number: int) -> Any:
    if stream is not None and not isinstance(stream, io.TextIOWrapper):
        return stream  # set by a program that embeds this one
    raw = None if stream is None else getattr(stream.buffer, "raw", stream.buffer)
    if stream is not None and (type(raw) is not io.FileIO or raw.fileno() != number):
        stream.reconfigure(errors="backslashreplace")  # the Windows console, or a file of another program
        return stream
    unbuffered = stream is not None and stream.write_through
    descriptor = _Descriptor(number, "w", closefd=False)
    return io.TextIOWrapper(
        descriptor if unbuffered else io.BufferedWriter(descriptor),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=number == 2 or (stream is not None and stream.line_buffering),
        write_through=unbuffered,
    )


def _give_up(number: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, number)
    finally:
        os.close(null)


def _is_closing(error: OSError) -> bool:
    return error.errno in _CLOSED or (sys.platform == "win32" and error.errno == errno.EINVAL)


def _has_no_reader() -> bool:
    if not hasattr(select, "poll"):
        return False
    waiting = select.poll()
    for number in _STANDARD[1:]:
        waiting.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in waiting.poll(0))
