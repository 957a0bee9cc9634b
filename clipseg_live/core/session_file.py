"""Session files: the settings of a live session as JSON, for the window and the export."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from clipseg_live.core.addresses import redact
from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.settings import external_references
from clipseg_live.core.settings.external_references import ExternalReference
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.system.files import replace_file
from clipseg_live.core.system.paths import check_input, check_replaceable

SESSION_FORMAT = "clipseg-live session"
SESSION_SUFFIX = ".clipseg.json"
_VERSION = 1
_LARGEST = 256 << 20
_LONGEST = 200
"""Maximum length of the text about an invalid value in an error message."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """The content of a session file.

    Attributes:
        settings: All settings, for users who allow the external references.
        within: Settings that may be used without asking.
        outside: External references of the settings; empty if both settings are the same.
    """

    settings: LiveSettings
    within: LiveSettings
    outside: tuple[ExternalReference, ...]


def is_session_name(name: str) -> bool:
    """Return whether the name of a source is that of a session file: a path that ends in .json."""
    return name.lower().endswith(".json") and "://" not in name


def save_session(path: Path, settings: LiveSettings) -> None:
    """Write the settings to a temporary file and move it to ``path``.

    Paths of files in the folder of the session file are saved relative to it.

    Raises:
        Failure: If the file cannot be written.
        UsageError: If ``path`` is a link or a device.
    """
    check_replaceable(path)
    saved = external_references.portable(settings, path.parent).model_dump(mode="json")
    content = {"format": SESSION_FORMAT, "version": _VERSION, "settings": saved}
    try:
        replace_file(path, json.dumps(content, ensure_ascii=False, indent=1))
    except OSError as error:
        raise Failure(f"The session could not be saved to {path}: {error.strerror or error}.") from error


def load_session(path: Path, *, trusted: bool = False) -> LiveSettings:
    """Load the settings that ``save_session`` wrote.

    Args:
        path: Session file.
        trusted: Allow the settings to read files outside the folder of the session file.

    Raises:
        Failure: If the file is not a session file. The message is one sentence.
        UsageError: If the file is not trusted and refers to files or models outside its folder.
    """
    opened = open_session(path)
    if opened.outside and not trusted:
        raise UsageError(
            f"The session {path} uses {list_references(opened.outside)} outside its folder: "
            "if you trust the session, add --trust-session."
        )
    return opened.settings


def open_session(path: Path) -> OpenedSession:
    """Open a session file, and separate the settings that stay in its folder from those that do not.

    Raises:
        Failure: If the file is not a session file. The message is one sentence.
    """
    settings, folder = _read(path), path.parent
    outside = external_references.external_references(settings, folder)
    whole = external_references.resolve_paths(settings, folder)
    return OpenedSession(
        whole,
        external_references.resolve_paths(external_references.sandboxed(settings, folder), folder)
        if outside
        else whole,
        outside,
    )


def references_of(path: Path, settings: LiveSettings) -> tuple[ExternalReference, ...]:
    """Return the external references that a session file at ``path`` with these settings would have."""
    return external_references.external_references(external_references.portable(settings, path.parent), path.parent)


def list_references(found: tuple[ExternalReference, ...]) -> str:
    """Return the names of references as part of a sentence."""
    names = [f"the {each.kind} {redact(each.name)}" for each in found]
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def _read(path: Path) -> LiveSettings:
    check_input(path, Failure)
    try:
        if path.stat().st_size > _LARGEST:
            raise Failure(f"{path} is too large to be a session file.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Failure(f"There is no session file {path}.") from error
    except OSError as error:
        raise Failure(f"The session file {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path} is not a session file: it does not contain JSON.") from error
    if not isinstance(content, dict) or content.get("format") != SESSION_FORMAT:
        raise Failure(f"{path} is not a session file of clipseg-live.")
    if content.get("version") != _VERSION:
        raise Failure(f"{path} was saved by a newer clipseg-live: update this one to open it.")
    try:
        return LiveSettings.model_validate_json(json.dumps(content.get("settings")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        problem = " ".join(f"{where}, {str(first['msg']).lower()}".split())  # may quote long text of the file
        problem = problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST]}…"
        raise Failure(f"The session file {path} contains an invalid value: {problem}.") from error
    except RecursionError as error:
        raise Failure(f"The session file {path} contains an invalid value: its settings.") from error
