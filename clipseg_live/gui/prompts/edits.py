"""Edits of the prompt list as pure functions from settings to settings."""

from itertools import count

from clipseg_live.core.expressions.completion import is_atom
from clipseg_live.core.expressions.parser import names_in
from clipseg_live.core.settings.live import LiveSettings, NamedImage, PromptImage, PromptRow


def row_of(settings: LiveSettings, row_id: int) -> PromptRow | None:
    """Return the row with this id; None if there is none."""
    return next((row for row in settings.rows if row.id == row_id), None)


def row_index(settings: LiveSettings, row_id: int) -> int | None:
    """Return the index of the row with this id; None if there is none."""
    return next((index for index, row in enumerate(settings.rows) if row.id == row_id), None)


def with_new_row(settings: LiveSettings, text: str = "", image: PromptImage | None = None) -> LiveSettings:
    """Return the settings with a new row at the end.

    Raises:
        UsageError: if the list is full, or if the text is too long.
    """
    return _with_rows(settings, (*settings.rows, with_text(settings, settings.new_row(image=image), text)))


def with_text(settings: LiveSettings, row: PromptRow, text: str) -> PromptRow:
    """Return a row with another text, and with the images that it refers to.

    The images are copied, so the text keeps its meaning when the rows that they come from change.
    """
    images = {**named_images(settings, row.id), **{each.name: each.image for each in row.images}}
    used = tuple(NamedImage(name=name, image=images[name]) for name in names_in(text) if name in images)
    return row.model_copy(update={"text": text, "embedding": (), "images": used})  # the text replaces an embedding


def named_images(settings: LiveSettings, row_id: int | None = None) -> dict[str, PromptImage]:
    """Return the images that the text of a row can refer to, by name.

    An image is named by the text of its row, if that is plain and unique, else "image" with its number.

    Args:
        settings: the settings.
        row_id: id of the row with the text, whose own image is left out; None for a new row.
    """
    named: dict[str, PromptImage] = {}
    for number, row in enumerate((row for row in settings.rows if row.image is not None), start=1):
        name = " ".join(row.text.split())
        if not name or not is_atom(name) or name in named:
            name = f"image {number}"
        if row.image is not None and row.id != row_id:
            named[name] = row.image
    return named


def with_new_crop(settings: LiveSettings, image: PromptImage) -> LiveSettings:
    """Return the settings with a new row at the end that looks for a part of a frame, with a name of its own.

    The name is only the label of the row, because the image has the full weight.

    Raises:
        UsageError: if the list is full.
    """
    texts = {row.text for row in settings.rows}
    name = next(name for number in count(1) if (name := f"crop {number}") not in texts)
    row = settings.new_row(name, image).model_copy(update={"share": 1.0})
    return _with_rows(settings, (*settings.rows, row))


def with_duplicate(settings: LiveSettings, row_id: int) -> LiveSettings:
    """Return the settings with a copy of the row after it, in a new colour; unchanged without the row.

    Raises:
        UsageError: if the list is full.
    """
    index, row = row_index(settings, row_id), row_of(settings, row_id)
    if index is None or row is None:
        return settings
    new_row = settings.new_row()
    style = row.style.model_copy(update={"colour": new_row.style.colour})
    copy = row.model_copy(update={"id": new_row.id, "style": style})
    return _with_rows(settings, (*settings.rows[: index + 1], copy, *settings.rows[index + 1 :]))


def without_row(settings: LiveSettings, row_id: int) -> LiveSettings:
    """Return the settings without the row."""
    return _with_rows(settings, tuple(row for row in settings.rows if row.id != row_id))


def with_row_moved(settings: LiveSettings, row_id: int, gap: int) -> LiveSettings:
    """Return the settings with the row moved; unchanged without the row.

    Args:
        settings: the settings.
        row_id: id of the row.
        gap: where to move it: 0 is before the first row, ``len(rows)`` after the last.
    """
    index, row = row_index(settings, row_id), row_of(settings, row_id)
    if index is None or row is None:
        return settings
    others = [other for other in settings.rows if other.id != row_id]
    others.insert(gap - 1 if gap > index else max(gap, 0), row)
    return _with_rows(settings, tuple(others))


def _with_rows(settings: LiveSettings, rows: tuple[PromptRow, ...]) -> LiveSettings:
    return settings.model_copy(update={"rows": rows})
