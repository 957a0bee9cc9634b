"""Sources of still images: one image, or many images as the frames of a video."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.media.images.reader import read_image

DEFAULT_IMAGE_RATE = Fraction(25)


class ImageSource:
    """An image as a source of one frame at time 0."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._frame: Frame | None = None

    def open(self) -> SourceInfo:
        """Read the image.

        Raises:
            SourceError: If it cannot be read.
        """
        pixels = read_image(self.path)
        self._frame = Frame(pixels, index=0, time=Fraction(0), file=self.path, independent=True)
        return SourceInfo(
            name=self.path.name,
            width=self._frame.width,
            height=self._frame.height,
            rate=None,
            time_base=1 / DEFAULT_IMAGE_RATE,
            frame_count=1,
            independent=True,
        )

    def read(self) -> Frame | None:
        """Return the frame the first time, then None."""
        frame, self._frame = self._frame, None
        return frame

    def close(self) -> None:
        """Release the image."""
        self._frame = None


class ImageSequenceSource:
    """Image files in the given order, as frames at a constant rate.

    Image k has the time k / rate. Every image must have the size of the first.

    Args:
        paths: Image files.
        rate: Frames per second.
        start: Time of the first image, in seconds.
        end: End of the range, in seconds; it is not included.
        name: Name of the source, None for the folder's name.
        notices: Messages for the user.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        rate: Fraction = DEFAULT_IMAGE_RATE,
        start: Fraction | None = None,
        end: Fraction | None = None,
        name: str | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        if rate <= 0:
            raise UsageError(f"A rate of {float(rate):g} frames per second is invalid: it must be above 0.")
        self._paths = [Path(path) for path in paths]
        self._rate = Fraction(rate)
        self._name, self._notices = name, tuple(notice for notice in notices if notice)
        first = 0 if start is None else max(-(-start * self._rate // 1), 0)
        last = len(self._paths) if end is None else min(-(-end * self._rate // 1), len(self._paths))
        self._numbers = range(int(first), int(last))
        self._next = 0
        self._size: tuple[int, int] | None = None
        self._opened: Pixels | None = None

    def open(self) -> SourceInfo:
        """Read the first image.

        Raises:
            SourceError: If there are no images in the range, or the first cannot be read.
        """
        if not self._paths:
            raise SourceError("There are no images to read.")
        if not self._numbers:
            length = float(len(self._paths) / self._rate)
            raise SourceError(f"There are no images in the requested range: they last {length:g} s.")
        self._next = 0
        self._opened = read_image(self._paths[self._numbers[0]])
        height, width = self._opened.shape[:2]
        self._size = width, height
        return SourceInfo(
            name=self._name or self._paths[0].parent.name or self._paths[0].name,
            width=width,
            height=height,
            rate=self._rate,
            time_base=1 / self._rate,
            frame_count=len(self._numbers),
            duration=len(self._numbers) / self._rate,
            notices=self._notices,
        )

    def read(self) -> Frame | None:
        """Return the next image, or None after the last.

        Raises:
            SourceError: If it has another size than the first, or cannot be read.
        """
        if self._size is None or self._next >= len(self._numbers):
            return None
        number = self._numbers[self._next]
        path = self._paths[number]
        pixels = self._opened if self._opened is not None else read_image(path)
        self._opened = None
        height, width = pixels.shape[:2]
        if (width, height) != self._size:
            raise SourceError(
                f"{path.name} has {width}×{height} pixels, but the images before it have "
                f"{self._size[0]}×{self._size[1]}: resize them to one size first."
            )
        frame = Frame(pixels, index=self._next, time=number / self._rate, duration=1 / self._rate, file=path)
        self._next += 1
        return frame

    def close(self) -> None:
        """Release the image that was read ahead."""
        self._opened, self._size = None, None
