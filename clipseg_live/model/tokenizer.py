"""Tokenizer of a model, without transformers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as FastTokenizer


@dataclass(frozen=True, slots=True, eq=False)
class Tokenizer:
    """Tokenizer that adds the start and end of a text.

    Attributes:
        fast: the tokenizer of the package tokenizers.
        padding: id of the padding token.
    """

    fast: FastTokenizer
    padding: int

    @staticmethod
    def of(tokenizer: Any) -> "Tokenizer":
        """Return the tokenizer that one of transformers wraps."""
        return Tokenizer(tokenizer.backend_tokenizer, int(tokenizer.pad_token_id))

    @staticmethod
    def read(path: Path, padding: int) -> "Tokenizer":
        """Read a tokenizer that ``save`` has written.

        Raises:
            Exception: any error of a damaged file.
        """
        return Tokenizer(FastTokenizer.from_file(str(path)), padding)

    def save(self, path: Path) -> None:
        """Write the tokenizer to one file."""
        self.fast.save(str(path))

    def encode(self, text: str) -> tuple[list[int], list[int]]:
        """Return the token ids of a text with its start and end, and the first character of each token."""
        encoding = self.fast.encode(text)
        return encoding.ids, [start for start, _ in encoding.offsets]
