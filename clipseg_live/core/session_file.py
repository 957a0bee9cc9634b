"""Session files: the settings of a live session as JSON, for the window, for the export and for people to keep."""

import json
import os
import secrets
from pathlib import Path

from pydantic import ValidationError

from clipseg_live.core.errors import Failure
from clipseg_live.core.live import LiveSettings

FORMAT = "clipseg-live session"
SUFFIX = ".clipseg.json"
_VERSION = 1
_LARGEST = 256 << 20


def save_session(path: Path, settings: LiveSettings) -> None:
    """Write the settings beside ``path`` and move them there. Raises Failure."""
    content = {"format": FORMAT, "version": _VERSION, "settings": settings.model_dump(mode="json")}
    partial = path.with_name(f".{path.name[:80]}.partial-{secrets.token_hex(4)}")
    try:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise Failure(f"The session could not be saved to {path}: {error.strerror or error}.") from error


def load_session(path: Path) -> LiveSettings:
    """Read settings that ``save_session`` wrote. Raises Failure, in one sentence, for anything else."""
    try:
        if path.stat().st_size > _LARGEST:
            raise Failure(f"{path} is too large to be a session file.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Failure(f"There is no session file {path}.") from error
    except OSError as error:
        raise Failure(f"The session file {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise Failure(f"{path} is not a session file: it does not hold JSON.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Failure(f"{path} is not a session file of clipseg-live.")
    if content.get("version") != _VERSION:
        raise Failure(f"{path} was saved by a newer clipseg-live: update this one to open it.")
    try:
        return LiveSettings.model_validate_json(json.dumps(content.get("settings")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        reason = str(first["msg"]).lower()
        raise Failure(f"The session file {path} holds a value that cannot be: {where}, {reason}.") from error
