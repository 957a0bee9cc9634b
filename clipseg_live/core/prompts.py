"""Prompts: immutable descriptions of the objects to segment.

There are four kinds, as in CLIPSeg: text, image, conditional embedding, and a weighted mix of these (Lüddecke and
Ecker, CVPR 2022, section 3: the model is trained on interpolations of text and image).
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clipseg_live.core.errors import ClipsegLiveError, Failure, UsageError
from clipseg_live.core.image_input import Channels, ImageLike, as_pixels, image_name, is_image
from clipseg_live.core.system.paths import check_input
from clipseg_live.core.system.png import png
from clipseg_live.core.system.quoting import one_line, shorten

logger = logging.getLogger(__name__)

LARGEST_VALUE = 10_000.0
"""Largest magnitude in an embedding. Embeddings of CLIP stay below 100. Much larger values overflow in the model."""
MOST_VALUES = 65_536
"""Maximum length of an embedding. Embeddings of CLIPSeg have 512 values."""

ImageBox = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


@dataclass(frozen=True, eq=False, repr=False)
class Prompt:
    """A description of the object to segment. Make one with ``Prompt.text``, ``.image``, ``.parse`` and so on.

    Attributes:
        label: Text that is shown with the mask.
        key: Hash of the content. Prompts with the same key have the same conditional embedding in a model.
    """

    label: str
    key: str = field(init=False, default="")
    has_embedding: ClassVar[bool] = True
    """True if the prompt has a conditional embedding. Otherwise its map is a combination of several maps."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prompt) and self.key == other.key and self.label == other.label

    def __hash__(self) -> int:
        return hash((self.key, self.label))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {one_line(self.label)!r}{self._details()}>"

    def _details(self) -> str:
        """Return further properties of the prompt as a short text."""
        return ""

    @staticmethod
    def text(text: str, templates: Sequence[str] = ("{}",)) -> "TextPrompt":
        """Make a text prompt.

        Args:
            text: Text such as "red circle".
            templates: Templates such as "a photo of a {}". The embeddings of several templates are averaged.

        Raises:
            UsageError: If the text is empty, or if a template has no ``{}``.
        """
        return TextPrompt(text, tuple(templates))

    @staticmethod
    def parse(text: str, templates: Sequence[str] = ("{}",), names: "Mapping[str, Prompt] | None" = None) -> "Prompt":
        """Make a prompt from an expression, such as "dog + 0.5 * black - cat" or "sky and not cloud".

        ``core.expressions.parser`` describes the syntax. A text without operators is a plain text.

        Args:
            text: Expression.
            templates: Templates of all words that have none of their own.
            names: Prompts that ``[name]`` stands for in the expression.

        Raises:
            UsageError: If the text is empty or not an expression, or if a name is unknown.
        """
        from clipseg_live.core.expressions.parser import parse_expression  # which builds on this module

        return parse_expression(text, templates, names)

    @staticmethod
    def image(
        pixels: ImageLike,
        *,
        box: ImageBox | None = None,
        mask: NDArray[np.bool_] | None = None,
        label: str | None = None,
        channels: Channels = "rgb",
    ) -> "ImagePrompt":
        """Make an image prompt.

        With a ``box`` or a ``mask``, the image is prepared as the paper recommends: it is cropped around the object,
        and dimmed and blurred outside it.

        Args:
            pixels: Image of the object: a path, the bytes of a file, a PIL image, an array or a tensor, as for
                ``core.image_input.as_pixels``.
            box: Box around the object: x, y, width, height in pixels.
            mask: Mask of the object: bool (height, width), at the image's size.
            label: Label of the prompt. Default: the name of the file, or "image".
            channels: "bgr" for arrays and tensors in OpenCV's order.

        Raises:
            UsageError: If the shape or the type is another one, or if the box or the mask is empty.
        """
        name = image_name(pixels) if label is None else label
        return ImagePrompt(as_pixels(pixels, channels), box, mask, name)

    @staticmethod
    def embedding(values: ArrayLike | str | PathLike[str], *, label: str = "embedding") -> "EmbeddingPrompt":
        """Make a prompt from a conditional embedding.

        Args:
            values: Vector of the model's projection dimension (512 for CLIPSeg), as an array, or as a path to a
                ``.npy`` or ``.safetensors`` file with one tensor.
            label: Label of the prompt.

        Raises:
            UsageError: If the shape is another one, or if a value is infinite or NaN.
            Failure: If the file cannot be read.
        """
        array = _read_embedding(Path(values)) if isinstance(values, (str, PathLike)) else np.asarray(values)
        return EmbeddingPrompt(array, label)

    @staticmethod
    def mix(*parts: "tuple[Prompt, float]", label: str | None = None) -> "MixPrompt":
        """Make a weighted mean of prompts, such as ``Prompt.mix((text, 0.5), (image, 0.5))``.

        Args:
            *parts: Pairs of a prompt and its weight. Weights are normalised to a sum of 1.
            label: Label of the prompt. Default: the labels of the parts.

        Raises:
            UsageError: If there are no parts, or if weights are negative, infinite or all zero.
        """
        return MixPrompt(tuple(parts), label)


@dataclass(frozen=True, eq=False, repr=False)
class TextPrompt(Prompt):
    """A text, with the templates that it is put into."""

    label: str = field(init=False, default="")
    phrase: str = ""
    templates: tuple[str, ...] = ("{}",)

    def __init__(self, phrase: str, templates: tuple[str, ...] = ("{}",)) -> None:
        if not isinstance(phrase, str) or not phrase.strip():
            raise UsageError('A text prompt is empty: type what to look for, such as "red circle".')
        for template in templates:
            if "{}" not in template:
                raise UsageError(f"The template {shorten(template)} has no {{}} placeholder for the phrase.")
        if not templates:
            raise UsageError('A text prompt needs at least one template; "{}" stands for the phrase alone.')
        phrase = " ".join(phrase.split())
        if any("\ud800" <= character <= "\udfff" for sentence in (phrase, *templates) for character in sentence):
            raise UsageError(f"The text prompt {shorten(phrase)} contains bytes that are not characters.")
        fill_frozen(self, phrase=phrase, templates=templates, label=phrase)
        fill_frozen(self, key=content_key(b"text", *(sentence.encode() for sentence in self.sentences)))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The text in each template."""
        return tuple(template.replace("{}", self.phrase) for template in self.templates)


@dataclass(frozen=True, eq=False, repr=False)
class ImagePrompt(Prompt):
    """An image of the object, optionally with its box or its mask."""

    pixels: NDArray[np.uint8] = field(init=False)
    box: ImageBox | None = None
    mask: NDArray[np.bool_] | None = None

    def __init__(
        self, pixels: NDArray[np.uint8], box: ImageBox | None, mask: NDArray[np.bool_] | None, label: str
    ) -> None:
        pixels = _frozen(as_pixels(pixels))
        if box is not None and mask is not None:
            raise UsageError("An image prompt takes a box or a mask, not both.")
        height, width = pixels.shape[:2]
        if mask is not None:
            mask = _frozen(np.asarray(mask).astype(bool))
            if mask.shape != (height, width):
                raise UsageError(
                    f"The mask of an image prompt must have the image's size {(height, width)}, not {mask.shape}."
                )
            if not mask.any():
                raise UsageError("The mask of an image prompt is empty: it must mark at least one pixel.")
        if box is not None:
            box = _clip_box(box, height, width)
        fill_frozen(self, label=label, pixels=pixels, box=box, mask=mask)
        outline = repr(box).encode() if mask is None else np.packbits(mask).tobytes()
        fill_frozen(self, key=content_key(b"image", repr(pixels.shape).encode(), pixels.tobytes(), outline))

    def _details(self) -> str:
        part = "" if self.box is None else f", box {self.box}"
        return f" {self.pixels.shape[1]}×{self.pixels.shape[0]}{part}{'' if self.mask is None else ', with a mask'}"

    def _repr_png_(self) -> bytes:
        """Return the image as a PNG file for notebooks."""
        return png(self.pixels)


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingPrompt(Prompt):
    """A conditional embedding: float32 vector."""

    values: NDArray[np.float32] = field(init=False)

    def __init__(self, values: NDArray[np.float32], label: str) -> None:
        array = np.asarray(values)
        if array.ndim == 2 and array.shape[0] == 1:
            array = array[0]
        if array.ndim != 1 or array.size == 0:
            raise UsageError(f"A conditional embedding must be one vector, not of the shape {np.shape(values)}.")
        if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise UsageError(f"A conditional embedding must contain real numbers, not {array.dtype}.")
        if array.size > MOST_VALUES:
            raise UsageError(f"A conditional embedding has at most {MOST_VALUES} values; this has {array.size}.")
        if not np.isfinite(array).all():
            raise UsageError("The conditional embedding contains NaN or infinite values: it was not saved correctly.")
        if np.abs(array.astype(np.float64)).max() > LARGEST_VALUE:
            raise UsageError(
                f"The conditional embedding contains values beyond {LARGEST_VALUE:.0f}, which no model produces: it "
                "was not saved correctly."
            )
        array = _frozen(array.astype(np.float32))
        fill_frozen(self, label=label, values=array)
        fill_frozen(self, key=content_key(b"embedding", array.tobytes()))

    def _details(self) -> str:
        return f" of {self.values.size} values"


@dataclass(frozen=True, eq=False, repr=False)
class MixPrompt(Prompt):
    """A weighted mean of prompts; the weights have a sum of 1."""

    parts: tuple[tuple[Prompt, float], ...] = field(init=False)

    def __init__(self, parts: tuple[tuple[Prompt, float], ...], label: str | None) -> None:
        if not parts:
            raise UsageError("A mixed prompt needs at least one part.")
        for part in parts:
            if not (isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], Prompt)):
                raise UsageError("A mixed prompt needs pairs of a prompt and its weight.")
            if not part[0].has_embedding:
                raise UsageError(
                    f"{shorten(part[0].label)} combines masks and has no embedding, so it cannot be mixed."
                )
        weights = [float(weight) for _, weight in parts]
        total = sum(weights)
        if not math.isfinite(total) or any(weight < 0 for weight in weights) or total <= 0:
            raise UsageError(f"The weights of a mixed prompt must be 0 or more and not all 0, not {weights}.")
        parts = tuple((prompt, weight / total) for (prompt, _), weight in zip(parts, weights, strict=True))
        fill_frozen(self, parts=parts, label=label or " + ".join(prompt.label for prompt, _ in parts))
        fill_frozen(self, key=content_key(b"mix", *(f"{prompt.key}:{weight:.6g}".encode() for prompt, weight in parts)))


PromptLike = str | PathLike[str] | ImageLike | Prompt
"""A prompt in any form that ``as_prompt`` accepts."""


def as_prompt(value: PromptLike) -> Prompt:
    """Convert a value to a prompt: a str to a text prompt, a path or another image to an image prompt.

    Raises:
        UsageError: If the value has another type.
        SourceError: If a file cannot be read.
    """
    if isinstance(value, Prompt):
        return value
    if isinstance(value, str):
        return Prompt.text(value)
    if value is None or isinstance(value, (int, float, list, tuple, dict, set)):
        raise UsageError(
            f"{shorten(repr(value))} is not a prompt: give a text, or make one with Prompt.text(...) or "
            "Prompt.image(...)."
        )
    return Prompt.image(value)


def require_prompts(prompts: PromptLike | Iterable[PromptLike]) -> tuple[Prompt, ...]:
    """Convert one value or several to prompts, as ``as_prompt`` does.

    Raises:
        UsageError: If there is no prompt.
    """
    if isinstance(prompts, (list, tuple)) or (isinstance(prompts, Iterable) and not is_image(prompts)):
        converted = tuple(as_prompt(prompt) for prompt in cast("Iterable[PromptLike]", prompts))
    else:
        converted = (as_prompt(cast("PromptLike", prompts)),)
    if not converted:
        raise UsageError('There is no prompt: give at least one, such as "red circle".')
    return converted


def fill_frozen(instance: object, **values: object) -> None:
    """Set fields of a frozen value, in its ``__init__``."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def content_key(*chunks: bytes) -> str:
    """Return the key of a prompt with this content."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return digest.hexdigest()


def _frozen(array: NDArray) -> NDArray:  # type: ignore[type-arg]
    array = np.array(array, order="C")
    array.setflags(write=False)
    return array


def _clip_box(box: ImageBox, height: int, width: int) -> ImageBox:
    if len(box) != 4:
        raise UsageError(f"A box is (x, y, width, height), not {box!r}.")
    x, y, w, h = (int(value) for value in box)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if right <= left or bottom <= top:
        raise UsageError(f"The box {tuple(box)} is outside the image of {width}×{height} pixels.")
    return left, top, right - left, bottom - top


def _read_embedding(path: Path) -> NDArray[np.float32]:
    check_input(path, Failure)
    if not path.is_file():
        raise Failure(f"There is no embedding file {path}.")
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".safetensors"):
        raise UsageError(f"{path.name} is not an embedding: a .npy or .safetensors file is needed.")
    try:
        shape, read = _opened_npy(path) if suffix == ".npy" else _opened_safetensors(path)
        # Check the size before reading: a header can claim terabytes.
        if math.prod(shape) > MOST_VALUES:
            raise UsageError(
                f"The embedding file {path.name} contains an array of the shape {shape}: an embedding is one vector of "
                f"at most {MOST_VALUES} values."
            )
        return read()
    except ClipsegLiveError:
        raise
    except Exception as error:  # damaged files raise many kinds of errors in NumPy and safetensors
        logger.warning("An embedding file cannot be read", exc_info=True)
        raise Failure(
            f"The embedding file {path.name} cannot be read: it is damaged or has the wrong suffix."
        ) from error


def _opened_npy(path: Path) -> tuple[tuple[int, ...], Callable[[], NDArray[np.float32]]]:
    """Return the shape of the array in a .npy file, and a function that reads it."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape = read_header(file)[0]
    return shape, lambda: np.asarray(np.load(path, allow_pickle=False))


def _opened_safetensors(path: Path) -> tuple[tuple[int, ...], Callable[[], NDArray[np.float32]]]:
    """Return the shape of the only array in a .safetensors file, and a function that reads it."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        if len(names) != 1:
            raise Failure(f"The embedding file {path.name} holds {len(names)} tensors; exactly one is needed.")
        shape = tuple(file.get_slice(names[0]).get_shape())

    def read() -> NDArray[np.float32]:
        with safe_open(path, framework="numpy") as file:
            return np.asarray(file.get_tensor(names[0]))

    return shape, read
