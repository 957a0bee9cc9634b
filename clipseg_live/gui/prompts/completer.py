"""Completion of words, names and operators in the field of a prompt."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel
from PySide6.QtWidgets import QCompleter, QLineEdit

from clipseg_live.core.expressions.completion import Completion, complete
from clipseg_live.gui.prompts import edits
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme

_WIDTH = 264
"""Width that the list needs for operators with their meaning, in pixels."""
_POPUP = f"""
    QListView {{ background: {theme.RAISED}; border: 1px solid {theme.EDGE}; padding: 1px; outline: 0; }}
    QListView::item {{ min-height: 26px; padding: 0 4px; border-radius: 4px; color: {theme.TEXT}; }}
    QListView::item:selected, QListView::item:hover {{ background: {theme.ACCENT_SOFT}; }}
"""


class PromptWords:
    """Completions of prompts: earlier prompts, words that the model knows, and names of images.

    Attributes:
        suggestions: words that the model knows.
    """

    def __init__(self, store: Store, history: PromptHistory) -> None:
        self._store = store
        self._history = history
        self.suggestions: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Return texts and expressions, most useful first."""
        return (*self._history.texts, *self.suggestions)

    def names(self, row_id: int | None) -> tuple[str, ...]:
        """Return the names of the images that the text of a row can refer to; None for a new row."""
        row = None if row_id is None else edits.row_of(self._store.settings, row_id)
        own = () if row is None else (each.name for each in row.images)
        return tuple(dict.fromkeys([*own, *edits.named_images(self._store.settings, row_id)]))


class PromptCompleter(QCompleter):
    """Completes the part of an expression at the cursor of a field."""

    def __init__(self, field: QLineEdit, words: PromptWords, row_id: int | None) -> None:
        super().__init__(field)
        self._field = field
        self._row_id = row_id
        self._words = words
        self._found: tuple[Completion, ...] = ()
        self._shown = QStringListModel(self)
        self.setModel(self._shown)
        self.setMaxVisibleItems(8)
        popup = self.popup()
        assert popup is not None
        popup.setStyleSheet(_POPUP)
        popup.setMinimumWidth(_WIDTH)
        field.textEdited.connect(self._find)  # before the field opens the list

    def show_all(self) -> None:
        """Open the list with all that fits at the cursor."""
        self._find(everything=True)
        self.complete()

    def completion(self, text: str) -> Completion | None:
        """Return the completion that gives this text; None if none does."""
        return next((each for each in self._found if each.text == text), None)

    def _find(self, _text: str = "", *, everything: bool = False) -> None:
        field, words = self._field, self._words
        self._found = complete(
            field.text(), field.cursorPosition(), words.words(), words.names(self._row_id), everything=everything
        )
        self._shown.setStringList([each.shown for each in self._found])

    def splitPath(self, path: str) -> list[str]:
        """Return what Qt filters the list by: nothing, because it holds only what fits."""
        return [""]

    def pathFromIndex(self, index: QModelIndex | QPersistentModelIndex) -> str:
        """Return the whole text with the completion at an index of the list."""
        return self._found[index.row()].text if index.row() < len(self._found) else self._field.text()
