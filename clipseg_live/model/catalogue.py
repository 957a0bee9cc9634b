"""What of the known models is on this machine; looks at the disk alone, never at the network."""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, ModelError
from clipseg_live.core.settings import DEFAULT_MODEL
from clipseg_live.model import loading


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A known model and what is on disk of it.

    path: its folder, None where there is none. bytes: what it takes on disk, 0 where there is none.
    whole: every needed file is there and the weights are not cut short; problem says what is wrong otherwise.
    """

    name: str
    aliases: tuple[str, ...]
    summary: str
    default: bool
    ships: bool
    path: Path | None
    bytes: int
    whole: bool
    problem: str | None


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Every known model, in the order of ``KNOWN_MODELS``."""
    return tuple(_entry(model) for model in loading.KNOWN_MODELS.values())


def hub_cache() -> Path:
    """The folder in which the hub's client keeps what it fetched; HF_HOME and HF_HUB_CACHE move it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed, so that the hub's cache counts each file once."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # gone since it was listed
                continue
    return total


def _entry(model: loading.KnownModel) -> CatalogueEntry:
    home = _home(model)
    path = home if home.is_dir() else None
    problem: str | None = None
    if path is not None:
        try:
            files = loading.find(model.name, download=False)
            path = files.folder
            _check_weights(files.weights)
        except (ClipsegLiveError, OSError) as error:
            problem = str(error)
            if model.repository is not None and not any(home.glob("snapshots/*/*model.*")):
                problem = "Its weights are not here; the next use fetches them."
    return CatalogueEntry(
        name=model.name,
        aliases=model.aliases,
        summary=model.summary,
        default=model.name == DEFAULT_MODEL,
        ships=model.repository is None,
        path=path,
        bytes=folder_bytes(home) if path is not None else 0,
        whole=path is not None and problem is None,
        problem=problem,
    )


def _home(model: loading.KnownModel) -> Path:
    """Where all of a model's files lie: its place in the hub's cache, or in this package."""
    if model.repository is None:
        return Path(loading.__file__).parent.parent / "demo" / model.name
    from huggingface_hub.file_download import repo_folder_name

    return hub_cache() / repo_folder_name(repo_id=model.repository, repo_type="model")


def _check_weights(weights: Path) -> None:
    """See that a weights file is as long as its own table of contents says. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    damaged = f"Its {weights.name} is cut short or damaged: delete {weights} and get it again."
    if weights.suffix == ".safetensors":
        try:
            with safe_open(weights, framework="numpy"):
                return
        except SafetensorError as error:
            raise ModelError(damaged) from error
    with weights.open("rb") as file:
        start = file.read(2)
    if not start or (start == b"PK" and not zipfile.is_zipfile(weights)):  # PyTorch's older format is no archive
        raise ModelError(damaged)
