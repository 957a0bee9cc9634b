"""Finding a model by name, checking its folder, and loading it. Never runs code that comes with a model."""

import errno
import hashlib
import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipseg_live.core.errors import ModelError, UsageError
from clipseg_live.core.paths import check_input
from clipseg_live.core.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

logger = logging.getLogger(__name__)

SHAPES = "shapes"

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_NEEDED = ("config.json", "preprocessor_config.json", "vocab.json", "merges.txt")
_FETCHED = ("*.json", "merges.txt")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a name. repository: its place on the hub, None for the one that ships with the package."""

    name: str
    summary: str
    repository: str | None
    aliases: tuple[str, ...] = ()


KNOWN_MODELS: dict[str, KnownModel] = {
    known.name: known
    for known in (
        KnownModel(
            DEFAULT_MODEL,
            "CLIPSeg with the finer decoder, 150 M parameters, 352² (the default)",
            DEFAULT_MODEL,
            ("rd64-refined",),
        ),
        KnownModel(
            "CIDAS/clipseg-rd64",
            "CLIPSeg with 64 decoder channels, 150 M parameters, 352²",
            "CIDAS/clipseg-rd64",
            ("rd64",),
        ),
        KnownModel(
            "CIDAS/clipseg-rd16",
            "CLIPSeg with 16 decoder channels, 150 M parameters, 352²",
            "CIDAS/clipseg-rd16",
            ("rd16",),
        ),
        KnownModel(
            SHAPES,
            "small, shipped with the program: coloured shapes on drawn scenes only, for demos and tests",
            None,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's folder, seen to hold all that is needed.

    name: what the person asked for. weights: its weights file.
    """

    name: str
    folder: Path
    weights: Path

    def digest(self) -> str:
        """SHA-256 of the weights file, as hexadecimal digits; read once, for as long as the file is the same."""
        status = self.weights.stat()
        return _sha256(self.weights, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """The network in float32 on the CPU, and what belongs to it."""

    files: ModelFiles
    network: "CLIPSegForImageSegmentation"
    tokenizer: "CLIPTokenizer"


@lru_cache(maxsize=8)
def _sha256(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def known(name: str) -> KnownModel | None:
    """The known model of this name or alias."""
    for model in KNOWN_MODELS.values():
        if name in (model.name, *model.aliases):
            return model
    return None


def find(name: str, *, download: bool = True, on_progress: Callable[[str], None] | None = None) -> ModelFiles:
    """A model by name, alias or folder; one that is on the hub is fetched if it is not in the hub's cache.

    on_progress: told in words how far a download is; without it, there is a bar on a terminal.
    Raises UsageError for a name that means nothing, ModelError where its files are missing or cannot be fetched.
    """
    model = known(name)
    if model is not None and model.repository is None:
        folder = Path(__file__).parent.parent / "demo" / "shapes"
        if not (folder / "config.json").is_file():
            raise ModelError(f"The built-in model {SHAPES} is missing from {folder}: install clipseg-live again.")
        return check_folder(folder, model.name)
    if model is not None and model.repository is not None:
        return check_folder(_fetch(model.repository, download, on_progress), model.name)
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return check_folder(folder, name)
        is_file = folder.exists()
    except (OSError, RuntimeError, ValueError) as error:  # no permission, too long, an unknown user's home
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"The model folder {name[:200]!r} cannot be read: {reason.rstrip('.')}.") from error
    if is_file:
        raise UsageError(f"{name} is a file; a model is a folder with config.json and its weights.")
    names = ", ".join(alias for one in KNOWN_MODELS.values() for alias in (one.aliases or (one.name,)))
    raise UsageError(f"There is no model named {name!r}: use {names}, or the path of a model's folder.")


def check_folder(folder: Path, name: str) -> ModelFiles:
    """See that a folder holds a whole CLIPSeg model. Raises ModelError naming what is missing."""
    with suppress(OSError):  # a folder that cannot be listed is reported below
        for entry in folder.iterdir():
            check_input(entry, ModelError)
    for needed in _NEEDED:
        if not (folder / needed).is_file():
            raise ModelError(f"The model folder {folder} has no {needed}: fetch the whole model again.")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        logger.warning("config.json cannot be read", exc_info=True)
        raise ModelError(f"The config.json in {folder} is damaged: fetch the model again.") from error
    if kind != "clipseg":
        raise ModelError(f"The model in {folder} is not a CLIPSeg model: its config.json says {kind!r}.")
    for weights in _WEIGHTS:
        if (folder / weights).is_file():
            return ModelFiles(name, folder, folder / weights)
    raise ModelError(f"The model folder {folder} has no weights: {' or '.join(_WEIGHTS)} is needed.")


def load(files: ModelFiles) -> LoadedModel:
    """Read the weights into transformers' own network. Raises ModelError for damaged or unfitting files."""
    from transformers import CLIPSegConfig, CLIPTokenizer

    logger.debug("Reading the model %s", files.folder)
    try:
        config = CLIPSegConfig.from_pretrained(files.folder, local_files_only=True)
        network = _build(config, _read_weights(files.weights), files.weights)
    except ModelError:
        raise
    except Exception as error:  # a damaged configuration fails anywhere in transformers and torch
        logger.warning("The model's configuration cannot be used", exc_info=True)
        raise ModelError(
            f"The config.json in {files.folder} does not describe a CLIPSeg model that can be built: "
            f"{_first_line(error)}"
        ) from error
    try:
        tokenizer = CLIPTokenizer.from_pretrained(files.folder, local_files_only=True)
    except Exception as error:  # the tokenizers' parser raises bare exceptions
        logger.warning("The model's tokenizer cannot be read", exc_info=True)
        raise ModelError(
            f"The tokenizer in {files.folder} (vocab.json, merges.txt) is damaged: fetch the model again."
        ) from error
    largest, known_ids = max(tokenizer.get_vocab().values(), default=0), config.text_config.vocab_size
    if largest >= known_ids:
        raise ModelError(
            f"The tokenizer in {files.folder} has {largest + 1} tokens where its config.json says {known_ids}: "
            "they are of two models."
        )
    return LoadedModel(files, network, tokenizer)


def _build(config: Any, state: "dict[str, Tensor]", path: Path) -> "CLIPSegForImageSegmentation":
    """The network around the given weights, without first filling it with random ones. path: their file."""
    import torch
    from transformers import CLIPSegForImageSegmentation

    with torch.device("meta"):
        network = CLIPSegForImageSegmentation(config)
    expected = dict(network.named_parameters())
    state = {name: values for name, values in state.items() if not name.endswith("position_ids")}
    missing, unexpected = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(f"The model's weights lack {missing[0]}{others}: they are another model's.")
    for name, parameter in expected.items():
        if state[name].shape != parameter.shape:
            raise ModelError(
                f"The model's {name} has the shape {tuple(state[name].shape)} where its config.json says "
                f"{tuple(parameter.shape)}: weights and configuration are of two models."
            )
    for name in unexpected:
        del state[name]
    state = {name: values.to(torch.float32) for name, values in state.items()}
    _require_finite(state, path)
    network.load_state_dict(state, strict=True, assign=True)
    for embeddings in (network.clip.text_model.embeddings, network.clip.vision_model.embeddings):
        count = embeddings.position_embedding.weight.shape[0]
        embeddings.register_buffer("position_ids", torch.arange(count).expand(1, -1), persistent=False)
    network.eval().requires_grad_(False)
    return network


def _require_finite(state: "dict[str, Tensor]", path: Path) -> None:
    """Raise ModelError if a float32 weight is NaN or infinite.

    A sum is the cheapest check: it is not finite if one of its terms is not. Only then are all values looked at,
    because a sum of finite values can overflow. NumPy sums in one thread: for hundreds of small tensors PyTorch's
    threads wait for one another longer than they work.
    """
    for name, values in state.items():
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.numpy().sum()
        if not np.isfinite(total) and not np.isfinite(values.numpy()).all():
            raise ModelError(
                f"The weights {path} hold NaN or infinite values (in {name}), so the model cannot predict anything: "
                "fetch the model again."
            )


def _read_weights(path: Path) -> "dict[str, Tensor]":
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        if not all(isinstance(values, torch.Tensor) for values in state.values()):
            raise TypeError(path.name)
        return state
    except Exception as error:  # damaged files fail anywhere in the readers of safetensors, zipfile and pickle
        logger.warning("The weights cannot be read", exc_info=True)
        raise ModelError(f"The weights {path} are damaged or cut short: fetch the model again.") from error


def _fetch(repository: str, download: bool, on_progress: Callable[[str], None] | None = None) -> Path:
    """The folder of a hub model: from the cache where it is whole, else from the network."""
    from huggingface_hub import errors, snapshot_download

    # LocalEntryNotFoundError is an OSError, HFValidationError a ValueError. Versions before 2 lack some of the others.
    names = ("EntryNotFoundError", "RevisionResolutionError", "CachedRepoTreeNotFoundError", "CorruptedCacheException")
    not_cached = (OSError, ValueError, *(getattr(errors, name) for name in names if hasattr(errors, name)))
    for weights in _WEIGHTS:
        try:
            folder = Path(snapshot_download(repository, allow_patterns=[*_FETCHED, weights], local_files_only=True))
        except not_cached:
            logger.debug("%s with %s is not in the hub's cache", repository, weights, exc_info=True)
            continue
        whole = all((folder / name).is_file() for name in (*_NEEDED, weights))
        if whole or not download:  # whoever wants no download is told what is missing
            return folder
    if not download:
        raise ModelError(f"The model {repository} is not on this machine.")
    try:
        weights = _published_weights(repository)
        bar = _progress_bar(on_progress)
        return Path(snapshot_download(repository, allow_patterns=[*_FETCHED, weights], tqdm_class=bar))
    except ModelError:
        raise
    except Exception as error:  # the hub's client raises its transport's own errors
        logger.warning("The model cannot be downloaded", exc_info=True)
        if getattr(getattr(error, "response", None), "status_code", None) in (401, 403, 404):
            raise ModelError(
                f"The model hub gives {repository} to nobody, or not to you: if it needs an account, log in with "
                "hf auth login; --model shapes needs no download."
            ) from error
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ModelError(f"The disk is full: the model {repository} could not be saved.") from error
        raise _unreachable(repository) from error


def _published_weights(repository: str) -> str:
    from huggingface_hub import HfApi

    files = {file.rfilename for file in HfApi().model_info(repository, timeout=10).siblings or ()}
    for weights in _WEIGHTS:
        if weights in files:
            return weights
    raise ModelError(f"{repository} publishes no weights that can be read safely ({' or '.join(_WEIGHTS)}).")


def _progress_bar(on_progress: Callable[[str], None] | None) -> type:
    """The hub's bar: silent where nobody watches, and in words where somebody listens."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if on_progress is not None or not sys.stderr.isatty():
                options["disable"] = True
            super().__init__(*arguments, **options)
            self._done, self._all, self._in_bytes = 0.0, options.get("total") or 0.0, options.get("unit") == "B"

        def update(self, n: float | None = 1) -> bool | None:
            self._done += n or 0
            if on_progress is not None and self._in_bytes:
                whole = max(self._all, getattr(self, "total", None) or 0)
                of = f" of {whole / 1e6:.0f}" if whole else ""
                on_progress(f"{self._done / 1e6:.0f}{of} MB")
            shown: bool | None = super().update(n)
            return shown

    return Bar


def _unreachable(repository: str) -> ModelError:
    return ModelError(
        f"The model {repository} is not on this machine and could not be downloaded: "
        f"check the network, or use the built-in small model with --model {SHAPES}."
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
