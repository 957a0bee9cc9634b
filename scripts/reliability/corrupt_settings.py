"""Give thousands of damaged session files and settings to their readers, and print a table.

    python scripts/reliability/corrupt_settings.py [--count 5000] [--seed 1]

Valid files are damaged as bytes (``mutations.py``) and as JSON: values of another type, extreme and invalid numbers,
lone surrogates, deep nesting, missing, repeated and unknown keys, images that unpack to more than they declare. A
session must be read or refused with one sentence. Settings must be read, or moved aside with one sentence. Neither may
take longer than SECONDS or fill the memory. What is read must be valid, and the same after it is saved and read again.
"""

import argparse
import base64
import copy
import json
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SECONDS = 5.0
"""Limit of the processor time for one file."""
_BOMB = 64 << 20

Damage = tuple[str, bytes]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    counts, failures = run(options.count, options.seed)
    total = sum(counts.values())
    print(f"{total} damaged files, seed {options.seed}, {time.monotonic() - began:.0f} s: {len(failures)} failures.\n")
    outcomes = ("read", "refused", "failed")
    print(f"| file | damage | {' | '.join(outcomes)} |\n|---|---|{'--:|' * len(outcomes)}")
    for kind, damage in sorted({key[:2] for key in counts}):
        print(f"| {kind} | {damage} | {' | '.join(str(counts[kind, damage, outcome]) for outcome in outcomes)} |")
    for failure in failures[:20]:
        print(f"\n{failure}")
    return int(bool(failures))


def run(count: int, seed: int) -> tuple[Counter[tuple[str, str, str]], list[str]]:
    """Count the outcomes by kind of file, kind of damage and outcome, and describe the failures."""
    counts: Counter[tuple[str, str, str]] = Counter()
    failures: list[str] = []
    readers: dict[str, Callable[[Path], str]] = {"session": read_session, "settings": read_settings}
    with tempfile.TemporaryDirectory() as name:
        valid = valid_files(Path(name))
        for number in range(count):
            kind = ("session", "settings")[number % 2]
            damage, data = damaged(valid[kind], Random(f"{seed}/{number}"))
            path = Path(name) / f"{kind}.json"
            path.write_bytes(data)
            began = time.process_time()
            try:
                outcome = readers[kind](path)
            except BaseException as error:
                outcome = "failed"
                failures.append(f"number {number}, {kind}, {damage}: {type(error).__name__}: {str(error)[:300]}")
            if (took := time.process_time() - began) > SECONDS:
                outcome = "failed"
                failures.append(f"number {number}, {kind}, {damage}: it took {took:.1f} s")
            counts[kind, damage, outcome] += 1
    return counts, failures


def read_session(path: Path) -> str:
    """Read a session and save it again. Return "read" or "refused".

    Raises:
        AssertionError: If the result is wrong.
        Exception: Any error that is not the reader's own one.
    """
    from clipseg_live.core.errors import ClipsegLiveError
    from clipseg_live.core.session_file import load_session, open_session, save_session
    from clipseg_live.core.settings import external_references
    from clipseg_live.core.settings.live import LiveSettings

    try:
        opened = open_session(path)
    except ClipsegLiveError as error:
        assert "\n" not in str(error), f"not one sentence: {error!r}"  # noqa: PT017 it is raised again
        return "refused"
    for each in (opened.settings, opened.within):
        assert LiveSettings.model_validate(each.model_dump()) == each, "invalid settings were read"
        for row in each.shown():
            _ = row.prompt
    again = path.with_name("again.json")
    save_session(again, opened.settings)
    engine = external_references.portable(
        opened.settings, path.parent
    ).engine  # a model's folder is saved from the root
    wanted = opened.settings.model_copy(update={"engine": engine})
    assert load_session(again, trusted=True) == wanted, "the saved file differs"
    return "read"


def read_settings(path: Path) -> str:
    """Read the settings of the window and save them again. Return "read" or "refused"."""
    from clipseg_live.gui.state import preferences

    loaded, message = preferences.load_preferences(path)
    aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
    if message:
        assert "\n" not in message and aside.is_file() and not path.exists(), "the damaged file was not moved aside"
        aside.unlink()
        return "refused"
    assert preferences.save_preferences(path, loaded) == ""
    assert preferences.load_preferences(path) == (loaded, ""), "the saved file differs"
    return "read"


def valid_files(folder: Path) -> dict[str, bytes]:
    """Return a valid file of each kind, with as many fields as possible."""
    from clipseg_live.core.session_file import save_session
    from clipseg_live.core.settings.effects import KINDS, CutOut
    from clipseg_live.core.settings.external_references import ExternalReference
    from clipseg_live.core.settings.live import FrameTransform, LiveSettings, PromptImage, PromptRow, SourceSpec
    from clipseg_live.gui.state import preferences

    image = PromptImage.of(np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3))
    rows = (
        PromptRow(id=0, text="a red mug"),
        PromptRow(id=1, image=image),
        PromptRow(id=5, text="x", image=image),
    )
    effects = (
        *[kind() for kind in KINDS.values() if kind is not CutOut][:14],
        CutOut(backdrop="image", file=folder / "x.png"),
    )
    settings = LiveSettings(rows=rows, effects=effects, framing=FrameTransform(crop=(0.1, 0.2, 0.5, 0.5), turn=90))
    save_session(folder / "good.json", settings)
    saved = preferences.Preferences(
        settings=settings,
        geometry="AAAA",
        panels="AAAA",
        folder=str(folder),
        allowed=(ExternalReference("model", "x"),),
        recent=(SourceSpec(name="camera:0", width=640, height=480, controls=(("gain", 3.0),)),),
    )
    assert preferences.save_preferences(folder / "valid.json", saved) == ""
    return {"session": (folder / "good.json").read_bytes(), "settings": (folder / "valid.json").read_bytes()}


def damaged(data: bytes, random: Random) -> Damage:
    """Return the kind of damage and the damaged file."""
    from scripts.reliability.mutations import mutate

    if random.random() < 0.3:
        return "bytes", mutate(data, random)[1]
    content = json.loads(data)
    name = random.choice(list(_DAMAGES))
    for _ in range(random.choice((1, 1, 2, 4))):
        _DAMAGES[name](content, random)
    text = json.dumps(content)
    if name == "text of JSON":
        text = _text(text, random)
    return name, text.encode("utf-8", "surrogatepass")


def _items(content: Any) -> list[tuple[Any, Any]]:
    """Return every item of a JSON value, as its container and key."""
    items: list[tuple[Any, Any]] = []
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        items.append((content, key))
        items.extend(_items(content[key]))
    return items


def _replaced(values: Callable[[Random], Any]) -> Callable[[Any, Random], None]:
    def damage(content: Any, random: Random) -> None:
        if items := _items(content):
            container, key = random.choice(items)
            container[key] = values(random)

    return damage


def _numbers(content: Any, random: Random) -> None:
    items = [(box, key) for box, key in _items(content) if isinstance(box[key], int | float)]
    if items:
        container, key = random.choice(items)
        container[key] = random.choice(
            (-1, 0, 1, 1e308, -1e308, 1e-320, 10**30, -(10**400), 2**63, float("nan"), float("inf"), 0.5, True)
        )


def _texts(content: Any, random: Random) -> None:
    items = [(box, key) for box, key in _items(content) if isinstance(box[key], str)]
    if items:
        container, key = random.choice(items)
        container[key] = random.choice(
            ("", "\ud800", "\udfff\ud800", "\0", "x" * 100_000, "../" * 99, "\u202e", "AAAA", "{}", "nan", "a\nb")
        )


def _nested(random: Random) -> Any:
    value: Any = 0
    for _ in range(random.choice((3, 40, 150))):
        value = [value] if random.randrange(2) else {"rows": value}
    return value


def _lost(content: Any, random: Random) -> None:
    if items := _items(content):
        container, key = random.choice(items)
        del container[key]


def _added(content: Any, random: Random) -> None:
    boxes = [
        content,
        *(container[key] for container, key in _items(content) if isinstance(container[key], dict | list)),
    ]
    container = random.choice(boxes)
    if isinstance(container, dict):
        container[random.choice(("__class__", "kind", "file", "x", "", "settings", "model"))] = random.choice(
            (None, 1, "x", [])
        )
    elif container:
        container.extend(copy.deepcopy(random.choice(container)) for _ in range(random.choice((1, 40))))


def _bomb(content: Any, random: Random) -> None:
    images = [box[key] for box, key in _items(content) if key == "image" and isinstance(box[key], dict)]
    if images:
        image = random.choice(images)
        image["data"] = _packed_bomb()
        if random.randrange(2):
            image["width"] = image["height"] = random.choice((1, 4096, 4097, 10**9))


def _packed_bomb(cache: list[str] = []) -> str:  # noqa: B006 made once
    if not cache:
        cache.append(base64.b64encode(zlib.compress(bytes(_BOMB), 9)).decode())
    return cache[0]


def _text(text: str, random: Random) -> str:
    """Return damaged text. This damage cannot be expressed as a JSON value."""
    kind = random.randrange(5)
    at = random.randrange(len(text))
    if kind == 0:
        depth = random.choice((1000, 100_000))
        return text[:at] + "[" * depth + text[at:]
    if kind == 1:
        return text.replace(": ", ": " + "9" * random.choice((50, 5000, 100_000)), 1)
    if kind == 2:
        return text[:at] + random.choice(('"', "}", "]", ",", "\\", "\\ud800", "NaN", "Infinity", "\ufeff")) + text[at:]
    if kind == 3:
        return '{"settings": 1, ' + text[1:]
    return text * 2


_DAMAGES: dict[str, Callable[[Any, Random], None]] = {
    "other type": _replaced(
        lambda random: random.choice((None, True, 0, -1, 1.5, "", "x", [], {}, [[]], [None] * 50, {"kind": "tint"}))
    ),
    "number": _numbers,
    "text": _texts,
    "nesting": _replaced(_nested),
    "missing": _lost,
    "added": _added,
    "image that unpacks to more": _bomb,
    "text of JSON": lambda content, random: None,
}


if __name__ == "__main__":
    sys.exit(main())
