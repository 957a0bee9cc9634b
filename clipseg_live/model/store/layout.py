"""Files of a model folder: selection, completeness checks, and reading of weights.

transformers 4 saves ``preprocessor_config.json``, ``vocab.json`` and ``merges.txt``; transformers 5 saves
``processor_config.json`` and ``tokenizer.json``. Weights are one file, or shards with an index. All of these are
supported, in folders and in repositories of the hub.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from clipseg_live.core.errors import ModelError
from clipseg_live.core.system.paths import check_input

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

_INDEX = ".index.json"
WEIGHTS = ("model.safetensors", f"model.safetensors{_INDEX}", "pytorch_model.bin", f"pytorch_model.bin{_INDEX}")
"""Names of weights files, best first. An index lists the shards that hold the tensors."""

_PROCESSOR = "processor_config.json"
_OLD_PROCESSOR = "preprocessor_config.json"
_SMALL = (
    "config.json", _PROCESSOR, _OLD_PROCESSOR, "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
"""Every file that is read in addition to the weights. Those that exist are downloaded."""

_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Files of a complete model folder.

    Attributes:
        name: name or folder that the user asked for.
        folder: folder of all files.
        processor: file with the preprocessing constants.
        weights: the weights file, or the index of its shards.
        shards: the files that hold the tensors; ``weights`` alone if it is not an index.
        remedy: advice for a damaged file, as the end of a sentence.
    """

    name: str
    folder: Path
    processor: Path
    weights: Path
    shards: tuple[Path, ...]
    remedy: str = "download the whole model again"

    def digest(self) -> str:
        """Return the SHA-256 of the weights as hexadecimal digits: of the file, or of the digests of all shards."""
        digests = [_sha256(shard, shard.stat().st_size, shard.stat().st_mtime_ns) for shard in self.shards]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def identity(self) -> str:
        """Return a text that changes when another weights file replaces this one."""
        status = [(shard.resolve(), shard.stat()) for shard in self.shards]
        return ";".join(f"{path}:{each.st_size}:{each.st_mtime_ns}" for path, each in status)


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing_file(names: Collection[str]) -> str | None:
    """Return the first file that a model with these files lacks, or None if nothing is missing."""
    if "config.json" not in names:
        return "config.json"
    if _PROCESSOR not in names and _OLD_PROCESSOR not in names:
        return f"{_OLD_PROCESSOR} or {_PROCESSOR}"
    if "tokenizer.json" not in names:
        absent = [name for name in ("vocab.json", "merges.txt") if name not in names]
        if len(absent) == 2:
            return "tokenizer.json, and no vocab.json with merges.txt"
        if absent:
            return absent[0]
    if weights_of(names) is None:
        return f"weights ({', '.join(WEIGHTS)})"
    return None


def weights_of(names: Collection[str]) -> str | None:
    """Choose the best weights file or index among file names."""
    return next((name for name in WEIGHTS if name in names), None)


def small_files(names: Collection[str]) -> list[str]:
    """Return the files among ``names`` that are read in addition to the weights."""
    return [name for name in _SMALL if name in names]


def check_folder(folder: Path, name: str, remedy: str = "download the whole model again") -> ModelFiles:
    """Check that a folder holds a complete CLIPSeg model, and return its files.

    Raises:
        ModelError: if a file is missing, a JSON file is damaged, or it is another kind of model.
    """
    names: set[str] = set()
    with suppress(OSError):  # a folder that cannot be listed has no config.json below
        for entry in folder.iterdir():
            check_input(entry, ModelError)
            if entry.is_file():
                names.add(entry.name)
    missing = missing_file(names)
    if missing is not None:
        raise ModelError(f"The model folder {folder} has no {missing}: {remedy}.")
    kind = _read_json(folder / "config.json", remedy).get("model_type")
    if kind != "clipseg":
        raise ModelError(f"The model in {folder} is not a CLIPSeg model: its config.json says {_short(kind)}.")
    weights = folder / str(weights_of(names))
    shards: tuple[Path, ...] = (weights,)
    if weights.name.endswith(_INDEX):
        listed = sorted(set(read_index(weights, remedy).values()))
        for shard in listed:
            if shard not in names:
                raise ModelError(f"The model folder {folder} has no {shard}, which {weights.name} lists: {remedy}.")
        shards = tuple(folder / shard for shard in listed)
    return ModelFiles(name, folder, _processor_file(folder, names, remedy), weights, shards, remedy)


def _processor_file(folder: Path, names: set[str], remedy: str) -> Path:
    """Choose the file with the preprocessing constants as transformers does."""
    if _PROCESSOR not in names:
        return folder / _OLD_PROCESSOR
    if "image_processor" in _read_json(folder / _PROCESSOR, remedy):
        return folder / _PROCESSOR
    if _OLD_PROCESSOR not in names:
        raise ModelError(
            f"The {_PROCESSOR} in {folder} has no image_processor, and there is no {_OLD_PROCESSOR}: {remedy}."
        )
    return folder / _OLD_PROCESSOR


def read_index(path: Path, remedy: str) -> dict[str, str]:
    """Read an index of shards: the file name of each tensor.

    Raises:
        ModelError: if the index is damaged, or names a file that is not a weights file in the same folder.
    """
    shards = _read_json(path, remedy).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(each, str) for each in shards.values()):
        raise ModelError(f"The {path.name} in {path.parent} is damaged because it has no weight_map: {remedy}.")
    suffix = PurePosixPath(path.name.removesuffix(_INDEX)).suffix
    for shard in set(shards.values()):
        if not _is_plain_name(shard) or not shard.endswith(suffix):
            raise ModelError(
                f"The {path.name} in {path.parent} names {_short(shard)}, which is not a {suffix} file in the model's "
                f"own folder: {remedy}."
            )
    return dict(shards)


def _is_plain_name(name: str) -> bool:
    """Check that a name is a file name on every system, without a folder or a drive."""
    return PurePosixPath(name).name == name == PureWindowsPath(name).name and name.isprintable()


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise TypeError(path.name)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        logger.warning("%s cannot be read", path.name, exc_info=True)
        raise ModelError(f"The {path.name} in {path.parent} is damaged: {remedy}.") from error
    return values


def read_weights(files: ModelFiles) -> "dict[str, Tensor]":
    """Read all tensors by name. Python objects in a ``.bin`` file are never run.

    Raises:
        ModelError: if a file is damaged, holds something other than tensors, or lacks a tensor that the index lists.
    """
    if files.shards == (files.weights,):
        return _read_file(files.weights, files.remedy)
    index = read_index(files.weights, files.remedy)
    state: dict[str, Tensor] = {}
    for shard in files.shards:
        tensors = _read_file(shard, files.remedy)
        for name in (name for name, place in index.items() if place == shard.name):
            if name not in tensors:
                raise ModelError(
                    f"The weights {shard} do not contain {_short(name)}, which {files.weights.name} lists: "
                    f"{files.remedy}."
                )
            state[name] = tensors[name]
    return state


def _read_file(path: Path, remedy: str) -> "dict[str, Tensor]":
    import pickle
    import warnings

    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are then refused
            state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        if not all(isinstance(values, torch.Tensor) for values in state.values()):
            raise pickle.UnpicklingError(path.name)
        return state
    except Exception as error:  # damaged files fail anywhere in the readers of safetensors, zipfile and pickle
        logger.warning("The weights cannot be read", exc_info=True)
        if _starts_with(path, _LFS_POINTER):
            raise ModelError(
                f"{path} is a pointer of Git LFS instead of the weights: run git lfs pull in its folder, or {remedy}."
            ) from error
        if isinstance(error, pickle.UnpicklingError):
            raise ModelError(
                f"The weights {path} are damaged or contain objects other than tensors, which could run code and are "
                f"never loaded: use safetensors, or {remedy}."
            ) from error
        raise ModelError(f"The weights {path} are damaged or truncated: {remedy}.") from error


def check_weights(paths: Iterable[Path], remedy: str) -> None:
    """Check quickly that weights files are as long as their own tables of contents say.

    Raises:
        ModelError: if a file is cut short.
    """
    import zipfile

    from safetensors import SafetensorError, safe_open

    for path in paths:
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="numpy"):
                    continue
        except (SafetensorError, OSError) as error:
            logger.warning("The weights %s cannot be opened", path.name, exc_info=True)
            raise ModelError(f"Its {path.name} is truncated or damaged: {remedy}.") from error
        is_empty = path.stat().st_size == 0
        if is_empty or (_starts_with(path, b"PK") and not zipfile.is_zipfile(path)):  # the old format is no zip
            raise ModelError(f"Its {path.name} is truncated or damaged: {remedy}.")


def _starts_with(path: Path, start: bytes) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(start)) == start
    return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
