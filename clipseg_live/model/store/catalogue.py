"""State of the known models on this machine, from the disk only, never from the network."""

from dataclasses import dataclass
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.settings.base import DEFAULT_MODEL
from clipseg_live.model.store import hub, loading
from clipseg_live.model.store.converted import ConvertedModel, converted_bytes, converted_models
from clipseg_live.model.store.layout import check_weights


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """Known model and its state on disk.

    Attributes:
        name: name of the model.
        aliases: other names.
        summary: description for users.
        default: True for the default model.
        ships: True if it ships with the package.
        path: its folder; None without one.
        bytes: its size on disk; 0 without a folder.
        whole: True if every needed file exists and the weights are not cut short.
        problem: the reason if it is not whole, else None.
        converted_bytes: size of its converted forms in this user's cache.
        download_bytes: approximate size of its download; 0 if it ships with the package.
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
    converted_bytes: int = 0
    download_bytes: int = 0


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Return every known model, in the order of ``KNOWN_MODELS``."""
    return tuple(_entry(model) for model in loading.KNOWN_MODELS.values())


def converted_folders() -> tuple[ConvertedModel, ...]:
    """Return the converted forms of models that are not known by name, such as a folder of the user."""
    return tuple(each for each in converted_models() if each.model not in loading.KNOWN_MODELS)


def _entry(model: loading.KnownModel) -> CatalogueEntry:
    home = _home(model)
    path = home if home.is_dir() else None
    problem: str | None = None
    if path is not None:
        try:
            files = loading.find_model_files(model.name, download=False)
            path = files.folder
            check_weights(files.shards, loading.remedy(model))
        except (ClipsegLiveError, OSError) as error:
            problem = str(error)
            if model.repository is not None and not any(home.glob("snapshots/*/*model*.[sb]*")):
                problem = "Its weights are not downloaded; the next use downloads them."
    return CatalogueEntry(
        name=model.name,
        aliases=model.aliases,
        summary=model.summary,
        default=model.name == DEFAULT_MODEL,
        ships=model.repository is None,
        path=path,
        bytes=hub.folder_bytes(home) if path is not None else 0,
        whole=path is not None and problem is None,
        problem=problem,
        converted_bytes=converted_bytes(model.name),
        download_bytes=model.download_bytes,
    )


def _home(model: loading.KnownModel) -> Path:
    """Return the folder of all files of a model: in the hub's cache, or in this package."""
    if model.repository is None:
        return loading.built_in_folder(model)
    return hub.repository_folder(model.repository)
