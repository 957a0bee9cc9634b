"""Encoding of prompts to conditional embeddings, with a cache."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from clipseg_live.core.errors import NoPrediction, UsageError
from clipseg_live.core.prompts import EmbeddingPrompt, ImagePrompt, MixPrompt, Prompt, TextPrompt
from clipseg_live.core.system.quoting import shorten
from clipseg_live.model.clipseg import ClipSeg
from clipseg_live.model.preprocess import Preprocessing, prepare_image_prompt

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
        network: the network.
        tokenizer: the tokenizer of the model.
        preprocessing: constants of the checkpoint.
        identity: distinguishes models, so that embeddings of one are never used for another.
        capacity: largest number of cached prompts.
    """

    def __init__(
        self,
        network: ClipSeg,
        tokenizer: CLIPTokenizer,
        preprocessing: Preprocessing,
        identity: str,
        capacity: int = CACHE_CAPACITY,
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._preprocessing = preprocessing
        self._identity = identity
        self._capacity = capacity
        self._cache: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self._hits = self._misses = 0
        self.notices: list[str] = []

    @property
    def statistics(self) -> CacheStatistics:
        """Statistics of the cache."""
        return CacheStatistics(self._hits, self._misses, len(self._cache), self._capacity)

    def use(self, network: ClipSeg) -> None:
        """Switch to the same model in another precision; embeddings of the old one are dropped."""
        self._network = network
        self._cache.clear()

    @torch.inference_mode()
    def encode(self, prompts: Sequence[Prompt]) -> Tensor:
        """Return the embeddings of prompts, (prompts, embedding_size), on the device and in the precision of the model.

        Raises:
            UsageError: if an embedding has another length than those of the model.
            NoPrediction: if the embedding of a prompt is not finite.
        """
        embeddings: dict[str, Tensor] = {}
        missing: dict[str, Prompt] = {}
        for prompt in prompts:
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
        return torch.stack([embeddings[prompt.key] for prompt in prompts])

    @torch.inference_mode()
    def encode_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Return the embeddings of sentences, (sentences, embedding_size), without caching them."""
        return self._encode_batch([self._tokens(sentence) for sentence in sentences])

    def _encode_new(self, prompts: list[Prompt]) -> dict[str, Tensor]:
        texts = [prompt for prompt in prompts if isinstance(prompt, TextPrompt)]
        encoded = dict(zip((text.key for text in texts), self._encode_texts(texts), strict=True))
        for prompt in prompts:
            if isinstance(prompt, ImagePrompt):
                encoded[prompt.key] = self._encode_image(prompt)
            elif isinstance(prompt, EmbeddingPrompt):
                encoded[prompt.key] = self._take_embedding(prompt)
            elif isinstance(prompt, MixPrompt):
                weights = torch.tensor([weight for _, weight in prompt.parts], device=self._network.device)
                parts = self.encode([part for part, _ in prompt.parts])
                encoded[prompt.key] = (weights.to(parts.dtype) @ parts).to(parts.dtype)
        if encoded and not bool(torch.stack(list(encoded.values())).isfinite().all()):
            raise NoPrediction(no_prediction(self._network.dtype))
        for key, embedding in encoded.items():
            self._cache[self._identity, key] = embedding
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return encoded

    def _encode_texts(self, prompts: list[TextPrompt]) -> list[Tensor]:
        """Encode the sentences of all prompts in batches; a prompt is the mean of its sentences."""
        if not prompts:
            return []
        rows = [self._tokens(sentence) for prompt in prompts for sentence in prompt.sentences]
        batches = [rows[start : start + _SENTENCES] for start in range(0, len(rows), _SENTENCES)]
        embeddings = torch.cat([self._encode_batch(batch) for batch in batches])
        counts = [len(prompt.sentences) for prompt in prompts]
        return [part.mean(dim=0) for part in embeddings.split(counts)]

    def _encode_batch(self, rows: list[list[int]]) -> Tensor:
        longest = max(map(len, rows))
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        device = self._network.device
        return self._network.text_embeddings(ids.to(device), mask.to(device))

    def _tokens(self, sentence: str) -> list[int]:
        """Return token ids with start and end; tokens beyond the model's limit are cut, with a notice."""
        limit = int(self._network.network.config.text_config.max_position_embeddings)
        encoding = self._tokenizer(sentence, return_offsets_mapping=True, verbose=False)
        ids: list[int] = encoding["input_ids"]
        if len(ids) <= limit:
            return ids
        first_cut = encoding["offset_mapping"][limit - 1][0]
        start = sentence.rfind(" ", 0, first_cut + 1) + 1
        notice = (
            f"The prompt {shorten(sentence, _QUOTED)} is longer than the {limit} tokens that the model reads: "
            f"{shorten(sentence[start:], _QUOTED)} was cut off."
        )
        if notice not in self.notices:
            self.notices.append(notice)
            del self.notices[:-_MOST_NOTICES]
        return ids[: limit - 1] + ids[-1:]

    def _encode_image(self, prompt: ImagePrompt) -> Tensor:
        picture = prepare_image_prompt(prompt, self._preprocessing, self._preprocessing.size)
        pixels = self._preprocessing.normalise(picture.to(self._network.device), self._network.dtype)
        return self._network.image_embeddings(pixels)[0]

    def _take_embedding(self, prompt: EmbeddingPrompt) -> Tensor:
        size = self._network.embedding_size
        if prompt.values.shape != (size,):
            raise UsageError(
                f"The embedding {shorten(prompt.label)} has {prompt.values.size} values; this model needs {size}."
            )
        return torch.from_numpy(np.array(prompt.values)).to(self._network.device, self._network.dtype)


def no_prediction(dtype: torch.dtype) -> str:
    """Return the message about non-finite output of the network, with the remedy for its precision."""
    name = str(dtype).removeprefix("torch.")
    if dtype == torch.float32:
        remedy = "its weights do not work; fetch the model again or use another one"
    else:
        remedy = f"the precision {name} is too small for it; use --dtype float32"
    return f"The model gave no prediction (NaN or infinite values): {remedy}."
