"""Files of data sets: images by name, lists, and checked JSON and YAML."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from clipseg_live.core.errors import SourceError
from clipseg_live.core.system.paths import check_input
from clipseg_live.media.images.reader import IMAGE_SUFFIXES

logger = logging.getLogger(__name__)

_Value = TypeVar("_Value")


class Described(BaseModel):
    """Base of the parts of a file that are read; other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Translate errors of the system into SourceError with the path."""
    try:
        check_input(path)
        yield
    except (OSError, UnicodeError) as error:
        logger.warning("A file of a data set cannot be read", exc_info=True)
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SourceError(f"{path} cannot be read: {reason}.") from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty.

    Raises:
        SourceError: The file cannot be read.
    """
    with reading(path):
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def read_checked(path: Path, kind: type[_Value], name: str) -> _Value:
    """Return the content of a JSON or YAML file.

    Args:
        path: The file.
        kind: Type of its content, which pydantic checks.
        name: Name of the format, for errors.

    Raises:
        SourceError: The file cannot be read, or its content has another form.
    """
    with reading(path):
        data = path.read_bytes()
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            return TypeAdapter(kind).validate_python(_parse_yaml(data))
        return TypeAdapter(kind).validate_python(json.loads(data))
    except ValidationError as error:
        logger.warning("%s has another form", path, exc_info=True)
        first = error.errors(include_url=False, include_input=False)[0]
        place = " → ".join(str(part) for part in first["loc"])
        raise SourceError(f"{path} is not {name}: {place + ': ' if place else ''}{first['msg']}.") from error
    except (ValueError, RecursionError) as error:  # JSON and Unicode errors are ValueErrors
        logger.warning("%s cannot be parsed", path, exc_info=True)
        raise SourceError(f"{path} is not {name}: it is damaged or truncated.") from error


def _parse_yaml(data: bytes) -> Any:
    import yaml

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError("YAML") from error


def images_by_stem(folder: Path) -> Mapping[str, Path]:
    """Return the images of a folder by their name without suffix, in the order of their names.

    Raises:
        SourceError: The folder cannot be read or has no image, or two images have the same name.
    """
    with reading(folder):
        entries = sorted(folder.iterdir())
    found: dict[str, Path] = {}
    for entry in entries:
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file():
            if entry.stem in found:
                raise SourceError(
                    f"{found[entry.stem].name} and {entry.name} in {folder} share the name of a mask: rename one."
                )
            found[entry.stem] = entry
    if not found:
        raise SourceError(f"There is no image in {folder}.")
    return found


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, in the order of their names.

    Raises:
        SourceError: The folder cannot be read.
    """
    with reading(folder):
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def find_image(name: str, folders: "tuple[Path, ...]", owner: Path) -> Path:
    """Return the image of a name that a data set lists, from the first folder that has it.

    Args:
        name: Name of the file, which may have folders.
        folders: Folders to search.
        owner: File that lists the image, for errors.

    Raises:
        SourceError: No folder has it.
    """
    relative = Path(name)
    if not relative.name or relative.is_absolute() or ".." in relative.parts:
        raise SourceError(f"{owner} lists an image outside its folder: {name!r}.")
    for folder in folders:
        for candidate in (folder / relative, folder / relative.name):
            if candidate.is_file():
                return candidate
    places = ", ".join(str(folder) for folder in folders)
    raise SourceError(f"{owner} lists the image {name}, which is not in {places}: name its folder with --images.")
