"""Prompts used earlier, for completion, kept as a small JSON file."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QStringListModel

from clipseg_live.core.system.files import replace_file
from clipseg_live.gui.state.shared_file import locked

logger = logging.getLogger(__name__)

MOST_PROMPTS = 200
"""Largest number of prompts in the history."""
LONGEST_PROMPT = 500
"""Longest prompt in the history, in characters."""
_LARGEST_FILE = 4 << 20


class PromptHistory:
    """Prompts used earlier, newest first, without duplicates (ignoring case).

    A damaged file is ignored and replaced at the next prompt. If the file cannot be written, the history stays in
    memory.

    Args:
        path: the file; None keeps the history in memory only.

    Attributes:
        model: the texts, for a QCompleter.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.model = QStringListModel((_read(path) or []) if path is not None else [])

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, newest first."""
        return tuple(self.model.stringList())

    def add(self, text: str) -> None:
        """Put a text in front, with white space normalised. Empty and very long texts are ignored."""
        text = " ".join(text.split())
        if not text or len(text) > LONGEST_PROMPT or self.texts[:1] == (text,):
            return
        self._change(text)

    def clear(self) -> None:
        """Delete all texts, in the file too."""
        self._change("")

    def _change(self, text: str) -> None:
        """Put a text in front of the texts in the file; "" deletes all.

        Other windows may have added texts to the file.
        """
        if self._path is None:
            self.model.setStringList(_add_first(text, self.texts))
            return
        with locked(self._path):
            in_file = _read(self._path)
            texts = _add_first(text, self.texts if in_file is None else in_file)
            self.model.setStringList(texts)
            try:
                _write(self._path, texts)
            except OSError:
                logger.warning("The earlier prompts could not be saved", exc_info=True)


def _add_first(text: str, others: Sequence[str]) -> list[str]:
    return [text, *(other for other in others if other.casefold() != text.casefold())][:MOST_PROMPTS] if text else []


def _read(path: Path) -> list[str] | None:
    """Return the texts in a file; None if it is unusable."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, list):
        return None
    texts = (text for text in content if isinstance(text, str) and text.strip() and len(text) <= LONGEST_PROMPT)
    return list(dict.fromkeys(texts))[:MOST_PROMPTS]


def _write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(texts, ensure_ascii=False, indent=0))
