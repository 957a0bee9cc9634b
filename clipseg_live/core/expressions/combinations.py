"""Prompts that combine others: sums of embeddings, and logic of probability maps.

Logic is that of fuzzy sets (Zadeh, 1965). At any threshold, the mask of ``and`` is the intersection of the masks, that
of ``or`` their union.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.prompts import MixPrompt, Prompt, content_key, fill_frozen
from clipseg_live.core.system.quoting import shorten

LogicOperator = Literal["and", "or", "not"]


@dataclass(frozen=True, eq=False, repr=False)
class SumPrompt(Prompt):
    """A sum of prompts with factors of either sign; its embedding has the mean length of those of its parts."""

    parts: tuple[tuple[Prompt, float], ...] = field(init=False)

    def __init__(self, parts: Sequence[tuple[Prompt, float]], label: str) -> None:
        if not any(factor for _, factor in parts):
            raise UsageError(f"The factors of {shorten(label)} are all 0.")
        key = content_key(b"sum", *(f"{prompt.key}:{factor:.6g}".encode() for prompt, factor in parts))
        fill_frozen(self, label=label, parts=tuple(parts), key=key)

    def embedding_of(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding of the sum.

        The decoder was trained with embeddings of texts and images. The sum is scaled to the mean of their lengths,
        weighted by the factors, because other lengths give unusual maps.

        Args:
            embeddings: Embeddings of the parts, float32 (parts, size).

        Raises:
            UsageError: The parts cancel each other out.
        """
        factors = np.array([factor for _, factor in self.parts], np.float32)
        total = factors @ embeddings
        weights = np.abs(factors) / np.abs(factors).sum()
        wanted = float(weights @ np.linalg.norm(embeddings, axis=1))
        length = float(np.linalg.norm(total))
        if length <= 1e-4 * wanted:
            raise UsageError(f"The parts of {shorten(self.label)} cancel each other out: change a factor.")
        return np.asarray(total * np.float32(wanted / length))


@dataclass(frozen=True, eq=False, repr=False)
class LogicPrompt(Prompt):
    """A combination of the probability maps of prompts: the smallest, the largest, or 1 minus the only one."""

    has_embedding: ClassVar[bool] = False
    operator: LogicOperator = field(init=False)
    parts: tuple[Prompt, ...] = field(init=False)

    def __init__(self, operator: LogicOperator, parts: Sequence[Prompt], label: str) -> None:
        key = content_key(operator.encode(), *(part.key.encode() for part in parts))
        fill_frozen(self, label=label, operator=operator, parts=tuple(parts), key=key)


def leaf_prompts(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return the prompts that have a map of their own: the operands of logic, and all other prompts, in order."""
    return tuple(leaf for prompt in prompts for leaf in _leaves(prompt))


def _leaves(prompt: Prompt) -> Iterator[Prompt]:
    if isinstance(prompt, LogicPrompt):
        for part in prompt.parts:
            yield from _leaves(part)
    else:
        yield prompt


def basic_prompts(prompt: Prompt) -> Iterator[Prompt]:
    """Yield the texts, images and embeddings that a prompt is made of."""
    if isinstance(prompt, LogicPrompt):
        for part in prompt.parts:
            yield from basic_prompts(part)
    elif isinstance(prompt, (SumPrompt, MixPrompt)):
        for part, _ in prompt.parts:
            yield from basic_prompts(part)
    else:
        yield prompt


def combine_maps(prompts: Sequence[Prompt], maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one map for each prompt.

    Args:
        prompts: The prompts.
        maps: Maps of ``leaf_prompts(prompts)``, float32 (leaves, height, width).

    Returns:
        float32 (prompts, height, width); the same array if no prompt has logic.
    """
    if not any(isinstance(prompt, LogicPrompt) for prompt in prompts):
        return maps
    planes = iter(maps)
    return np.stack([_combined(prompt, planes) for prompt in prompts])


def _combined(prompt: Prompt, planes: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    if not isinstance(prompt, LogicPrompt):
        return next(planes)
    parts = [_combined(part, planes) for part in prompt.parts]
    if prompt.operator == "not":
        return np.float32(1) - parts[0]
    combine = np.minimum if prompt.operator == "and" else np.maximum
    return np.asarray(combine.reduce(parts))
