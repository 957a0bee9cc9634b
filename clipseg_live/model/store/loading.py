"""Search for models by name, and loading of their networks. Code that comes with a model is never run."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clipseg_live.core.errors import ModelError, UsageError
from clipseg_live.core.settings.base import DEFAULT_MODEL
from clipseg_live.core.system.quoting import shorten
from clipseg_live.model.store import hub
from clipseg_live.model.store.converted import converted_bytes, remove_converted
from clipseg_live.model.store.layout import ModelFiles, check_folder, read_weights

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

logger = logging.getLogger(__name__)

SHAPES_MODEL = "shapes"
_CLIPSEG_BYTES = 600_000_000
"""Approximate size of the published weights: 150 million float32 parameters."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """Model with a known name.

    Attributes:
        name: full name.
        summary: description for users.
        repository: repository on the hub; None for the model that ships with the package.
        aliases: other names, the preferred one first.
        download_bytes: approximate size of its download; 0 for the model that ships with the package.
    """

    name: str
    summary: str
    repository: str | None
    aliases: tuple[str, ...] = ()
    download_bytes: int = 0

    @property
    def short_name(self) -> str:
        """First alias, or the name without aliases."""
        return (self.aliases or (self.name,))[0]


KNOWN_MODELS: dict[str, KnownModel] = {
    known.name: known
    for known in (
        KnownModel(
            DEFAULT_MODEL,
            "CLIPSeg with the refined decoder: best quality, 150 M parameters, 352² input (default)",
            DEFAULT_MODEL,
            ("rd64-refined",),
            _CLIPSEG_BYTES,
        ),
        KnownModel(
            "CIDAS/clipseg-rd64",
            "CLIPSeg with 64 decoder channels, 150 M parameters, 352² input",
            "CIDAS/clipseg-rd64",
            ("rd64",),
            _CLIPSEG_BYTES,
        ),
        KnownModel(
            "CIDAS/clipseg-rd16",
            "CLIPSeg with 16 decoder channels, 150 M parameters, 352² input",
            "CIDAS/clipseg-rd16",
            ("rd16",),
            _CLIPSEG_BYTES,
        ),
        KnownModel(
            SHAPES_MODEL,
            "Small built-in model for demos and tests. It knows coloured shapes in drawn scenes only.",
            None,
        ),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """Network in float32 on the CPU, with its files and its tokenizer."""

    files: ModelFiles
    network: "CLIPSegForImageSegmentation"
    tokenizer: "CLIPTokenizer"


def known(name: str) -> KnownModel | None:
    """Return the known model of this name or alias, or None."""
    for model in KNOWN_MODELS.values():
        if name in (model.name, *model.aliases):
            return model
    return None


def remedy(model: KnownModel) -> str:
    """Return the end of a sentence that says how to repair a known model."""
    if model.repository is None:
        return "install clipseg-live again"
    return f"download it again with clipseg-live models fetch {model.short_name}"


def built_in_folder(model: KnownModel) -> Path:
    """Return the folder of a model that ships with the package."""
    return Path(__file__).parents[2] / "demo" / model.name


def find_model_files(
    name: str, *, download: bool = True, on_progress: Callable[[str], None] | None = None
) -> ModelFiles:
    """Find a model by name, alias or folder; download a known one if it is not in the hub's cache.

    Args:
        name: a known name, an alias, or the path of a folder. Other names are never looked up on the network.
        download: False to search only the disk.
        on_progress: receives the progress of a download as text; without it, a terminal shows a bar.

    Raises:
        UsageError: if the name is neither known nor a folder.
        ModelError: if files of the model are missing or cannot be downloaded.
    """
    model = known(name)
    if model is not None and model.repository is None:
        folder = built_in_folder(model)
        if not (folder / "config.json").is_file():
            raise ModelError(f"The built-in model {model.name} is missing from {folder}: {remedy(model)}.")
        return check_folder(folder, model.name, remedy(model))
    if model is not None and model.repository is not None:
        return _find_on_hub(model, model.repository, download, on_progress)
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return check_folder(folder, name)
        is_file = folder.exists()
    except (OSError, RuntimeError, ValueError) as error:  # no permission, too long, an unknown user's home
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"The model folder {shorten(name, 200)} cannot be read: {reason.rstrip('.')}.") from error
    if is_file:
        raise UsageError(f"{name} is a file; a model is a folder with config.json and its weights.")
    raise UsageError(f"There is no model named {shorten(name)}: use {_short_names()}, or the path of a model's folder.")


def _find_on_hub(
    model: KnownModel, repository: str, download: bool, on_progress: Callable[[str], None] | None
) -> ModelFiles:
    cached = hub.cached_folder(repository)
    if cached is not None:
        try:
            return check_folder(cached, model.name, remedy(model))
        except ModelError:
            if not download:
                raise
            logger.info("%s is not complete in the hub's cache", repository, exc_info=True)
    if not download:
        raise ModelError(
            f"The model {model.name} is not on this machine: download it with clipseg-live models fetch "
            f"{model.short_name}."
        )
    return check_folder(hub.download(repository, on_progress), model.name, remedy(model))


@dataclass(frozen=True, slots=True)
class Fetched:
    """Model that has just been downloaded and verified.

    Attributes:
        files: the complete model.
        bytes: size on disk.
        repaired: names of damaged files that were downloaded again.
    """

    files: ModelFiles
    bytes: int
    repaired: tuple[str, ...]


def fetch_model(name: str, *, force: bool = False) -> Fetched:
    """Download the missing files of a named model, and verify every file against the hub's checksums.

    Raises:
        UsageError: if the name is a folder, or not the name of a model.
        ModelError: if the model cannot be downloaded.
    """
    model = _named(name, "fetched")
    if model.repository is None:
        files = find_model_files(model.name)
        return Fetched(files, hub.folder_bytes(files.folder), ())
    folder = hub.download(model.repository, force=force)
    repaired = hub.repair(model.repository, folder)
    files = check_folder(folder, model.name, remedy(model))
    return Fetched(files, hub.folder_bytes(hub.repository_folder(model.repository)), repaired)


@dataclass(frozen=True, slots=True)
class Removable:
    """Downloaded model that can be deleted: its folder in the hub's cache, and its size with its converted forms."""

    model: KnownModel
    folder: Path
    bytes: int


def find_removable(name: str) -> Removable:
    """Find the files that ``remove_model`` deletes.

    Raises:
        UsageError: if the name is a folder, the built-in model, or not the name of a model.
        ModelError: if the model is not on this machine.
    """
    model = _named(name, "removed")
    if model.repository is None:
        raise UsageError(f"The model {model.name} is a part of clipseg-live and cannot be removed.")
    folder = hub.repository_folder(model.repository)
    if not folder.exists():
        raise ModelError(f"The model {model.name} is not on this machine, so there is nothing to remove.")
    return Removable(model, folder, hub.folder_bytes(folder) + converted_bytes(model.name))


def remove_model(found: Removable) -> None:
    """Delete a downloaded model and its converted forms.

    Raises:
        ModelError: if its files cannot be deleted.
    """
    if found.model.repository is not None:
        hub.delete_repository(found.model.repository)
        remove_converted(found.model.name)


def _named(name: str, done: str) -> KnownModel:
    """Return the known model of this name.

    Args:
        name: the name or alias.
        done: the action as a participle, for the error messages.
    """
    model = known(name)
    if model is None:
        if os.path.exists(os.path.expanduser(name[:4096])):
            raise UsageError(f"{name} is a local file or folder: only named models are {done} here.")
        raise UsageError(f"There is no model named {shorten(name)}: use {_short_names()}.")
    return model


def _short_names() -> str:
    return ", ".join(model.short_name for model in KNOWN_MODELS.values())


def load_network(files: ModelFiles) -> LoadedModel:
    """Read the weights into the network of transformers.

    Raises:
        ModelError: if files are damaged or do not fit together.
    """
    from transformers import CLIPSegConfig, CLIPTokenizer

    logger.debug("Reading the model %s", files.folder)
    try:
        config = CLIPSegConfig.from_pretrained(files.folder, local_files_only=True)
        network = _build(config, read_weights(files), files)
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
            f"The tokenizer in {files.folder} (tokenizer.json, or vocab.json and merges.txt) is damaged: "
            f"{files.remedy}."
        ) from error
    largest, known_ids = max(tokenizer.get_vocab().values(), default=0), config.text_config.vocab_size
    if largest >= known_ids:
        raise ModelError(
            f"The tokenizer in {files.folder} has {largest + 1} tokens where its config.json says {known_ids}: "
            "they belong to different models."
        )
    return LoadedModel(files, network, tokenizer)


def _build(config: Any, state: "dict[str, Tensor]", files: ModelFiles) -> "CLIPSegForImageSegmentation":
    """Build the network around the given weights, without initialising it with random ones first."""
    import torch

    network = empty_network(config)
    expected = dict(network.named_parameters())
    state = {name: values for name, values in state.items() if not name.endswith("position_ids")}
    missing, unexpected = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(f"The model's weights lack {missing[0]}{others}: they belong to another model.")
    for name, parameter in expected.items():
        if state[name].shape != parameter.shape:
            raise ModelError(
                f"The model's {name} has the shape {tuple(state[name].shape)} where its config.json says "
                f"{tuple(parameter.shape)}: weights and configuration belong to different models."
            )
    for name in unexpected:
        del state[name]
    state = {name: values.to(torch.float32) for name, values in state.items()}
    _require_finite(state, files)
    assign_weights(network, state)
    return network


def empty_network(config: Any) -> "CLIPSegForImageSegmentation":
    """Build the network without memory for weights and without initialising them; see ``assign_weights``."""
    import torch
    from transformers import CLIPSegForImageSegmentation

    with torch.device("meta"):
        return CLIPSegForImageSegmentation(config)


def assign_weights(network: "CLIPSegForImageSegmentation", state: "dict[str, Tensor]") -> None:
    """Give an empty network all of its parameters, and prepare it for inference."""
    import torch

    network.load_state_dict(state, strict=True, assign=True)
    for embeddings in (network.clip.text_model.embeddings, network.clip.vision_model.embeddings):
        count = embeddings.position_embedding.weight.shape[0]
        embeddings.register_buffer("position_ids", torch.arange(count).expand(1, -1), persistent=False)
    network.eval().requires_grad_(False)


def _require_finite(state: "dict[str, Tensor]", files: ModelFiles) -> None:
    """Check that no float32 weight is NaN or infinite.

    A sum is the cheapest check: it is not finite if one of its terms is not. Only then are all values checked, because
    a sum of finite values can overflow. NumPy sums in one thread: for hundreds of small tensors PyTorch's threads spend
    more time waiting than working.

    Raises:
        ModelError: if a weight is not finite.
    """
    for name, values in state.items():
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.numpy().sum()
        if not np.isfinite(total) and not np.isfinite(values.numpy()).all():
            raise ModelError(
                f"The weights {files.weights} contain NaN or infinite values (in {name}), so the model cannot be used: "
                f"{files.remedy}."
            )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
