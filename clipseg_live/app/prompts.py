"""Prompts from texts and files, and rows of a session for them. Importing this module loads no image library."""

from collections.abc import Sequence
from pathlib import Path

from clipseg_live.core.errors import UsageError
from clipseg_live.core.expressions.combinations import basic_prompts
from clipseg_live.core.prompts import EmbeddingPrompt, ImagePrompt, Prompt, TextPrompt
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.live import MOST_ROWS, LiveSettings, NamedImage, PromptImage, PromptRow
from clipseg_live.core.system.quoting import shorten

LONGEST_ROW_IMAGE = 768
"""Longest side of the image of a row, in pixels; the input of the default model is less than half as large."""


def read_prompts(
    texts: Sequence[str],
    templates: Sequence[str] = (),
    images: Sequence[Path] = (),
    embeddings: Sequence[Path] = (),
    *,
    longest: int | None = None,
) -> tuple[Prompt, ...]:
    """Return prompts: texts, then images, then embeddings, each in the given order.

    Images and embeddings that a text refers to as ``[NAME]``, the name of the file without suffix, are not prompts of
    their own.

    Args:
        texts: Texts or expressions (``Prompt.parse``).
        templates: Templates of all texts; empty for the texts alone.
        images: Image files.
        embeddings: Files of conditional embeddings.
        longest: Longest side of images in pixels; larger ones are scaled down. None keeps their size.

    Raises:
        UsageError: A text, template or embedding is invalid.
        Failure: A file cannot be read.
    """
    examples = [
        *(_read_image(path, longest) for path in images),
        *(Prompt.embedding(path, label=path.stem) for path in embeddings),
    ]
    names = {example.label: example for example in examples}
    parsed = [Prompt.parse(text, templates or ("{}",), names) for text in texts]
    used = {leaf.key for prompt in parsed for leaf in basic_prompts(prompt)}
    return (*parsed, *(example for example in examples if example.key not in used))


def _read_image(path: Path, longest: int | None) -> Prompt:
    from clipseg_live.media.images.reader import read_image

    return Prompt.image(read_image(path, longest=longest), label=path.stem)


def with_prompts(
    settings: LiveSettings, prompts: Sequence[Prompt], styles: Sequence[PromptStyle], templates: Sequence[str] = ()
) -> LiveSettings:
    """Return the settings with a new row for each prompt, after the rows that they have.

    Args:
        settings: Settings of a session.
        prompts: Prompts of ``read_prompts``.
        styles: Style of each prompt.
        templates: Templates with which the prompts were read.

    Raises:
        UsageError: There are too many prompts, a text is too long, or an expression refers to an embedding.
    """
    count = len(settings.rows) + len(prompts)
    if count > MOST_ROWS:
        raise UsageError(f"There are {count} prompts, but a live session supports at most {MOST_ROWS}.")
    for prompt, style in zip(prompts, styles, strict=True):
        row = _fill_row(settings.new_row(prompt.label), prompt, templates).model_copy(update={"style": style})
        settings = settings.model_copy(update={"rows": (*settings.rows, row)})
    return settings


def _fill_row(row: PromptRow, prompt: Prompt, templates: Sequence[str]) -> PromptRow:
    """Return a row with the content of a prompt. Its text is the label of the prompt."""
    if isinstance(prompt, ImagePrompt):
        return row.model_copy(update={"image": PromptImage.of(prompt.pixels), "share": 1.0})
    if isinstance(prompt, EmbeddingPrompt):
        return row.model_copy(update={"embedding": tuple(prompt.values.tolist())})
    own = prompt.templates if isinstance(prompt, TextPrompt) else tuple(templates)
    if own and own != ("{}",):
        row = row.model_copy(update={"templates": own})
    images = {each.label: each.pixels for each in basic_prompts(prompt) if isinstance(each, ImagePrompt)}
    if images:
        named = tuple(NamedImage(name=name, image=PromptImage.of(pixels)) for name, pixels in images.items())
        row = row.model_copy(update={"images": named})
    if row.prompt is not None and row.prompt.key == prompt.key:
        return row
    if not isinstance(prompt, TextPrompt):
        raise UsageError(
            f"The prompt {shorten(prompt.label)} refers to an embedding, which a live session cannot: use export "
            "or watch."
        )
    return row.model_copy(update={"text": f'"{row.text}"'})  # quoted, because it is no expression
