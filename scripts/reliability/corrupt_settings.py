"""Give damaged session files and settings to their readers, many thousand of them; print a table.

    python scripts/reliability/corrupt_settings.py [--count 5000] [--seed 1]

Good files are damaged as bytes (``mutations.py``) and as JSON: values of another kind, enormous and impossible numbers,
lone surrogates, deep nesting, keys that are missing, repeated or of no meaning, pictures that unpack to more than they
say. A session must be read or refused in one sentence; settings must be read, or set aside with a sentence. Neither may
take longer than SECONDS or fill the memory; what was read must be valid and come back as it was when it is saved again.
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
"""Of work for one file."""
_BOMB = 64 << 20

Damage = tuple[str, bytes]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    found, failures = run(options.count, options.seed)
    total = sum(found.values())
    print(f"{total} damaged files, seed {options.seed}, {time.monotonic() - began:.0f} s: {len(failures)} failures.\n")
    outcomes = ("read", "refused", "failed")
    print(f"| file | damage | {' | '.join(outcomes)} |\n|---|---|{'--:|' * len(outcomes)}")
    for kind, what in sorted({key[:2] for key in found}):
        print(f"| {kind} | {what} | {' | '.join(str(found[kind, what, outcome]) for outcome in outcomes)} |")
    for failure in failures[:20]:
        print(f"\n{failure}")
    return int(bool(failures))


def run(count: int, seed: int) -> tuple[Counter[tuple[str, str, str]], list[str]]:
    """How often (kind of file, kind of damage, outcome) was seen, and what failed, in words."""
    found: Counter[tuple[str, str, str]] = Counter()
    failures: list[str] = []
    readers: dict[str, Callable[[Path], str]] = {"session": read_session, "settings": read_settings}
    with tempfile.TemporaryDirectory() as name:
        good = good_files(Path(name))
        for number in range(count):
            kind = ("session", "settings")[number % 2]
            what, data = damaged(good[kind], Random(f"{seed}/{number}"))
            path = Path(name) / f"{kind}.json"
            path.write_bytes(data)
            began = time.process_time()
            try:
                outcome = readers[kind](path)
            except BaseException as error:
                outcome = "failed"
                failures.append(f"number {number}, {kind}, {what}: {type(error).__name__}: {str(error)[:300]}")
            if (took := time.process_time() - began) > SECONDS:
                outcome = "failed"
                failures.append(f"number {number}, {kind}, {what}: it took {took:.1f} s")
            found[kind, what, outcome] += 1
    return found, failures


def read_session(path: Path) -> str:
    """Raises whatever is not the reader's own error, and AssertionError where something else is wrong."""
    from clipseg_live.core.errors import ClipsegLiveError
    from clipseg_live.core.session_file import load_session, open_session, save_session
    from clipseg_live.core.settings import external_references
    from clipseg_live.core.settings.live import LiveSettings

    try:
        opened = open_session(path)
    except ClipsegLiveError as error:
        assert "\n" not in str(error), f"more than a sentence: {error!r}"  # noqa: PT017 it is raised again
        return "refused"
    for each in (opened.settings, opened.within):
        assert LiveSettings.model_validate(each.model_dump()) == each, "settings that cannot be were read"
        for row in each.shown():
            _ = row.prompt
    again = path.with_name("again.json")
    save_session(again, opened.settings)
    engine = external_references.portable(
        opened.settings, path.parent
    ).engine  # a model's folder is saved from the root
    wanted = opened.settings.model_copy(update={"engine": engine})
    assert load_session(again, trusted=True) == wanted, "it does not come back"
    return "read"


def read_settings(path: Path) -> str:
    """Read the settings of the window, and return "read" or "refused"."""
    from clipseg_live.gui.state import preferences

    kept, said = preferences.load_preferences(path)
    aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
    if said:
        assert "\n" not in said and aside.is_file() and not path.exists(), "what is damaged was not set aside"
        aside.unlink()
        return "refused"
    assert preferences.save_preferences(path, kept) == ""
    assert preferences.load_preferences(path) == (kept, ""), "it does not come back"
    return "read"


def good_files(folder: Path) -> dict[str, bytes]:
    """One of each kind with everything in it."""
    from clipseg_live.core.session_file import save_session
    from clipseg_live.core.settings.effects import KINDS, CutOut
    from clipseg_live.core.settings.external_references import ExternalReference
    from clipseg_live.core.settings.live import FrameTransform, LiveSettings, PromptImage, PromptRow, SourceSpec
    from clipseg_live.gui.state import preferences

    picture = PromptImage.of(np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3))
    rows = (
        PromptRow(id=0, text="a red mug"),
        PromptRow(id=1, image=picture),
        PromptRow(id=5, text="x", image=picture),
    )
    effects = (
        *[kind() for kind in KINDS.values() if kind is not CutOut][:14],
        CutOut(backdrop="image", file=folder / "x.png"),
    )
    settings = LiveSettings(rows=rows, effects=effects, framing=FrameTransform(crop=(0.1, 0.2, 0.5, 0.5), turn=90))
    save_session(folder / "good.json", settings)
    kept = preferences.Preferences(
        settings=settings,
        geometry="AAAA",
        panels="AAAA",
        folder=str(folder),
        allowed=(ExternalReference("model", "x"),),
        recent=(SourceSpec(name="camera:0", width=640, height=480, controls=(("gain", 3.0),)),),
    )
    assert preferences.save_preferences(folder / "kept.json", kept) == ""
    return {"session": (folder / "good.json").read_bytes(), "settings": (folder / "kept.json").read_bytes()}


def damaged(data: bytes, random: Random) -> Damage:
    """What was done, and the damaged file."""
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


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value, as the container and the key."""
    found: list[tuple[Any, Any]] = []
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        found.append((content, key))
        found.extend(_places(content[key]))
    return found


def _replaced(values: Callable[[Random], Any]) -> Callable[[Any, Random], None]:
    def damage(content: Any, random: Random) -> None:
        if places := _places(content):
            container, key = random.choice(places)
            container[key] = values(random)

    return damage


def _numbers(content: Any, random: Random) -> None:
    places = [(box, key) for box, key in _places(content) if isinstance(box[key], int | float)]
    if places:
        container, key = random.choice(places)
        container[key] = random.choice(
            (-1, 0, 1, 1e308, -1e308, 1e-320, 10**30, -(10**400), 2**63, float("nan"), float("inf"), 0.5, True)
        )


def _texts(content: Any, random: Random) -> None:
    places = [(box, key) for box, key in _places(content) if isinstance(box[key], str)]
    if places:
        container, key = random.choice(places)
        container[key] = random.choice(
            ("", "\ud800", "\udfff\ud800", "\0", "x" * 100_000, "../" * 99, "\u202e", "AAAA", "{}", "nan", "a\nb")
        )


def _nested(random: Random) -> Any:
    value: Any = 0
    for _ in range(random.choice((3, 40, 150))):
        value = [value] if random.randrange(2) else {"rows": value}
    return value


def _lost(content: Any, random: Random) -> None:
    if places := _places(content):
        container, key = random.choice(places)
        del container[key]


def _added(content: Any, random: Random) -> None:
    boxes = [content, *(box[key] for box, key in _places(content) if isinstance(box[key], dict | list))]
    box = random.choice(boxes)
    if isinstance(box, dict):
        box[random.choice(("__class__", "kind", "file", "x", "", "settings", "model"))] = random.choice(
            (None, 1, "x", [])
        )
    elif box:
        box.extend(copy.deepcopy(random.choice(box)) for _ in range(random.choice((1, 40))))


def _bomb(content: Any, random: Random) -> None:
    pictures = [box[key] for box, key in _places(content) if key == "image" and isinstance(box[key], dict)]
    if pictures:
        picture = random.choice(pictures)
        picture["data"] = _packed_bomb()
        if random.randrange(2):
            picture["width"] = picture["height"] = random.choice((1, 4096, 4097, 10**9))


def _packed_bomb(cache: list[str] = []) -> str:  # noqa: B006 made once
    if not cache:
        cache.append(base64.b64encode(zlib.compress(bytes(_BOMB), 9)).decode())
    return cache[0]


def _text(text: str, random: Random) -> str:
    """Damage that only shows in the text."""
    how = random.randrange(5)
    at = random.randrange(len(text))
    if how == 0:
        depth = random.choice((1000, 100_000))
        return text[:at] + "[" * depth + text[at:]
    if how == 1:
        return text.replace(": ", ": " + "9" * random.choice((50, 5000, 100_000)), 1)
    if how == 2:
        return text[:at] + random.choice(('"', "}", "]", ",", "\\", "\\ud800", "NaN", "Infinity", "\ufeff")) + text[at:]
    if how == 3:
        return '{"settings": 1, ' + text[1:]
    return text * 2


_DAMAGES: dict[str, Callable[[Any, Random], None]] = {
    "another kind of value": _replaced(
        lambda random: random.choice((None, True, 0, -1, 1.5, "", "x", [], {}, [[]], [None] * 50, {"kind": "tint"}))
    ),
    "number": _numbers,
    "text": _texts,
    "nesting": _replaced(_nested),
    "lost": _lost,
    "added": _added,
    "picture that unpacks to more": _bomb,
    "text of JSON": lambda content, random: None,
}


if __name__ == "__main__":
    sys.exit(main())
