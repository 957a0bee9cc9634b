"""Errors about missing memory of a GPU, without importing PyTorch."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from clipseg_live.core.errors import ModelError

logger = logging.getLogger(__name__)


@contextmanager
def clear_memory_errors(what: str) -> Iterator[None]:
    """Raise errors about missing memory of a GPU as one sentence.

    Args:
        what: the work that was done, such as "load the model".

    Raises:
        ModelError: if PyTorch has run out of memory.
    """
    try:
        yield
    except Exception as error:
        if not is_memory_error(error):
            raise
        logger.warning("PyTorch has run out of memory", exc_info=True)
        raise ModelError(f"There is not enough GPU memory to {what}: use a smaller --size, or --device cpu.") from error


def is_memory_error(error: Exception) -> bool:
    """Return whether the error says that PyTorch has run out of memory. PyTorch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)
