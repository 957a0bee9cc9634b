"""Composed photos of a set as picture files, one for each, in a folder."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.media.images.writers import ImageWriter


class PhotoWriter:
    """Writes each photo of a set to a file of its own (a ``FrameSink``).

    Each picture appears whole under its name, as soon as it is done. Pictures that are done stay, whatever becomes of
    the others.

    Attributes:
        path: The folder.
        padded: Always False; for the likeness with ``VideoWriter``.
        notices: Sentences for the user.
    """

    def __init__(
        self, folder: str | Path, names: Mapping[Path, str], quality: int = 70, overwrite: bool = False
    ) -> None:
        """Prepare a writer.

        Args:
            folder: It is made if it is missing; its parent must exist.
            names: Name of the picture of each photo, by ``Frame.file``. Photos that are not listed are not written.
            quality: 0 (smallest) to 100 (best), for JPEG.
            overwrite: Replace files that exist.

        Raises:
            UsageError: The folder is a file, or a picture exists.
            SinkError: Nothing can be written there.
        """
        self.path = Path(folder)
        self._names, self._quality, self._overwrite = dict(names), quality, overwrite
        self.padded = False
        self.notices: list[str] = []
        self._info: SourceInfo | None = None
        self._made = False
        self._count = 0
        self._check()

    def open(self, info: SourceInfo) -> None:
        """Make the folder. Raises SinkError."""
        self._info, self._count = replace(info, frame_count=1), 0
        try:
            self._made = not self.path.exists()
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"The folder {self.path} cannot be made: {error.strerror or error}.") from error

    def write(self, frame: Frame) -> None:
        """Write a photo as a whole file. Raises SinkError."""
        if self._info is None:
            raise SinkError(f"{self.path.name} is not open.")
        name = None if frame.file is None else self._names.get(frame.file)
        if name is None:
            return
        picture = ImageWriter(self.path / name, quality=self._quality, overwrite=self._overwrite)
        try:
            picture.open(self._info)
            picture.write(frame)
            picture.finish()
        except BaseException:
            picture.abandon()
            raise
        self._count += 1

    def finish(self) -> None:
        """Do nothing: every picture is in its place already."""
        self._info = None

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop. Return the folder if pictures are in it, and remove it otherwise. Never raises."""
        self._info = None
        if self._count:
            return self.path
        if self._made:
            try:
                self.path.rmdir()
            except OSError:
                return None
        return None

    def _check(self) -> None:
        if os.path.isdir(self.path):
            standing = [name for name in self._names.values() if os.path.lexists(self.path / name)]
            if standing and not self._overwrite:
                first = self.path / standing[0]
                raise UsageError(
                    f"{first} exists already: use --overwrite to replace it."
                    if len(standing) == 1
                    else f"{first} and {len(standing) - 1} more exist already: use --overwrite to replace them."
                )
            for name in standing:
                ImageWriter(self.path / name, overwrite=True)  # a folder or link of this name cannot be replaced
        elif os.path.lexists(self.path):
            raise UsageError(f"{self.path} is a file: name a folder.")
        elif not os.path.isdir(self.path.absolute().parent):
            raise SinkError(f"The folder {self.path.parent} does not exist: create it first.")
