"""Base of data sets with images: the common parts of COCO and YOLO."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label
from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, AnnotationSettings
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.datasets.image_files import reencoded_notice, write_image
from clipseg_live.exporters.folder import FolderSink


class ImageFolderSink(FolderSink):
    """Folder with an ``images`` folder inside.

    Args:
        annotations: how annotations are written; the others are those of ``FolderSink``.
    """

    def __init__(
        self,
        folder: str | Path,
        header: Mapping[str, Any],
        labels: Sequence[Label] = (),
        overwrite: bool = False,
        live: bool = False,
        annotations: AnnotationSettings = DEFAULT_ANNOTATIONS,
    ) -> None:
        super().__init__(folder, header, labels, overwrite, live)
        self._annotations = annotations
        self._reencoded_photos = 0

    @classmethod
    def create(cls, path: Path, options: DataOptions) -> Self:
        """Return the exporter of a data set, not yet opened."""
        return cls(path, options.header, options.labels, options.overwrite, options.live, options.annotations)

    def _begin(self, info: object) -> None:
        self._reencoded_photos = 0
        (self._require_folder() / "images").mkdir()

    def _put_image(self, stem: str, frame: Frame) -> str:
        """Write the image of a frame and return its name. May raise OSError and SinkError."""
        name, is_reencoded = write_image(self._require_folder() / "images", stem, frame)
        self._reencoded_photos += is_reencoded
        return name

    def _end(self) -> None:
        if self._reencoded_photos:
            self.notices.append(reencoded_notice(self._reencoded_photos))
