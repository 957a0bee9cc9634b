"""Completion of prompt expressions: words, names of images and operators that fit at a place of a text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clipseg_live.core.expressions.parser import find_error, is_operator, split_chunks

OPERATORS: tuple[tuple[str, str], ...] = (
    ("and", "where both masks are"),
    ("or", "where one of the masks is"),
    ("and not", "outside the next mask"),
    ("+", "add an embedding"),
    ("-", "subtract an embedding"),
    ("~", "blend half and half"),
)
"""Operators between two parts of an expression, each with its meaning."""
_SHARE = re.compile(r"\s*(?:\d+(?:\.\d*)?|\.\d+)\s+")


@dataclass(frozen=True, slots=True)
class Completion:
    """One way to continue a text.

    Attributes:
        shown: What a list shows.
        text: The whole text with the completion.
        cursor: Index behind the completion in ``text``.
        unfinished: Another part must follow, as after an operator.
    """

    shown: str
    text: str
    cursor: int
    unfinished: bool = False


def complete(
    text: str, cursor: int, words: Iterable[str], names: Sequence[str] = (), *, everything: bool = False
) -> tuple[Completion, ...]:
    """Return completions of the part of an expression that ends at the cursor, best first.

    Texts that begin with the typed part come before texts in which another word does. Their order is kept otherwise.

    Args:
        text: The text.
        cursor: Index in the text.
        words: Texts and expressions, most useful first. Expressions complete only a whole text.
        names: Names of images.
        everything: Without a typed part, return all that fits. A typed word may also be followed by any operator.
    """
    before, after = text[:cursor], text[cursor:]
    start = _part_start(before)
    typed = before[start:]
    in_brackets, in_quotes = typed.startswith("["), typed.startswith('"')
    found: list[Completion] = []
    if (typed.strip() or everything) and not before[:start].rstrip().endswith((")", "]", '"')):
        fitting = [f"[{name}]" for name in names]
        if not in_brackets:
            is_part = bool(before[:start].strip() or after.strip())
            plain = dict.fromkeys(" ".join(word.split()) for word in words)
            fitting += [word for word in plain if not is_part or is_atom(word)]
        quote = '"' if in_quotes else ""
        found += [
            _completion(before[:start], word if word.startswith("[") else f"{quote}{word}{quote}", after, word)
            for word in _ranked(fitting, typed.lstrip('"[ '))
        ]
    if not in_brackets and not in_quotes:
        found += _operators(before, typed, after, names, everything=everything)
    return tuple(found)


def _operators(before: str, typed: str, after: str, names: Sequence[str], *, everything: bool) -> list[Completion]:
    """Return the operators that may follow; the last typed word may be the start of one."""
    head, _, last = before.rpartition(" ")
    if everything and typed.strip():
        head, last = before, ""
    if not (last or everything) or _ends_open(head) or find_error(head, names) is not None:
        return []
    return [
        _completion(f"{head.rstrip()} ", f"{operator} ", after.lstrip(), f"{operator}   {meaning}", unfinished=True)
        for operator, meaning in OPERATORS
        if operator.startswith(last) and operator != last
    ]


def _ends_open(text: str) -> bool:
    """Return whether a text ends in an operator, after which no other operator may follow."""
    chunks = [chunk.text for chunk in split_chunks(text)]
    return not chunks or is_operator(chunks[-1])


def _completion(before: str, part: str, after: str, shown: str, *, unfinished: bool = False) -> Completion:
    return Completion(shown, before + part + after, len(before) + len(part), unfinished)


def _part_start(before: str) -> int:
    """Return the index at which the words before the cursor begin: behind the last operator, parenthesis or name."""
    if before.count('"') % 2:
        return before.rindex('"')
    if before.rfind("[") > before.rfind("]"):
        return before.rindex("[")
    start, is_blend = 0, False
    for chunk in split_chunks(before):
        if is_operator(chunk.text) or chunk.text[0] in '()"[':
            start, is_blend = chunk.end, chunk.text == "~"
    share = _SHARE.match(before, start) if is_blend else None
    if share is not None:
        start = share.end()
    return len(before) - len(before[start:].lstrip())


def is_atom(word: str) -> bool:
    """Return whether a text can be a part of an expression as it is."""
    return not any(is_operator(chunk.text) or chunk.text[0] in '()"[' for chunk in split_chunks(word))


def _ranked(words: Sequence[str], typed: str) -> list[str]:
    """Return the texts in which a word begins with the typed part; first those that begin with it."""
    wanted = " ".join(typed.split()).casefold() + (" " if typed[-1:].isspace() else "")
    keys = {word: " " + word.strip('"[').casefold() for word in words}
    fitting = [word for word, key in keys.items() if f" {wanted}" in key and key.strip(' "[]') != wanted]
    return sorted(fitting, key=lambda word: not keys[word].startswith(f" {wanted}"))
