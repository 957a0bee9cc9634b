"""Access to model repositories of the Hugging Face hub: look in the cache, download, verify and remove."""

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clipseg_live.core.errors import ClipsegLiveError, ModelError
from clipseg_live.model.store.hub_errors import explain
from clipseg_live.model.store.layout import WEIGHTS, missing_file, read_index, small_files, weights_of

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0
"""Seconds to wait for the list of a repository's files."""


def cache_folder() -> Path:
    """Return the folder of the hub's cache. The variables HF_HOME and HF_HUB_CACHE move it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repository_folder(repository: str) -> Path:
    """Return the folder in the hub's cache that belongs to a repository."""
    from huggingface_hub.file_download import repo_folder_name

    return cache_folder() / repo_folder_name(repo_id=repository, repo_type="model")


def cached_folder(repository: str) -> Path | None:
    """Return the folder of the newest downloaded revision, which may be incomplete; None if there is none."""
    from huggingface_hub import constants, try_to_load_from_cache

    try:
        path = try_to_load_from_cache(repository, "config.json", cache_dir=constants.HF_HUB_CACHE)
    except (OSError, ValueError):  # a damaged reference, or a folder without permission
        logger.warning("The hub's cache of %s cannot be read", repository, exc_info=True)
        return None
    return Path(path).parent if isinstance(path, str) else None


def download(repository: str, on_progress: Callable[[str], None] | None = None, *, force: bool = False) -> Path:
    """Download the files of a model that are needed and not in the cache yet.

    Args:
        repository: owner and name on the hub.
        on_progress: receives the progress as text; without it, a terminal shows a bar.
        force: download all files again.

    Returns:
        The folder with the files.

    Raises:
        ModelError: if the download fails; the message has the cause and the remedy.
    """
    from huggingface_hub import constants, snapshot_download

    with _explained(repository):
        names = _needed(repository, _repository_info(repository), force)
        folder = snapshot_download(
            repository,
            cache_dir=constants.HF_HUB_CACHE,
            allow_patterns=[escape(name) for name in names],
            force_download=force,
            tqdm_class=_progress_bar(on_progress),
        )
    return Path(folder)


def repair(repository: str, folder: Path) -> tuple[str, ...]:
    """Compare downloaded files with the hub's checksums and download those that differ again.

    Returns:
        The names of the files that were downloaded again.

    Raises:
        ModelError: if the hub cannot be reached, or a file differs even after it was downloaded again.
    """
    damaged = _damaged(repository, folder)
    if damaged:
        logger.warning("Damaged files of %s: %s", repository, ", ".join(damaged))
        with _explained(repository):
            for name in damaged:
                _discard(folder / name)
        download(repository)
        still = _damaged(repository, folder)
        if still:
            raise ModelError(
                f"The file {still[0]} of {repository} arrives damaged: check the proxy or mirror (HF_ENDPOINT), "
                "then download the model again."
            )
    return damaged


def delete_repository(repository: str) -> None:
    """Delete a repository from the hub's cache, with all its revisions.

    Raises:
        ModelError: if the files cannot be deleted.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    home = repository_folder(repository)
    try:
        cache = scan_cache_dir(cache_folder())
        for cached in cache.repos:
            if cached.repo_id == repository and cached.repo_type == "model":
                alone = replace(cache, repos=frozenset({cached}))  # copies of a repository have the same revisions
                alone.delete_revisions(*(revision.commit_hash for revision in cached.revisions)).execute()
        if home.exists():  # an interrupted first download, or a damaged folder, which the scan leaves out
            shutil.rmtree(home)
    except CacheNotFound:
        logger.debug("There is no hub cache", exc_info=True)
    except OSError as error:
        logger.warning("%s cannot be deleted", repository, exc_info=True)
        raise ModelError(
            f"The model in {home} cannot be deleted ({error.strerror or type(error).__name__}): close programs that "
            "use it and check the permissions of the folder."
        ) from error
    if home.exists():
        raise ModelError(f"The model in {home} cannot be deleted: check the permissions of the folder.")


def folder_bytes(folder: Path) -> int:
    """Return the total size of all files below a folder.

    Links are not followed, because the cache would count files twice.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # deleted since it was listed
                continue
    return total


def _repository_info(repository: str, revision: str | None = None) -> "ModelInfo":
    from huggingface_hub import HfApi

    return HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT, files_metadata=revision is not None)


def _needed(repository: str, info: "ModelInfo", force: bool) -> list[str]:
    """Return the names of the files to download: the best weights of the repository, and the small files."""
    from huggingface_hub import constants, hf_hub_download

    published = {sibling.rfilename for sibling in info.siblings or ()}
    weights = weights_of(published)
    if weights is None:
        raise ModelError(f"{repository} has no weights that can be read safely ({', '.join(WEIGHTS)}).")
    missing = missing_file(published)
    if missing is not None:
        raise ModelError(f"{repository} is not a complete model because it has no {missing}: choose another model.")
    names = [*small_files(published), weights]
    if weights.endswith(".index.json"):
        index = hf_hub_download(repository, weights, cache_dir=constants.HF_HUB_CACHE, force_download=force)
        remedy = "choose another model, or fetch this one with --force"
        shards = sorted(set(read_index(Path(index), remedy).values()))
        absent = [shard for shard in shards if shard not in published]
        if absent:
            raise ModelError(
                f"{repository} is not a complete model because it has no {absent[0]}, which {weights} lists: {remedy}."
            )
        names += shards
    return names


def _damaged(repository: str, folder: Path) -> tuple[str, ...]:
    """Return the names of the files whose size or checksum differs from the hub's."""
    with _explained(repository):
        info = _repository_info(repository, revision=folder.name)
        siblings = [sibling for sibling in info.siblings or () if (folder / sibling.rfilename).exists()]
        return tuple(sibling.rfilename for sibling in siblings if not _matches(folder / sibling.rfilename, sibling))


def _matches(path: Path, sibling: "RepoSibling") -> bool:
    size = path.stat().st_size
    if sibling.size is not None and size != sibling.size:
        return False
    if sibling.lfs is not None:
        return _digest(path, hashlib.sha256()) == sibling.lfs.sha256
    if sibling.blob_id is not None:  # small files are stored in Git, under Git's own checksum
        start = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        return _digest(path, start) == sibling.blob_id
    return True


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return str(digest.hexdigest())


def _discard(path: Path) -> None:
    """Delete a file of the cache and the blob that it links to."""
    target = path.resolve()
    path.unlink()
    if target.is_relative_to(cache_folder().resolve()):
        target.unlink(missing_ok=True)


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn the errors of the hub's client, its transport and the disk into one sentence."""
    try:
        yield
    except ClipsegLiveError:
        raise
    except Exception as error:  # anything unknown still ends in one sentence
        logger.warning("The model %s cannot be downloaded", repository, exc_info=True)
        raise explain(error, repository) from error


def _progress_bar(on_progress: Callable[[str], None] | None) -> type:
    """Return a class of progress bars: silent without a terminal, or as text for a callback."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if on_progress is not None or not sys.stderr.isatty():
                options["disable"] = True
            cast(Any, super()).__init__(*arguments, **options)
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
