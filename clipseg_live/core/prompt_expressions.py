"""Prompt expressions: arithmetic with embeddings, and logic with probability maps.

    expression = part {"or" part}              the larger probability
    part       = factor {"and" factor}         the smaller probability
    factor     = ["not"] blend                 1 - probability
    blend      = sum {"~" [number] sum}        (1 - number) · left + number · right; a half without a number
    sum        = ["-"] term {("+" | "-") term} sum of the embeddings, scaled to their mean length
    term       = [number "*"] atom
    atom       = words | "quoted words" | "template {}": atom | [name] | "(" expression ")"

Operators stand between spaces; ``and``, ``or`` and ``not`` are lower case. A text without operators, quotes and names
is a plain text, so "t-shirt" and "a cup (white)" need no quotes.

Logic is that of fuzzy sets (Zadeh, 1965). At any threshold, the mask of ``and`` is the intersection of the masks, that
of ``or`` their union.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.prompts import MixPrompt, Prompt, TextPrompt, content_key, fill_frozen
from clipseg_live.core.system.quoting import shorten

LogicOperator = Literal["and", "or", "not"]
_LOGIC: tuple[LogicOperator, ...] = ("and", "or", "not")
_ARITHMETIC = ("+", "-", "~", "*")
_MOST_NESTED = 32
"""Largest number of parentheses, templates and ``not`` in an expression, which limits the recursion."""
MOST_OPERANDS = 64
"""Largest number of texts and names in an expression."""

_CHUNK = re.compile(r'"[^"]*"\s*:|"[^"]*"|"|\[[^\[\]]*\]|[()]|[^\s()"]+')
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_FACTOR = re.compile(rf"({_NUMBER.pattern})\*(.+)")


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


def parse_expression(
    text: str, templates: Sequence[str] = ("{}",), names: Mapping[str, Prompt] | None = None
) -> Prompt:
    """Return the prompt of an expression.

    Args:
        text: The expression.
        templates: Templates of all words without a template of their own.
        names: Prompts that ``[name]`` stands for, such as images.

    Returns:
        A text prompt for a text without operators, otherwise a prompt whose label is the text.

    Raises:
        UsageError: The text is empty or not an expression, or a name is unknown.
    """
    chunks = _CHUNK.findall(text)
    is_plain = not any(_is_operator(chunk) or chunk[0] in '"[' for chunk in chunks)
    if is_plain or (len(chunks) == 1 and chunks[0][0] not in '"['):
        return Prompt.text(text, templates)
    return _Parser(" ".join(text.split()), chunks, tuple(templates), names or {}).parse()


def parse_or_text(text: str, templates: Sequence[str] = ("{}",)) -> Prompt:
    """Return the prompt of an expression, or of the plain text if it is not one.

    Rows of sessions use it, because their text is not complete while it is typed.

    Raises:
        UsageError: The text is empty.
    """
    try:
        return parse_expression(text, templates)
    except UsageError:
        return Prompt.text(text, templates)


def _is_operator(chunk: str) -> bool:
    return chunk in _ARITHMETIC or chunk in _LOGIC or _FACTOR.fullmatch(chunk) is not None


class _Parser:
    """Recursive descent over the chunks of one expression."""

    def __init__(
        self, text: str, chunks: Sequence[str], templates: tuple[str, ...], names: Mapping[str, Prompt]
    ) -> None:
        self._text, self._templates, self._names = text, templates, names
        self._chunks = [part for chunk in chunks for part in _split_factor(chunk)]
        self._position = self._nested = self._operands = 0

    def parse(self) -> Prompt:
        found = self._or()
        if self._position < len(self._chunks):
            raise self._error(f"{shorten(self._chunks[self._position])} is not expected")
        return found

    def _or(self) -> Prompt:
        return self._chain("or", self._and)

    def _and(self) -> Prompt:
        return self._chain("and", self._not)

    def _chain(self, operator: Literal["and", "or"], read: Callable[[], Prompt]) -> Prompt:
        parts = [read()]
        while self._take(operator):
            parts.append(read())
        return parts[0] if len(parts) == 1 else LogicPrompt(operator, parts, self._text)

    def _not(self) -> Prompt:
        if self._take("not"):
            self._nest()
            return LogicPrompt("not", [self._not()], self._text)
        return self._blend()

    def _blend(self) -> Prompt:
        found = self._sum()
        while self._take("~"):
            share = self._number(0.5) if self._peek_after_number() != "*" else 0.5
            if share > 1:
                raise self._error("the number after ~ is a share from 0 to 1")
            other = self._sum()
            self._require_embeddings("~", found, other)
            found = MixPrompt(((found, 1 - share), (other, share)), self._text)
        return found

    def _sum(self) -> Prompt:
        sign = -1.0 if self._take("-") else 1.0
        parts = [self._term(sign)]
        while (operator := self._take("+", "-")) is not None:
            parts.append(self._term(-1.0 if operator == "-" else 1.0))
        if len(parts) == 1 and parts[0][1] == 1:
            return parts[0][0]
        self._require_embeddings("+, - and *", *(prompt for prompt, _ in parts))
        return SumPrompt(parts, self._text)

    def _term(self, sign: float) -> tuple[Prompt, float]:
        factor = 1.0
        if self._peek_after_number() == "*":
            factor = self._number(1.0)
            self._position += 1
        return self._atom(), sign * factor

    def _atom(self) -> Prompt:
        chunk = self._chunks[self._position] if self._position < len(self._chunks) else ""
        if chunk == "(":
            self._position += 1
            self._nest()
            found = self._or()
            if not self._take(")"):
                raise self._error("a parenthesis is not closed")
            return found
        self._operands += 1
        if self._operands > MOST_OPERANDS:
            raise self._error(f"it has more than {MOST_OPERANDS} texts")
        if chunk.startswith("["):
            return self._named(chunk)
        if chunk.endswith(":") and chunk.startswith('"'):
            return self._templated(chunk)
        words = []
        while self._position < len(self._chunks):
            word = self._chunks[self._position]
            if word in ("(", ")") or word[0] in '"[' or _is_operator(word):
                break
            words.append(word)
            self._position += 1
        if not words and chunk.startswith('"') and len(chunk) > 1:
            self._position += 1
            words = [chunk[1:-1]]
        if not " ".join(words).strip():
            reason = f"{shorten(chunk)} stands where a text is needed" if chunk else "a text is missing at the end"
            raise self._error("a quotation mark is not closed" if chunk == '"' else reason)
        return TextPrompt(" ".join(words), self._templates)

    def _named(self, chunk: str) -> Prompt:
        name = chunk[1:-1].strip() if chunk.endswith("]") else ""
        if name not in self._names:
            known = ", ".join(f"[{each}]" for each in self._names)
            raise self._error(f"there is no image {chunk}" + (f", but {known}" if known else ""))
        self._position += 1
        return self._names[name]

    def _templated(self, chunk: str) -> Prompt:
        """Return the words behind a template."""
        self._position += 1
        outer, self._templates = self._templates, (chunk[:-1].rstrip()[1:-1],)
        self._nest()
        found = self._atom()
        self._templates = outer
        return found

    def _take(self, *wanted: str) -> str | None:
        """Return the next chunk and go past it, if it is one of these."""
        if self._position < len(self._chunks) and self._chunks[self._position] in wanted:
            self._position += 1
            return self._chunks[self._position - 1]
        return None

    def _peek_after_number(self) -> str:
        """Return the chunk after a number; "" if the next chunk is not a number."""
        following = self._chunks[self._position : self._position + 2]
        return following[1] if len(following) == 2 and _NUMBER.fullmatch(following[0]) else ""

    def _number(self, default: float) -> float:
        if self._position < len(self._chunks) and _NUMBER.fullmatch(self._chunks[self._position]):
            self._position += 1
            return float(self._chunks[self._position - 1])
        return default

    def _require_embeddings(self, operator: str, *prompts: Prompt) -> None:
        if not all(prompt.has_embedding for prompt in prompts):
            raise self._error(f"{operator} cannot combine the masks of and, or and not")

    def _nest(self) -> None:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise self._error(f"it has more than {_MOST_NESTED} parentheses, templates and not")

    def _error(self, reason: str) -> UsageError:
        return UsageError(f"The prompt {shorten(self._text)} is not an expression: {reason}. Quote plain texts.")


def _split_factor(chunk: str) -> tuple[str, ...]:
    """Return ``0.5*black`` as three chunks, and any other chunk alone."""
    factor = _FACTOR.fullmatch(chunk)
    return (chunk,) if factor is None else (factor[1], "*", factor[2])
