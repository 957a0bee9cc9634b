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
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from clipseg_live.core.errors import UsageError
from clipseg_live.core.expressions.combinations import LogicPrompt, SumPrompt
from clipseg_live.core.prompts import MixPrompt, Prompt, TextPrompt
from clipseg_live.core.system.quoting import shorten

_LOGIC = ("and", "or", "not")
_ARITHMETIC = ("+", "-", "~", "*")
_MOST_NESTED = 32
"""Largest number of parentheses, templates and ``not`` in an expression, which limits the recursion."""
MOST_OPERANDS = 64
"""Largest number of texts and names in an expression."""

_CHUNK = re.compile(r'"[^"]*"\s*:|"[^"]*"|"|\[[^\[\]]*\]|[()]|[^\s()"]+')
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_FACTOR = re.compile(rf"({_NUMBER.pattern})\*(.+)")


class ExpressionError(UsageError):
    """A text that has operators but is not an expression.

    Attributes:
        reason: The cause, as the part of a sentence.
        start: Index of the first character of the part that is wrong.
        end: Index after its last character; ``start`` if something is missing there.
    """

    def __init__(self, text: str, reason: str, start: int, end: int) -> None:
        super().__init__(f"The prompt {shorten(text)} is not an expression: {reason}. Quote plain texts.")
        self.reason, self.start, self.end = reason, start, end


class ExpressionChunk(NamedTuple):
    """A word, operator, parenthesis, quotation or name of an expression, and its place in the text."""

    text: str
    start: int
    end: int


def split_chunks(text: str) -> Iterator[ExpressionChunk]:
    """Yield the chunks of an expression in order."""
    for match in _CHUNK.finditer(text):
        yield ExpressionChunk(match[0], match.start(), match.end())


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
        UsageError: The text is empty or not an expression (``ExpressionError``), or a name is unknown.
    """
    chunks = list(split_chunks(text))
    is_plain = not any(is_operator(chunk.text) or chunk.text[0] in '"[' for chunk in chunks)
    if is_plain or (len(chunks) == 1 and chunks[0].text[0] not in '"['):
        return Prompt.text(text, templates)
    return _Parser(text, chunks, tuple(templates), names or {}).parse()


def find_error(text: str, names: Iterable[str] = ()) -> ExpressionError | None:
    """Return what is wrong with a text that has operators, and where; None for expressions and plain texts.

    Args:
        text: The text; empty texts have no error.
        names: Names of images that the text may refer to.
    """
    if not text.strip():
        return None
    try:
        parse_expression(text, names={name: Prompt.text(name) for name in names})
    except ExpressionError as error:
        return error
    except UsageError as error:  # of a part, such as a template without a placeholder
        return ExpressionError(text, str(error).removesuffix("."), 0, len(text))
    return None


def parse_or_text(text: str, templates: Sequence[str] = ("{}",), names: Mapping[str, Prompt] | None = None) -> Prompt:
    """Return the prompt of an expression, or of the plain text if it is not one.

    Rows of sessions use it, because their text is not complete while it is typed.

    Raises:
        UsageError: The text is empty.
    """
    try:
        return parse_expression(text, templates, names)
    except UsageError:
        return Prompt.text(text, templates)


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in brackets in a text, without duplicates."""
    found = (chunk.text[1:-1].strip() for chunk in split_chunks(text) if chunk.text[0] == "[" and chunk.text[-1] == "]")
    return tuple(dict.fromkeys(found))


def is_operator(chunk: str) -> bool:
    """Return whether a chunk is an operator, or a number with a factor such as ``0.5*black``."""
    return chunk in _ARITHMETIC or chunk in _LOGIC or _FACTOR.fullmatch(chunk) is not None


class _Parser:
    """Recursive descent over the chunks of one expression."""

    def __init__(
        self, text: str, chunks: Sequence[ExpressionChunk], templates: tuple[str, ...], names: Mapping[str, Prompt]
    ) -> None:
        self._text, self._templates, self._names = " ".join(text.split()), templates, names
        parts = [part for chunk in chunks for part in _split_factor(chunk)]
        end = len(text.rstrip())
        self._spans = [(part.start, part.end) for part in parts] + [(end, end)]
        self._chunks = [part.text for part in parts]
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
        first = self._position
        found = self._sum()
        while self._take("~"):
            share = self._number(0.5) if self._peek_after_number() != "*" else 0.5
            if share > 1:
                raise self._error("the number after ~ is a share from 0 to 1", self._position - 1)
            other = self._sum()
            self._require_embeddings("~", first, found, other)
            found = MixPrompt(((found, 1 - share), (other, share)), self._text)
        return found

    def _sum(self) -> Prompt:
        first = self._position
        sign = -1.0 if self._take("-") else 1.0
        parts = [self._term(sign)]
        while (operator := self._take("+", "-")) is not None:
            parts.append(self._term(-1.0 if operator == "-" else 1.0))
        if len(parts) == 1 and parts[0][1] == 1:
            return parts[0][0]
        self._require_embeddings("+, - and *", first, *(prompt for prompt, _ in parts))
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
            if word in ("(", ")") or word[0] in '"[' or is_operator(word):
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

    def _require_embeddings(self, operator: str, first: int, *prompts: Prompt) -> None:
        """Check the operands of the chunks from ``first`` to the present one."""
        if not all(prompt.has_embedding for prompt in prompts):
            raise self._error(f"{operator} cannot combine the masks of and, or and not", first, self._position - 1)

    def _nest(self) -> None:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise self._error(f"it has more than {_MOST_NESTED} parentheses, templates and not")

    def _error(self, reason: str, first: int | None = None, last: int | None = None) -> ExpressionError:
        """Return an error of the chunks from ``first`` (default: the present one) to ``last`` (default: ``first``)."""
        first = self._position if first is None else first
        end = self._spans[first if last is None else last][1]
        return ExpressionError(self._text, reason, self._spans[first][0], end)


def _split_factor(chunk: ExpressionChunk) -> tuple[ExpressionChunk, ...]:
    """Return ``0.5*black`` as three chunks, and any other chunk alone."""
    factor = _FACTOR.fullmatch(chunk.text)
    if factor is None:
        return (chunk,)
    middle = chunk.start + factor.end(1)
    return (
        ExpressionChunk(factor[1], chunk.start, middle),
        ExpressionChunk("*", middle, middle + 1),
        ExpressionChunk(factor[2], middle + 1, chunk.end),
    )
