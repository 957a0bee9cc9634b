"""Atomic output: results are written to a temporary file or folder and renamed when complete."""

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import ModuleType

from clipseg_live.core.errors import ClipsegLiveError, SinkError, UsageError
from clipseg_live.core.system.paths import check_replaceable

logger = logging.getLogger(__name__)

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows, which does not move open files
    fcntl = None

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES)

_STALE_SECONDS = 24 * 3600.0
_MOST_NUMBERS = 1000
_LONGEST_STEM = 200
RECORDING_MARK = ".recording"
"""Mark before the suffix of a file that is being recorded."""
_LITTER = re.compile(
    r"\.ds_store|\._.*|\.localized|\.directory|thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|icon\r",
    re.IGNORECASE | re.DOTALL,
)
"""Files that file managers add to folders: a folder with nothing else is empty."""
_CACHE = ".cache"
"""Suffix of cache files that trainers add to data sets; they never prevent the replacement of a folder."""


def write_failure(path: Path, error: Exception) -> SinkError:
    """Return the error with a message for a disk or encoder error while ``path`` was being written."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return SinkError(
            f"The disk with {path.parent} is full, so {path.name} is incomplete: free space or write to another disk."
        )
    if number == errno.EFBIG:
        return SinkError(f"{path.name} is larger than the disk or system allows: write to another disk.")
    if number == errno.EROFS:
        return SinkError(f"{path.parent} has become read-only, so {path.name} is incomplete: write to another folder.")
    reason = getattr(error, "strerror", None) or str(error)
    return SinkError(f"{path.name} could not be written: {reason}.")


def move_without_replacing(source: Path, target: Path) -> None:
    """Move a file to a path that must not exist.

    Raises:
        FileExistsError: If ``target`` exists.
        OSError: If the move fails.
    """
    try:
        os.link(source, target)  # unlike a rename, this never replaces a file created meanwhile
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            source.replace(target)
        except OSError:
            target.unlink(missing_ok=True)  # the empty placeholder file
            raise
        return
    source.unlink()


def is_claimed(path: Path) -> bool:
    """Return True if a running process is writing to a visible unfinished file or folder.

    On systems without such locks, the result is always False. Callers there treat recently written files as claimed.
    """
    if fcntl is None:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a network disk without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _claim(owner: "AtomicOutput", path: Path) -> Callable[[], object]:
    """Lock an unfinished file or folder until the result is called, its owner is collected, or the process ends."""
    if fcntl is None:
        return _nothing
    descriptor = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return weakref.finalize(owner, os.close, descriptor)


def _nothing() -> None: ...


class AtomicOutput:
    """Destination of a file or, with ``folder``, of a folder of files.

    Args:
        path: Destination.
        overwrite: True to replace an existing result.
        folder: True for a folder.
        ours: For a folder, a pattern of the paths in it that ``overwrite`` may delete. A folder that contains other
            paths is never replaced.
        visible: True to write to ``NAME.recording.SUFFIX``, or the folder ``NAME.recording``, so that users find it
            after a crash. It is never deleted automatically, and is locked (``is_claimed``) while it is written.
        listed: For a folder, returns more paths that may be deleted. It is called only if a path does not match
            ``ours``.

    Attributes:
        working: File or folder that is being written, None if there is none.
        finished: Complete result that ``commit`` kept because it could not move it, otherwise None.
    """

    def __init__(
        self,
        path: str | Path,
        overwrite: bool,
        folder: bool = False,
        ours: str = "",
        visible: bool = False,
        listed: Callable[[Path], Collection[str]] = lambda folder: (),
    ) -> None:
        self.path = Path(path)
        self.working: Path | None = None
        self.finished: Path | None = None
        self._overwrite, self._folder, self._ours = overwrite, folder, re.compile(ours)
        self._visible, self._listed = visible, listed
        self._release: Callable[[], object] = _nothing

    def check(self) -> None:
        """Check that the result can be written.

        Raises:
            UsageError: If the destination exists and may not be replaced, or its name is invalid.
            SinkError: If the parent folder is missing or cannot be written to.
        """
        parent = self.path.parent
        try:
            self.path.lstat()
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
                raise UsageError(f"{self.path.name[:40]}… is not a valid name here: {error.strerror}.") from error
        check_replaceable(self.path)
        if self._folder and self.path.is_dir():
            held = [entry for entry in self.path.rglob("*") if not _is_left_by_a_file_manager(entry)]
            if (foreign := self._foreign(held)) is not None:
                raise UsageError(
                    f"The folder {self.path} contains other files ({foreign.name}): use a new or empty folder."
                )
            if held and not self._overwrite:
                raise UsageError(f"{self.path} exists already: use --overwrite to replace it.")
        elif self.path.is_dir():
            raise UsageError(f"{self.path} is a folder: name a file in it.")
        elif self._folder and self.path.exists():
            raise UsageError(f"{self.path} is a file: name a folder.")
        elif os.path.lexists(self.path) and not self._overwrite:
            raise UsageError(f"{self.path} exists already: use --overwrite to replace it.")
        if not parent.exists():
            raise SinkError(f"The folder {parent} does not exist: create it first.")
        if not parent.is_dir():
            raise SinkError(f"{parent} is not a folder, so nothing can be written into it.")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise SinkError(f"{parent} is not writable: change its permissions or write to another folder.")

    def begin(self) -> Path:
        """Create the file or folder to work in, and return it.

        Raises:
            UsageError: As in ``check``.
            SinkError: As in ``check``, or if it cannot be created.
        """
        self.check()
        try:
            if self._visible:
                working = self._visible_working()
                self._release = _claim(self, working)
            else:
                name = f".{self.path.stem[:60]}.partial-{secrets.token_hex(4)}{self.path.suffix}"
                working = self.path.parent / name
                working.mkdir() if self._folder else working.touch(exist_ok=False)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SinkError(f"Cannot write to {self.path.parent} ({reason}): write to another folder.") from error
        if not self._visible:
            self._clear_stale(working)
        self.working = working
        return working

    def commit(self) -> None:
        """Move the complete result to its destination.

        Raises:
            SinkError: If it cannot be moved. The complete result is then kept under another name, which is in the
                message and in ``finished``. A visible file stays in ``working``.
        """
        working = self._begun()
        try:
            if self._folder:
                self._move_folder(working)
            else:
                with working.open("rb+") as file:
                    os.fsync(file.fileno())
                self._move_file(working)
        except FileExistsError as error:
            raise self._not_moved("another program created it in the meantime", error) from error
        except ClipsegLiveError as error:
            raise self._not_moved(str(error).rstrip("."), error) from error
        except OSError as error:
            raise self._not_moved(error.strerror or str(error), error) from error
        self.working = None
        self._release()

    def _not_moved(self, reason: str, cause: Exception) -> SinkError:
        """Keep the complete result under another name, and return the error with this name."""
        logger.warning("A finished result could not be moved to its place", exc_info=cause)
        sentence = f"{self.path} could not be renamed to its final name ({reason})"
        if self._visible or self.working is None or not os.path.lexists(self.working):
            return SinkError(f"{sentence}.")
        self.finished = self._keep_as("finished") or self.working
        self.working = None
        return SinkError(f"{sentence}: the finished result is {self.finished}.", self.finished)

    def discard(self) -> None:
        """Remove what was written. Never raises."""
        working, self.working = self.working, None
        if working is None:
            return
        self._release()
        if self._folder:
            shutil.rmtree(working, ignore_errors=True)
            return
        try:
            working.unlink()
        except OSError:
            return

    def keep_partial(self) -> Path | None:
        """Move what was written to the final name with ``.partial`` before the suffix. Never raises.

        A number is added if the name is taken. A complete result that ``commit`` has kept is not moved.

        Returns:
            The new path, None if it cannot be moved.
        """
        return self.finished or self._keep_as("partial")

    def _keep_as(self, word: str) -> Path | None:
        working = self.working
        if working is None:
            return None
        for number in range(1, 100):
            extra = "" if number == 1 else f"-{number}"
            kept = self.path.with_name(f"{self.path.stem}.{word}{extra}{self.path.suffix}")
            if not os.path.lexists(kept):
                try:
                    working.rename(kept)
                except OSError:
                    logger.warning("A result could not be renamed", exc_info=True)
                    break
                self.working = None
                self._release()
                return kept
        return None

    def _visible_working(self) -> Path:
        name, suffix = (self.path.name, "") if self._folder else (self.path.stem, self.path.suffix)
        stem = name.encode()[:_LONGEST_STEM].decode(errors="ignore")
        for number in range(1, _MOST_NUMBERS):
            extra = "" if number == 1 else f"-{number}"
            working = self.path.parent / f"{stem}{RECORDING_MARK}{extra}{suffix}"
            with contextlib.suppress(FileExistsError):
                working.mkdir() if self._folder else working.touch(exist_ok=False)
                return working
        raise FileExistsError(errno.EEXIST, "too many unfinished files of this name")

    def _clear_stale(self, new: Path) -> None:
        """Remove hidden files that killed runs left for this name and that did not change for a day."""
        stem = new.name.rpartition(".partial-")[0]
        ours = re.compile(re.escape(stem) + r"\.partial-[0-9a-f]{8}" + re.escape(self.path.suffix))
        with contextlib.suppress(OSError):
            for entry in list(new.parent.iterdir()):
                if ours.fullmatch(entry.name) and time.time() - entry.lstat().st_mtime > _STALE_SECONDS:
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry, ignore_errors=True)
                    else:
                        entry.unlink()

    def _begun(self) -> Path:
        if self.working is None:
            raise SinkError(f"{self.path} is not open, or already finished.")
        return self.working

    def _move_file(self, working: Path) -> None:
        if self._overwrite:
            check_replaceable(self.path)  # again: it may have changed since the beginning
            working.replace(self.path)
            return
        move_without_replacing(working, self.path)

    def _move_folder(self, working: Path) -> None:
        if not self.path.exists():
            working.rename(self.path)
            return
        self.check()
        old = working.with_name(working.name + ".old")
        self.path.rename(old)
        try:
            working.rename(self.path)
        except OSError:
            old.rename(self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def _foreign(self, entries: Sequence[Path]) -> Path | None:
        """Return the first entry that is not ours, None if all are."""
        inside = ((entry, entry.relative_to(self.path).as_posix()) for entry in entries)
        others = [(entry, name) for entry, name in inside if not self._ours.fullmatch(name) and not is_litter(entry)]
        listed = set(self._listed(self.path)) if others else set()
        return next((entry for entry, name in others if name not in listed or not entry.is_file()), None)


def is_litter(entry: Path) -> bool:
    """Return True for files that other programs add to data sets: those of file managers, and caches of trainers."""
    return _is_left_by_a_file_manager(entry) or (entry.suffix.lower() == _CACHE and not entry.is_dir())


def _is_left_by_a_file_manager(entry: Path) -> bool:
    return _LITTER.fullmatch(entry.name) is not None and not entry.is_dir()
