"""Photo sets: unrelated image files, listed and read one by one."""

import glob
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from clipseg_live.core.errors import PhotoError, SourceError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.system.paths import number_place
from clipseg_live.media.images.animations import kind_of
from clipseg_live.media.images.reader import IMAGE_SUFFIXES, read_image

logger = logging.getLogger(__name__)

_ANIMATED = frozenset({".png", ".webp", ".tif", ".tiff", ".avif"})
"""Suffixes of files that may hold an animation or several pages."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The image files of a folder or pattern, in natural order.

    Attributes:
        name: Folder or pattern.
        files: Image files.
        skipped: Number of hidden files and of files that are not images.
        folders: Number of sub-folders, which are not searched.
    """

    name: str
    files: tuple[Path, ...]
    skipped: int = 0
    folders: int = 0

    @property
    def title(self) -> str:
        """Short name for display."""
        return Path(os.path.abspath(self.name)).name or self.name

    @property
    def notice(self) -> str:
        """Sentence about what was left out, "" if nothing was."""
        parts = []
        if self.skipped:
            parts.append("1 file was skipped" if self.skipped == 1 else f"{self.skipped} files were skipped")
            parts[-1] += " (hidden or not an image)"
        if self.folders:
            what = "1 sub-folder was" if self.folders == 1 else f"{self.folders} sub-folders were"
            parts.append(f"{what} not searched (a pattern with ** searches them)")
        animations = sum(kind_of(file) == "animation" for file in self.files if file.suffix.lower() in _ANIMATED)
        if animations:
            what = "1 animation was" if animations == 1 else f"{animations} animations were"
            parts.append(f"{what} read as the first image only (pass an animation by itself to read all its frames)")
        return f"{self.name}: {', and '.join(parts)}." if parts else ""


def list_photos(name: str | Path) -> Listing:
    """List the images in a folder, or those that match a pattern, in natural order.

    Sub-folders are searched only by a pattern with ``**``.

    Raises:
        SourceError: If there are no images, or the folder cannot be read.
    """
    path = Path(name)
    if os.path.isdir(path):
        try:
            entries = list(path.iterdir())
        except OSError as error:
            raise SourceError(f"The folder {path} cannot be read: {error.strerror}.") from error
        listing = _sorted_out(str(path), entries, folders=True)
        if not listing.files:
            searched = f" ({', '.join(sorted(IMAGE_SUFFIXES))})"
            if listing.folders:
                searched += f", and its sub-folders are not searched: name one, or a pattern such as {path}/**/*.jpg"
            raise SourceError(f"The folder {path} contains no images{searched}.")
        return listing
    numbered = number_place(path)
    matching = globbed(str(name)) if numbered is None else _numbered(path, numbered)
    listing = _sorted_out(str(name), matching, folders=False)
    if not listing.files:
        raise SourceError(f"No image matches the pattern {path}.")
    return listing


def photos_among(names: Sequence[str]) -> Listing:
    """Return the images among some files, without duplicates and in natural order. Folders are not searched."""
    files = list(dict.fromkeys(Path(name) for name in names))
    folders = {file.parent for file in files}
    return _sorted_out(str(folders.pop()) if len(folders) == 1 else "photos", files, folders=True)


def natural_order(path: Path) -> tuple[object, ...]:
    """Return a sorting key that puts ``shot2`` before ``shot10``, folder by folder."""
    return tuple(_natural(part) for part in path.parts), path.parts


@lru_cache(maxsize=4096)  # the folders of files in a list are the same ones again and again
def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)


def _sorted_out(name: str, entries: Iterable[Path], folders: bool) -> Listing:
    """Sort entries into images, other files and folders."""
    photos, skipped, below = [], 0, 0
    for entry in entries:
        if entry.is_dir():
            below += folders and not entry.name.startswith(".")
        elif entry.suffix.lower() in IMAGE_SUFFIXES and not _is_hidden(entry, name) and entry.is_file():
            photos.append(entry)
        else:
            skipped += 1
    return Listing(name, tuple(sorted(photos, key=natural_order)), skipped, below)


def _is_hidden(entry: Path, name: str) -> bool:
    return entry.name.startswith(".") and not Path(name).name.startswith(".")


def globbed(pattern: str) -> list[Path]:
    """Return the paths that match a pattern. Existing leading folders are taken literally."""
    folder, rest = os.path.split(pattern)
    while folder and not os.path.isdir(folder):
        folder, last = os.path.split(folder)
        rest = os.path.join(last, rest)
    if not folder and pattern.startswith(os.sep):
        folder = os.sep
    paths = glob.glob(os.path.join(glob.escape(folder), rest), recursive=True)
    return [Path(path) for path in paths]


def _numbered(path: Path, place: re.Match[str]) -> list[Path]:
    """Return the files whose names have a number in place of a field such as ``%04d``."""
    before, after = re.escape(path.name[: place.start()]), re.escape(path.name[place.end() :])
    fits = re.compile(rf"{before}\d+{after}")
    if not path.parent.is_dir():
        return []
    return [entry for entry in path.parent.iterdir() if fits.fullmatch(entry.name)]


class PhotoSetSource:
    """Photos as a source of independent frames; also a ``LiveSource`` that seeks to any photo by its number.

    ``Frame.index`` and ``Frame.time`` are the number of the photo, from 0. Photos may have different sizes. An
    unreadable or missing photo does not end the source (see ``SourceInfo.independent``).

    Args:
        find: Lists the photos; called by ``open``.
    """

    live = False

    def __init__(self, find: Callable[[], Listing]) -> None:
        """Prepare a source that is not open yet."""
        self._find = find
        self._paths: tuple[Path, ...] = ()
        self._next = 0
        self._opened: tuple[int, Pixels] | None = None
        self._is_open = False

    def open(self) -> SourceInfo:
        """List the photos, and read the first readable one.

        Raises:
            SourceError: If none can be read.
        """
        listing = self._find()
        self._paths = listing.files
        if not self._paths:
            raise SourceError("There are no images to read.")
        self._next = 0
        number, pixels = self._first()
        self._opened, self._is_open = (number, pixels), True
        height, width = pixels.shape[:2]
        return SourceInfo(
            name=listing.title,
            width=width,
            height=height,
            rate=None,
            time_base=Fraction(1),
            frame_count=len(self._paths),
            duration=Fraction(len(self._paths)),
            independent=True,
            notices=(listing.notice,) if listing.notice else (),
        )

    def read(self) -> Frame | None:
        """Return the next photo, or None after the last.

        Raises:
            PhotoError: If the photo cannot be read.
        """
        if not self._is_open or self._next >= len(self._paths):
            return None
        number, opened = self._next, self._opened
        self._next += 1
        if opened is not None and opened[0] == number:
            pixels = opened[1]
            self._opened = None
        else:
            try:
                pixels = read_image(self._paths[number])
            except SourceError as error:
                raise PhotoError(str(error), number, self._paths[number]) from error
        return Frame(pixels, number, Fraction(number), file=self._paths[number], independent=True)

    def seek(self, time: Fraction) -> None:
        """Make the next ``read`` return the photo with this number, limited to the first and last."""
        self._next = min(max(int(time // 1), 0), len(self._paths) - 1)

    def close(self) -> None:
        """Release the photo that was read ahead."""
        self._opened, self._is_open = None, False

    def controls(self) -> Mapping[str, float]:
        """Return no controls: files have none."""
        return {}

    def set_control(self, name: str, value: float) -> None:
        """Do nothing: files have no controls."""

    def _first(self) -> tuple[int, Pixels]:
        first: SourceError | None = None
        for number, path in enumerate(self._paths):
            try:
                return number, read_image(path)
            except SourceError as error:
                logger.warning("A photo at the beginning of a set cannot be read", exc_info=True)
                first = first or error
        assert first is not None
        if len(self._paths) == 1:
            raise first
        raise SourceError(f"None of the {len(self._paths)} images can be read; the first: {first}") from first
