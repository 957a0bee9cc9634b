"""Encoding of prompts to conditional embeddings, with a cache."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import NoPrediction, UsageError
from clipseg_live.core.expressions.combinations import SumPrompt, leaf_prompts
from clipseg_live.core.prompts import EmbeddingPrompt, ImagePrompt, MixPrompt, Prompt, TextPrompt
from clipseg_live.core.system.quoting import shorten
from clipseg_live.model.backend import Backend, Embeddings
from clipseg_live.model.preprocess import Preprocessing, prepare_image_prompt
from clipseg_live.model.tokenizer import Tokenizer

Embedding = NDArray[np.float32]
"""Embedding of one prompt: float32 (embedding_size,)."""

_SENTENCES = 64
"""Largest number of sentences that are encoded together."""

_QUOTED = 40
"""Columns of a prompt, and of its cut-off part, in a notice: together one line."""

_MOST_NOTICES = 16
"""Number of notices that are kept, the newest."""

CACHE_CAPACITY = 512
"""Number of encoded prompts that are kept; one of CLIPSeg takes 2 KiB."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Look-ups of encoded prompts so far, and the number that is cached now."""

    hits: int
    misses: int
    size: int
    capacity: int


class PromptEncoder:
    """Encoder of prompts for one model, with a bounded least-recently-used cache keyed by the content of prompts.

    Not thread-safe: ``Segmenter`` calls it with its lock held.

    Args:
        backend: the network.
        tokenizer: the tokenizer of the model.
        preprocessing: constants of the checkpoint.
        identity: distinguishes models, so that embeddings of one are never used for another.
        capacity: largest number of cached prompts.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: Tokenizer,
        preprocessing: Preprocessing,
        identity: str,
        capacity: int = CACHE_CAPACITY,
    ) -> None:
        self._backend = backend
        self._tokenizer = tokenizer
        self._preprocessing = preprocessing
        self._identity = identity
        self._capacity = capacity
        self._cache: OrderedDict[tuple[str, str], Embedding] = OrderedDict()
        self._hits = self._misses = 0
        self.notices: list[str] = []

    @property
    def statistics(self) -> CacheStatistics:
        """Statistics of the cache."""
        return CacheStatistics(self._hits, self._misses, len(self._cache), self._capacity)

    def for_backend(self, backend: Backend) -> "PromptEncoder":
        """Return an encoder with another network of the same model, and with an empty cache of its own."""
        return PromptEncoder(backend, self._tokenizer, self._preprocessing, self._identity, self._capacity)

    def use(self, backend: Backend) -> None:
        """Switch to the same model in another precision; embeddings of the old one are dropped."""
        self._backend = backend
        self._cache.clear()

    def encode(self, prompts: Sequence[Prompt]) -> Embeddings:
        """Return the embeddings of prompts, (prompts, embedding_size), in an array that belongs to the caller.

        A prompt that combines maps has a row for each of its operands (``leaf_prompts``).

        Raises:
            UsageError: if an embedding has another length than those of the model.
            NoPrediction: if the embedding of a prompt is not finite.
        """
        embeddings: dict[str, Embedding] = {}
        missing: dict[str, Prompt] = {}
        leaves = leaf_prompts(prompts)
        for prompt in leaves:
            kept = self._cache.get((self._identity, prompt.key))
            if kept is not None:
                self._cache.move_to_end((self._identity, prompt.key))
                embeddings[prompt.key] = kept
                self._hits += 1
            elif prompt.key not in missing:
                missing[prompt.key] = prompt
                self._misses += 1
        if missing:
            embeddings |= self._encode_new(list(missing.values()))
        return np.stack([embeddings[prompt.key] for prompt in leaves])

    def tokens(self, sentences: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the padded token ids of sentences and their mask, each (sentences, tokens)."""
        rows = [self._tokens(sentence) for sentence in sentences]
        ids = np.full((len(rows), max(map(len, rows))), self._tokenizer.padding, np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        return ids, mask

    def _encode_new(self, prompts: list[Prompt]) -> dict[str, Embedding]:
        texts = [prompt for prompt in prompts if isinstance(prompt, TextPrompt)]
        encoded = dict(zip((text.key for text in texts), self._encode_texts(texts), strict=True))
        for prompt in prompts:
            if isinstance(prompt, ImagePrompt):
                encoded[prompt.key] = self._encode_image(prompt)
            elif isinstance(prompt, EmbeddingPrompt):
                encoded[prompt.key] = self._take_embedding(prompt)
            elif isinstance(prompt, SumPrompt):
                parts = self.encode([part for part, _ in prompt.parts])
                encoded[prompt.key] = self._backend.rounded(prompt.embedding_of(parts))
            elif isinstance(prompt, MixPrompt):
                weights = np.array([weight for _, weight in prompt.parts], np.float32)
                encoded[prompt.key] = self._backend.rounded(weights @ self.encode([part for part, _ in prompt.parts]))
        if encoded and not np.isfinite(list(encoded.values())).all():
            raise NoPrediction(no_prediction(self._backend.dtype_name))
        for key, embedding in encoded.items():
            self._cache[self._identity, key] = embedding
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return encoded

    def _encode_texts(self, prompts: list[TextPrompt]) -> list[Embedding]:
        """Encode the sentences of all prompts in batches; a prompt is the mean of its sentences."""
        if not prompts:
            return []
        sentences = [sentence for prompt in prompts for sentence in prompt.sentences]
        batches = [sentences[start : start + _SENTENCES] for start in range(0, len(sentences), _SENTENCES)]
        embeddings = np.concatenate([self._backend.text_embeddings(*self.tokens(batch)) for batch in batches])
        ends = np.cumsum([len(prompt.sentences) for prompt in prompts])
        return [self._backend.rounded(part.mean(axis=0)) for part in np.split(embeddings, ends[:-1])]

    def _tokens(self, sentence: str) -> list[int]:
        """Return token ids with start and end; tokens beyond the model's limit are cut, with a notice."""
        limit = self._backend.text_limit
        ids, starts = self._tokenizer.encode(sentence)
        if len(ids) <= limit:
            return ids
        first_cut = starts[limit - 1]
        start = sentence.rfind(" ", 0, first_cut + 1) + 1
        notice = (
            f"The prompt {shorten(sentence, _QUOTED)} is longer than the {limit} tokens that the model reads: "
            f"{shorten(sentence[start:], _QUOTED)} was cut off."
        )
        if notice not in self.notices:
            self.notices.append(notice)
            del self.notices[:-_MOST_NOTICES]
        return ids[: limit - 1] + ids[-1:]

    def _encode_image(self, prompt: ImagePrompt) -> Embedding:
        picture = prepare_image_prompt(prompt, self._preprocessing, self._preprocessing.size)
        embedding: Embedding = self._backend.image_embedding(picture, self._preprocessing)[0]
        return embedding

    def _take_embedding(self, prompt: EmbeddingPrompt) -> Embedding:
        size = self._backend.embedding_size
        if prompt.values.shape != (size,):
            raise UsageError(
                f"The embedding {shorten(prompt.label)} has {prompt.values.size} values; this model needs {size}."
            )
        return self._backend.rounded(prompt.values.astype(np.float32))


def no_prediction(dtype: str) -> str:
    """Return the message about non-finite output of the network, with the remedy for its precision."""
    if dtype == "float32":
        remedy = "its weights do not work; fetch the model again or use another one"
    else:
        remedy = f"the precision {dtype} is too small for it; use --dtype float32"
    return f"The model gave no prediction (NaN or infinite values): {remedy}."
