"""Identity of the content of sources, with which an index recognises them."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from clipseg_live.core.errors import SourceError
from clipseg_live.core.system.paths import check_input
from clipseg_live.index.manifest import IndexedSource, InvalidIndex

logger = logging.getLogger(__name__)

Stamps = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of the last change (nanoseconds) of each file."""


def stamps_of(files: Sequence[Path]) -> Stamps:
    """Return the stamps of files.

    Raises:
        SourceError: A file cannot be read.
    """
    stamps = []
    for file in files:
        check_input(file)
        try:
            status = file.stat()
        except (OSError, ValueError) as error:
            logger.warning("A file cannot be read", exc_info=True)
            raise SourceError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
        stamps.append((file.name, status.st_size, status.st_mtime_ns))
    return tuple(stamps)


def content_digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, or of the names and digests of several, as hexadecimal digits.

    Raises:
        SourceError: A file cannot be read.
    """
    digests = []
    for path in files:
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            logger.warning("A file cannot be read", exc_info=True)
            raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(digests) == 1:
        return digests[0]
    lines = "".join(f"{path.name}\0{digest}\n" for path, digest in zip(files, digests, strict=True))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def check_content(source: IndexedSource, files: Sequence[Path], folder: Path) -> None:
    """Check that files have the content with which they were indexed. Files with the same stamps are not read.

    Args:
        source: Source in the index.
        files: Its files now.
        folder: Folder of the index.

    Raises:
        InvalidIndex: The content is another one.
        SourceError: A file cannot be read.
    """
    if stamps_of(files) != source.stamps and content_digest(files) != source.content:
        raise InvalidIndex(
            f"{source.name} has changed since the index {folder} was made: run clipseg-live index with --overwrite."
        )
