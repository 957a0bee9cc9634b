"""Cache of models that were converted for another library than PyTorch: one folder for each, complete or absent.

A folder is written under another name and renamed. Its name is a digest of everything that decides its content. Its
manifest lists the files with their sizes and checksums, so that a folder that is incomplete or damaged is noticed and
written again. Files that were not written since the last look, by their times, are not read for that.
"""

import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipseg_live.core.system.files import replace_file
from clipseg_live.model.store.layout import ModelFiles

logger = logging.getLogger(__name__)

LARGEST_CACHE = 4 * 10**9
"""Size of the whole cache; the models that were not used for longest are removed."""

_MANIFEST = "manifest.json"
_DIGESTS = "digests.json"
_UNFINISHED = ".unfinished-"
_STALE_SECONDS = 24 * 3600.0
_MOST_DIGESTS = 64


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """A converted model in the cache.

    Attributes:
        model: name of the model, or its whole path if it is a folder of the user.
        folder: its folder.
        bytes: its size on disk.
        used: time of its last use in seconds since the epoch.
    """

    model: str
    folder: Path
    bytes: int
    used: float


def cache_root() -> Path:
    """Return the folder of all converted models of this user."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("clipseg-live", appauthor=False)) / "converted"


def cache_key(files: ModelFiles, versions: Sequence[str]) -> str:
    """Return the name of the folder for a model: a digest of its files and of the versions that convert it."""
    digest = hashlib.sha256("\n".join((*versions, _weights_digest(files))).encode())
    for path in sorted(files.folder.iterdir()):
        if path.suffix in (".json", ".txt") and path.is_file():
            digest.update(f"\n{path.name}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def find(key: str) -> Path | None:
    """Return the folder of a converted model, or None if it is absent or incomplete. It counts as used now."""
    folder = cache_root() / key
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        recorded = manifest["files"]
        found = {name: _checked(folder / name, **file) for name, file in recorded.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        logger.warning("The converted model %s is damaged", key, exc_info=True)
        return None
    if not found:
        return None
    try:
        if found == recorded:
            os.utime(folder / _MANIFEST)
        else:  # files were copied or touched
            replace_file(folder / _MANIFEST, json.dumps(manifest | {"files": found}))
    except OSError:  # a cache that may only be read
        logger.debug("The use of %s cannot be noted", key, exc_info=True)
    return folder


def store(key: str, files: ModelFiles, write: Callable[[Path], None]) -> Path:
    """Write a converted model and return its folder; a damaged one is replaced. Older ones make room.

    Args:
        key: its name, from ``cache_key``.
        files: files of the model.
        write: writes all files into an empty folder.

    Raises:
        OSError: if the cache cannot be written.
    """
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    unfinished = root / f"{_UNFINISHED}{secrets.token_hex(8)}"
    unfinished.mkdir()
    try:
        write(unfinished)
        recorded = {path.name: _record(path) for path in unfinished.iterdir()}
        manifest = {"model": _lasting_name(files), "files": recorded}
        (unfinished / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        _move(unfinished, root / key, key)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _make_room(keep=key)
    return root / key


def discard(key: str) -> None:
    """Remove a converted model that cannot be used."""
    shutil.rmtree(cache_root() / key, ignore_errors=True)


def converted_models() -> tuple[ConvertedModel, ...]:
    """Return all converted models, the last used first."""
    found = []
    for path in cache_root().glob(f"*/{_MANIFEST}"):
        if path.parent.name.startswith(_UNFINISHED):
            continue
        try:
            model = str(json.loads(path.read_text(encoding="utf-8"))["model"])
            size = sum(each.stat().st_size for each in path.parent.iterdir() if each.is_file())
            found.append(ConvertedModel(model, path.parent, size, path.stat().st_mtime))
        except (OSError, ValueError, KeyError, TypeError):
            logger.warning("The converted model %s cannot be read", path.parent.name, exc_info=True)
    return tuple(sorted(found, key=lambda each: each.used, reverse=True))


def converted_bytes(model: str) -> int:
    """Return the size on disk of the converted forms of a model."""
    return sum(each.bytes for each in converted_models() if each.model == model)


def remove_converted(model: str | None = None) -> tuple[ConvertedModel, ...]:
    """Remove the converted forms of a model, or of all models, and return those that are gone.

    Args:
        model: name of a model, or path of its folder.
    """
    names = None if model is None else (model, _absolute(model))
    wanted = [each for each in converted_models() if names is None or each.model in names]
    for each in wanted:
        shutil.rmtree(each.folder, ignore_errors=True)
    return tuple(each for each in wanted if not each.folder.exists())


def _record(path: Path) -> dict[str, int | str]:
    """Return the size, time and checksum of a file."""
    status = path.stat()
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": status.st_size, "written": status.st_mtime_ns, "sha256": checksum}


def _checked(path: Path, *, size: int, written: int, sha256: str) -> dict[str, int | str]:
    """Return the record of a file that has its recorded content. It is read only if its time is another one.

    Raises:
        ValueError: if its content is another one.
        OSError: if it cannot be read.
    """
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (size, written):
        return {"size": size, "written": written, "sha256": sha256}
    found = _record(path) if status.st_size == size else {}
    if found.get("sha256") != sha256:
        raise ValueError(f"{path.name} has changed")
    return found


def _lasting_name(files: ModelFiles) -> str:
    """Return the name of a model; of a folder the whole path, which means the same from anywhere."""
    whole = _absolute(files.name)
    return whole if whole == str(files.folder.resolve()) else files.name


def _absolute(name: str) -> str:
    try:
        return str(Path(name).expanduser().resolve())
    except (OSError, RuntimeError, ValueError):  # too long, or an unknown user's home
        logger.debug("%s is not a path", name, exc_info=True)
        return name


def _move(unfinished: Path, folder: Path, key: str) -> None:
    """Rename a finished folder. If another process was faster, its folder is used."""
    for _ in range(2):
        try:
            unfinished.rename(folder)
            return
        except OSError:
            if find(key) is not None:
                logger.debug("Another process has converted %s", key, exc_info=True)
                return
            discard(key)
    unfinished.rename(folder)


def _make_room(keep: str) -> None:
    total = 0
    for each in converted_models():
        total += each.bytes
        if total > LARGEST_CACHE and each.folder.name != keep:
            logger.info("The converted model %s makes room", each.folder)
            shutil.rmtree(each.folder, ignore_errors=True)
    for path in cache_root().glob(f"{_UNFINISHED}*"):  # of processes that were killed
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _weights_digest(files: ModelFiles) -> str:
    """Return ``files.digest()``, remembered on disk while the weights stay: reading 600 MB takes seconds."""
    path = cache_root() / _DIGESTS
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        digest = known[files.identity()]
        if isinstance(digest, str):
            return digest
    except FileNotFoundError:
        known = {}
    except KeyError:
        logger.debug("These weights are new")
    except (OSError, ValueError, TypeError):
        logger.warning("The list of digests is damaged", exc_info=True)
        known = {}
    digest = files.digest()
    newest = dict(list(known.items())[-_MOST_DIGESTS:]) | {files.identity(): digest}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(newest))
    except OSError:  # a cache that may only be read
        logger.debug("The digest of the weights cannot be kept", exc_info=True)
    return digest
