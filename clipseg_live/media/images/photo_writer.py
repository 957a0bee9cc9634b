"""Writer of rendered photos: one image file for each photo of a set, in a folder."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.media.images.writers import ImageWriter


class PhotoWriter:
    """Writes each photo of a set to its own file (a ``core.protocols.FileOutput``).

    Each image appears under its name only when it is complete. Complete images are kept even if others fail.

    Attributes:
        path: Folder.
        padded: Always False, for the same interface as ``VideoWriter``.
        notices: Messages for the user.
    """

    def __init__(
        self, folder: str | Path, names: Mapping[Path, str], quality: int = 70, overwrite: bool = False
    ) -> None:
        """Prepare a writer.

        Args:
            folder: Folder for the images. It is created if missing; its parent must exist.
            names: File name for each photo, by ``Frame.file``. Photos that are not listed are not written.
            quality: 0 (smallest) to 100 (best), for JPEG.
            overwrite: True to replace existing files.

        Raises:
            UsageError: If the folder is a file, or an image exists.
            SinkError: If the folder cannot be written to.
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
        """Create the folder.

        Raises:
            SinkError: If it cannot be created.
        """
        self._info, self._count = replace(info, frame_count=1), 0
        try:
            self._made = not self.path.exists()
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"The folder {self.path} cannot be created: {error.strerror or error}.") from error

    def write(self, rendered: RenderedFrame) -> None:
        """Write a photo as a complete file.

        Raises:
            SinkError: If it cannot be written.
        """
        if self._info is None:
            raise SinkError(f"{self.path.name} is not open.")
        name = None if rendered.file is None else self._names.get(rendered.file)
        if name is None:
            return
        picture = ImageWriter(self.path / name, quality=self._quality, overwrite=self._overwrite)
        try:
            picture.open(self._info)
            picture.write(rendered)
            picture.finish()
        except BaseException:
            picture.abort()
            raise
        self._count += 1

    def finish(self) -> None:
        """Do nothing: every image is complete already."""
        self._info = None

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop. Return the folder if it contains images, otherwise remove it. Never raises."""
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
            existing = [name for name in self._names.values() if os.path.lexists(self.path / name)]
            if existing and not self._overwrite:
                first = self.path / existing[0]
                raise UsageError(
                    f"{first} exists already: use --overwrite to replace it."
                    if len(existing) == 1
                    else f"{first} and {len(existing) - 1} more exist already: use --overwrite to replace them."
                )
            for name in existing:
                ImageWriter(self.path / name, overwrite=True)  # raises if a folder or link has this name
        elif os.path.lexists(self.path):
            raise UsageError(f"{self.path} is a file: name a folder.")
        elif not os.path.isdir(self.path.absolute().parent):
            raise SinkError(f"The folder {self.path.parent} does not exist: create it first.")
