"""Generated parts of the documentation site, from the code: settings, presets and the list of decisions."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.base import EngineSettings, MatteShape, PromptStyle
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.presets import PRESETS
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings

DECISIONS = Path(__file__).resolve().parents[1] / "docs" / "decisions"
MODELS: tuple[type[BaseModel], ...] = (
    EngineSettings, PromptStyle, MatteShape, MatteSettings, RenderSettings, ExportSettings, AnnotationSettings,
    LiveSettings, PromptRow, FrameTransform, SourceSpec, RecordingSettings, VirtualCameraSettings,
)  # fmt: skip
"""Settings in the order of the page."""


def settings() -> str:
    """Return a section for each class of settings: its import, its summary, and a table of its fields."""
    return "\n\n".join(_section(model) for model in MODELS)


def presets() -> str:
    """Return a table of the presets: their effects, and what they change of the mask settings."""
    rows = ["| preset | effects | mask settings |", "|---|---|---|"]
    plain = MatteSettings()
    for name, (effects, matte) in PRESETS.items():
        changed = [f"`{field}={value}`" for field, value in matte if value != getattr(plain, field)]
        kinds = " + ".join(f"`{effect.kind}`" for effect in effects)
        rows.append(f"| {name} | {kinds} | {', '.join(changed) or 'the defaults'} |")
    return "\n".join(rows)


def decisions() -> str:
    """Return a list of links to the pages of docs/decisions, in the order of their numbers."""
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    titles = (page.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ") for page in pages)
    return "\n".join(f"- [{title}]({page.name})" for title, page in zip(titles, pages, strict=True))


def _section(model: type[BaseModel]) -> str:
    summary, described = _described(model)
    schema = model.model_json_schema()
    rows = []
    for name, field in model.model_fields.items():
        values = " or ".join(dict.fromkeys(_values(schema["properties"][name], schema.get("$defs", {}))))
        default = "required" if field.is_required() else _default(field.default)
        rows.append(f"| `{name}` | {values} | {default} | {field.description or described[name]} |")
    head = f"## {model.__name__}\n\n`from {model.__module__} import {model.__name__}`\n\n{summary}\n"
    return "\n".join([head, "| field | values | default | meaning |", "|---|---|---|---|", *rows])


def _described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return the summary of a class, and the texts of its attributes by name."""
    summary, _, attributes = inspect.cleandoc(model.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE)
    texts = {name: " ".join(text.split()).replace("``", "`") for name, text in entries}
    return summary.strip().replace("``", "`"), texts


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return f"[{type(value).__name__}](#{type(value).__name__.lower()})" if type(value) in MODELS else "its own"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return " + ".join(f"`{each.kind}`" for each in value)
    return f"`{value!r}`"


def _values(schema: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[str]:
    """Yield the kinds of value that a JSON schema allows."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        known = {model.__name__ for model in MODELS}
        yield f"[{name}](#{name.lower()})" if name in known else name
    elif "anyOf" in schema or "allOf" in schema:
        for each in schema.get("anyOf", schema.get("allOf")):
            yield from _values(each, shared)
    elif "enum" in schema or "const" in schema:
        yield ", ".join(f"`{value!r}`" for value in schema.get("enum", [schema.get("const")]))
    elif schema.get("type") == "array":
        yield _list(schema, shared)
    elif schema.get("type") in ("number", "integer"):
        yield _number(schema)
    else:
        yield {"string": "text", "null": "`None`", "boolean": "`True`, `False`"}.get(schema.get("type", ""), "text")


def _number(schema: Mapping[str, Any]) -> str:
    name = "number" if schema["type"] == "number" else "integer"
    low, high = (schema.get(key, schema.get(f"exclusive{key.capitalize()}")) for key in ("minimum", "maximum"))
    above = f"above {low:,.10g}" if "exclusiveMinimum" in schema else f"from {low:,.10g}" if low is not None else ""
    below = f"below {high:,.10g}" if "exclusiveMaximum" in schema else f"to {high:,.10g}" if high is not None else ""
    return " ".join(part for part in (name, above, below) if part)


def _list(schema: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        items = list(dict.fromkeys(kind for each in schema["prefixItems"] for kind in _values(each, shared)))
        return f"{len(schema['prefixItems'])} values: {', '.join(items)}"
    items = list(dict.fromkeys(_values(schema.get("items", {}), shared)))
    if "discriminator" in schema.get("items", {}):
        return "list of [effects](effects.md)"
    return f"list of {' or '.join(items)}"
