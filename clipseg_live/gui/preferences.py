"""What comes back at the next start: settings, sources, the window's place. Kept as JSON in the user's own folder."""

import base64
import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clipseg_live.core.live import LiveSettings, SourceSpec

MOST_RECENT = 12


class Preferences(BaseModel):
    """recent: sources, newest first; the first of them is opened at the next start. geometry: of the window, base 64."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    settings: LiveSettings = Field(default_factory=LiveSettings)
    recent: tuple[SourceSpec, ...] = ()
    geometry: str = ""
    panel: bool = True
    folder: str = ""

    def with_source(self, spec: SourceSpec) -> "Preferences":
        """With this source as the newest."""
        others = tuple(each for each in self.recent if each.name != spec.name)
        return self.model_copy(update={"recent": (spec, *others)[:MOST_RECENT]})


def folder() -> Path:
    """Where preferences and the history of prompts are kept."""
    from platformdirs import user_config_path

    chosen = os.environ.get("CLIPSEG_LIVE_CONFIG")
    return Path(chosen) if chosen else user_config_path("clipseg-live", appauthor=False)


def load(path: Path) -> tuple[Preferences, str]:
    """The preferences, and a sentence for the person where the file was no good (it is set aside then)."""
    try:
        return Preferences.model_validate_json(path.read_bytes()), ""
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, ValidationError, ValueError):
        aside = path.with_name(path.name + ".broken")
        try:
            path.replace(aside)
        except OSError:
            return Preferences(), f"The settings in {path} cannot be read, so the window begins with its defaults."
        return Preferences(), f"The settings were damaged, so the window begins with its defaults; they are in {aside}."


def save(path: Path, preferences: Preferences) -> str:
    """Write them beside ``path`` and move them there; a sentence for the person where that failed."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(preferences.model_dump(mode="json"), ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        return f"The settings could not be saved to {path}: {error.strerror or error}."
    return ""


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
