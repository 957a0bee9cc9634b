"""Small files that are replaced as a whole: settings, sessions, manifests and snapshots."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a temporary file beside ``path`` and move it there, so that the file is always the old or the new one.

    Args:
        path: File, which need not exist.
        content: What to write; text is encoded as UTF-8.
        private: Let only this user read the file.

    Raises:
        OSError: If the file cannot be written. ``path`` is unchanged.
    """
    partial = path.with_name(f".{path.name[:80].lstrip('.')}.partial-{secrets.token_hex(4)}")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def set_aside(path: Path) -> Path:
    """Rename a damaged file to ``NAME.damaged.SUFFIX``, with a number if that is taken, and return its new path.

    Raises:
        OSError: If it cannot be renamed.
    """
    for number in range(1, 100):
        extra = "" if number == 1 else f"-{number}"
        aside = path.with_name(f"{path.stem}.damaged{extra}{path.suffix}")
        if not os.path.lexists(aside):
            break
    return path.rename(aside)
