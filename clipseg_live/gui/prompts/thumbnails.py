"""Images of prompts: reading from files and the clipboard, and previews."""

from pathlib import Path

import numpy as np
from PySide6.QtCore import QBuffer, QCoreApplication, QIODevice, QMimeData, QSize, Qt
from PySide6.QtGui import QColor, QColorSpace, QImage, QPainter

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.live import PromptImage

LONGEST_SIDE = 768
"""Longest side of the image of a prompt, in pixels; the default model input is less than half as large."""
_PREVIEW = 192


def _tr(text: str) -> str:
    return QCoreApplication.translate("thumbnails", text)


def prompt_image(image: QImage) -> PromptImage:
    """Convert an image for a prompt.

    The result is in sRGB, with transparent parts over black, and at most ``LONGEST_SIDE`` pixels on its longer side.

    Raises:
        UsageError: if the image is empty.
    """
    if image.isNull() or image.width() < 1 or image.height() < 1:
        raise UsageError(_tr("The image is empty. Choose another one."))
    size = _fit(image.size())
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


def read_prompt_image(path: Path) -> PromptImage:
    """Read an image file in the same way as frames are read.

    Raises:
        SourceError: if the file cannot be read.
    """
    from clipseg_live.media.images.reader import read_image

    return PromptImage.of(read_image(path, longest=LONGEST_SIDE))


def clipboard_image(content: QMimeData | None) -> PromptImage:
    """Return the image in the data of the clipboard or of a drop, from pixels or from a file.

    Raises:
        UsageError: if there is no image.
        SourceError: if the file cannot be read.
    """
    if content is not None and content.hasImage():
        image = content.imageData()
        if isinstance(image, QImage) and not image.isNull():
            return prompt_image(image)
    if content is not None and content.hasUrls():
        files = [Path(url.toLocalFile()) for url in content.urls() if url.isLocalFile()]
        if files:
            return read_prompt_image(files[0])
    raise UsageError(_tr("The clipboard contains no image. Copy one first."))


def holds_image(content: QMimeData) -> bool:
    """Return whether the data is an image or a file with an image suffix."""
    if content.hasImage():
        return True
    endings = {pattern[1:] for pattern in file_patterns().split()}
    return any(url.isLocalFile() and Path(url.toLocalFile()).suffix.lower() in endings for url in content.urls())


def to_qimage(picture: PromptImage) -> QImage:
    """Return a QImage with a copy of the pixels."""
    return QImage(picture.data, picture.width, picture.height, 3 * picture.width, QImage.Format.Format_RGB888).copy()


def square_thumbnail(picture: PromptImage, side: int) -> QImage:
    """Return the centre of an image as a square of ``side`` pixels."""
    image = to_qimage(picture)
    shorter = min(image.width(), image.height())
    middle = image.copy((image.width() - shorter) // 2, (image.height() - shorter) // 2, shorter, shorter)
    return middle.scaled(side, side, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)


def preview_html(picture: PromptImage) -> str:
    """Return a preview of an image as rich text for a tool tip."""
    image = to_qimage(picture)
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
    """Return the patterns of all readable image files for a file dialog."""
    from clipseg_live.media.images.reader import IMAGE_SUFFIXES

    return " ".join(f"*{suffix}" for suffix in sorted(IMAGE_SUFFIXES | {".gif"}))


def _fit(size: QSize) -> QSize:
    """Return the size scaled to fit ``LONGEST_SIDE``, with each side at least one pixel."""
    longest = max(size.width(), size.height())
    if longest <= LONGEST_SIDE:
        return size
    factor = LONGEST_SIDE / longest
    return QSize(max(1, round(size.width() * factor)), max(1, round(size.height() * factor)))
