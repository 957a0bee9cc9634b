"""Pictures as parts of prompts: from files, the clipboard and images, and back to the screen."""

from pathlib import Path

import numpy as np
from PySide6.QtCore import QBuffer, QCoreApplication, QIODevice, QMimeData, QSize, Qt
from PySide6.QtGui import QColor, QColorSpace, QImage, QPainter

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.live import PromptImage

LONGEST_SIDE = 768
"""Pixels; a model looks at less than half of it."""
_PREVIEW = 192


def _tr(text: str) -> str:
    return QCoreApplication.translate("thumbnails", text)


def prompt_image(image: QImage) -> PromptImage:
    """An image as a picture in sRGB: transparent parts over black, at most LONGEST_SIDE pixels on its longer side.

    Raises UsageError for an image that is empty.
    """
    if image.isNull() or image.width() < 1 or image.height() < 1:
        raise UsageError(_tr("There is no picture in this: choose another one."))
    size = _fitted(image.size())
    if size != image.size():
        image = image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
    if image.colorSpace().isValid():
        image = image.convertedToColorSpace(QColorSpace(QColorSpace.NamedColorSpace.SRgb))
    if image.hasAlphaChannel():
        opaque = QImage(image.size(), QImage.Format.Format_RGB888)
        opaque.fill(QColor("black"))
        painter = QPainter(opaque)
        painter.drawImage(0, 0, image)
        painter.end()
        image = opaque
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    lines = np.frombuffer(image.constBits(), np.uint8, image.sizeInBytes()).reshape(image.height(), -1)
    return PromptImage.of(lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3))


def read_picture(path: Path) -> PromptImage:
    """Read a picture from a file, as frames are read. Raises SourceError."""
    from clipseg_live.media.images.reader import read_image

    return PromptImage.of(read_image(path, longest=LONGEST_SIDE))


def clipboard_picture(content: QMimeData | None) -> PromptImage:
    """The picture that the clipboard (or a drop) holds, as pixels or as a file.

    Raises UsageError or Failure, in one sentence.
    """
    if content is not None and content.hasImage():
        image = content.imageData()
        if isinstance(image, QImage) and not image.isNull():
            return prompt_image(image)
    if content is not None and content.hasUrls():
        files = [Path(url.toLocalFile()) for url in content.urls() if url.isLocalFile()]
        if files:
            return read_picture(files[0])
    raise UsageError(_tr("There is no picture in the clipboard: copy one first."))


def holds_picture(content: QMimeData) -> bool:
    """Whether what is dragged is a picture, or a file that is named like one."""
    if content.hasImage():
        return True
    endings = {pattern[1:] for pattern in file_patterns().split()}
    return any(url.isLocalFile() and Path(url.toLocalFile()).suffix.lower() in endings for url in content.urls())


def image_of(picture: PromptImage) -> QImage:
    """The picture for the screen; its own copy of the pixels."""
    return QImage(picture.data, picture.width, picture.height, 3 * picture.width, QImage.Format.Format_RGB888).copy()


def square_of(picture: PromptImage, side: int) -> QImage:
    """The middle of a picture as a square of ``side`` pixels."""
    image = image_of(picture)
    least = min(image.width(), image.height())
    middle = image.copy((image.width() - least) // 2, (image.height() - least) // 2, least, least)
    return middle.scaled(side, side, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)


def preview_html(picture: PromptImage) -> str:
    """The picture, small, as rich text for a tool tip."""
    image = image_of(picture)
    if max(image.width(), image.height()) > _PREVIEW:
        image = image.scaled(
            QSize(_PREVIEW, _PREVIEW), Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    data = bytes(buffer.data().toBase64().data()).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" width="{image.width()}" height="{image.height()}">'


def file_patterns() -> str:
    """The patterns of all picture files that can be read, for a file dialogue."""
    from clipseg_live.media.images.reader import IMAGE_SUFFIXES

    return " ".join(f"*{suffix}" for suffix in sorted(IMAGE_SUFFIXES | {".gif"}))


def _fitted(size: QSize) -> QSize:
    """Within LONGEST_SIDE, in the same shape; a very thin picture keeps at least one pixel."""
    longest = max(size.width(), size.height())
    if longest <= LONGEST_SIDE:
        return size
    factor = LONGEST_SIDE / longest
    return QSize(max(1, round(size.width() * factor)), max(1, round(size.height() * factor)))
