"""Prompts of the classes of a data set: texts, templates and negatives, from a table or from options."""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, RootModel

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import Frozen
from clipseg_live.evaluation.readers.files import read_checked, reading

logger = logging.getLogger(__name__)

_SEPARATOR = "|"
_COLUMNS = ("class", "words", "templates", "negatives")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


class ClassWords(Frozen):
    """Words for one class.

    Attributes:
        words: Texts for the class; the embeddings of several are averaged.
        templates: Templates for each text; empty for the default ones.
        negatives: Texts whose area is subtracted, as ``--negative`` does.
    """

    words: _Texts = ()
    templates: _Texts = ()
    negatives: _Texts = ()


def _from_words(value: object) -> object:
    return {"words": value} if isinstance(value, (str, list)) else value


class _Table(RootModel[dict[str, Annotated[ClassWords, BeforeValidator(_from_words)]]]):
    """Content of a table in JSON."""


@dataclass(frozen=True, slots=True)
class ClassPrompt:
    """Prompt of a class, and the prompts that are subtracted from it."""

    prompt: Prompt
    negatives: tuple[Prompt, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptVariant:
    """One prompt for each class: a variant to be compared.

    Attributes:
        name: Name of the variant.
        by_class: Prompt of each class. Classes without one are not scored.
        by_example: Each class is prompted by another image of the data set with its mask, in place of ``by_class``.
    """

    name: str
    by_class: Mapping[str, ClassPrompt]
    by_example: bool = False


def read_table(path: Path) -> Mapping[str, ClassWords]:
    """Read a table of prompts.

    In CSV, the columns are class, words, templates and negatives; several values in a cell are separated by ``|``. In
    JSON, an object has for each class a text, a list of texts, or an object with these fields.

    Raises:
        SourceError: The file cannot be read or has another form.
    """
    if path.suffix.lower() == ".json":
        return read_checked(path, _Table, "a table of prompts").root
    with reading(path):
        text = path.read_text(encoding="utf-8-sig")
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    columns = [column.strip().lower() for column in rows.fieldnames or ()]
    if not {"class", "words"} <= set(columns) <= set(_COLUMNS):
        raise SourceError(f"{path} is not a table of prompts: its first line must be {','.join(_COLUMNS)}.")
    rows.fieldnames = columns
    table: dict[str, ClassWords] = {}
    try:
        for row in rows:
            if "" in row:
                raise SourceError(f"Line {rows.line_num} of {path} has too many cells: quote texts with commas.")
            name = row.pop("class").strip()
            if not name or name in table:
                raise SourceError(f"Line {rows.line_num} of {path} names {'a class again' if name else 'no class'}.")
            cells = {column: [part.strip() for part in cell.split(_SEPARATOR)] for column, cell in row.items()}
            table[name] = ClassWords(**{column: tuple(filter(None, parts)) for column, parts in cells.items()})
    except csv.Error as error:
        logger.warning("A table of prompts cannot be parsed", exc_info=True)
        raise SourceError(f"Line {rows.line_num} of {path} cannot be read: {error}.") from error
    return table


def prompt_sets(
    words: Mapping[str, str],
    chosen: Sequence[str] = (),
    tables: Sequence[tuple[str, Mapping[str, ClassWords]]] = (),
    templates: Sequence[str] = (),
) -> tuple[PromptVariant, ...]:
    """Return the variants of prompts to compare.

    Args:
        words: Text of each class of the data set.
        chosen: Classes to score, each as ``CLASS`` or ``CLASS=TEXT``; empty for all. The second text of a class begins
            a second variant, and so on.
        tables: Name and content of tables, one variant each. Without ``chosen``, only their classes are scored.
        templates: Templates of the texts that have none of their own.

    Raises:
        UsageError: A class is not in the data set, or a text is invalid.
    """
    texts = _chosen_texts(words, chosen)
    for name, table in tables:
        if not table:
            raise UsageError(f"The table {name} has no prompt.")
        _check_classes(words, table, f" in the table {name}")
    sets = []
    if chosen or not tables:
        for number in range(max(map(len, texts.values()))):
            own = {name: each[min(number, len(each) - 1)] for name, each in texts.items()}
            label = "; ".join(each[number] for each in texts.values() if number < len(each))
            several = max(map(len, texts.values())) > 1 or bool(tables)
            prompts = {
                name: ClassPrompt(_parsed(words[name], text, templates or ("{}",))) for name, text in own.items()
            }
            sets.append(PromptVariant(label[:60] if several else "", prompts))
    for name, table in tables:
        listed = {each: table.get(each, ClassWords()) for each in texts} if chosen else table
        sets.append(
            PromptVariant(name, {each: _prompt_of(words[each], row, templates) for each, row in listed.items()})
        )
    return tuple(sets)


def _prompt_of(default: str, row: ClassWords, templates: Sequence[str]) -> ClassPrompt:
    own = row.templates or tuple(templates) or ("{}",)
    prompts = [_parsed(default, text, own) for text in row.words or (default,)]
    whole = prompts[0] if len(prompts) == 1 else Prompt.mix(*((prompt, 1.0) for prompt in prompts))
    return ClassPrompt(whole, tuple(Prompt.parse(text) for text in row.negatives))


def _parsed(default: str, text: str, templates: Sequence[str]) -> Prompt:
    """Return the prompt of a text, which may be an expression. The name of a class is a plain text."""
    return Prompt.text(text, templates) if text == default else Prompt.parse(text, templates)


def _chosen_texts(words: Mapping[str, str], chosen: Sequence[str]) -> dict[str, list[str]]:
    if not chosen:
        return {name: [text] for name, text in words.items()}
    texts: dict[str, list[str]] = {}
    for each in chosen:
        name, equals, text = (each, "", "") if each in words else each.partition("=")
        _check_classes(words, (name,))
        texts.setdefault(name, []).append(text if equals else words[name])
    return texts


def _check_classes(words: Mapping[str, str], names: Iterable[str], owner: str = "") -> None:
    for name in names:
        if name not in words:
            known = ", ".join(list(words)[:12]) + (", …" if len(words) > 12 else "")
            raise UsageError(
                f"{name!r}{owner} is not a class of the data set, which has {known}: write CLASS=TEXT for another text."
            )
