"""Random sequences of user actions and events of a session, for property tests with a ``Rig``."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.effects import (
    AnyEffect,
    BlackOut,
    CutOut,
    Invert,
    MatteView,
    Outline,
    Pixelate,
    SideBySide,
    Spotlight,
    Tint,
    Wipe,
)
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.settings.presets import PRESETS, with_preset
from clipseg_live.core.settings.rendering import MatteSettings
from tests.helpers.privacy_rig import COLOURS, Rig

GREEN = (0, 255, 0)
HIDING: tuple[AnyEffect, ...] = (BlackOut(), Pixelate(cell=20.0), BlackOut(grow=0.0))
OTHERS: tuple[AnyEffect, ...] = (
    Tint(), Outline(), Wipe(at=0.7), SideBySide(), Invert(), CutOut(), Spotlight(), MatteView(),
)  # fmt: skip
EFFECTS = st.lists(st.sampled_from((*HIDING, *HIDING, *OTHERS)), max_size=3).map(tuple)
MATTES = st.builds(
    MatteSettings,
    smoothing=st.sampled_from([0.0, 0.5, 1.0]),
    motion_tracking=st.booleans(),
    edges=st.sampled_from(["off", "fast", "best"]),
    overlap=st.sampled_from(["independent", "exclusive"]),
    auto_hide=st.booleans(),
)
TEXTS = st.sampled_from([*COLOURS, *COLOURS, "nothing like it", " "])
ROLES = st.sampled_from(["positive", "positive", "positive", "negative", "contrast"])
ROW_NUMBER = st.integers(0, 2)
INVALID_VALUE = st.sampled_from([np.nan, np.inf, -np.inf])

RETYPE = st.tuples(st.just("retype"), ROW_NUMBER, TEXTS, st.sampled_from(["fast", "slow", "late"]))
STEP = st.one_of(
    st.tuples(st.just("predict"), st.integers(1, 3)),
    st.tuples(st.just("frame")),
    st.tuples(st.just("take")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("spoil"), INVALID_VALUE),
    RETYPE,
    st.tuples(st.just("paste"), ROW_NUMBER, TEXTS),
    st.tuples(st.just("paste overtaken"), ROW_NUMBER, TEXTS),
    st.tuples(st.just("add"), TEXTS, ROLES),
    st.tuples(st.just("delete"), ROW_NUMBER),
    st.tuples(st.just("move"), ROW_NUMBER),
    st.tuples(st.just("role"), ROW_NUMBER, ROLES),
    st.tuples(st.just("threshold"), ROW_NUMBER, st.sampled_from([0.2, 0.5, 0.9])),
    st.tuples(st.just("visible"), ROW_NUMBER),
    st.tuples(st.just("solo"), ROW_NUMBER),
    st.tuples(st.just("effects"), EFFECTS),
    st.tuples(st.just("hide"), st.sampled_from(HIDING)),
    st.tuples(st.just("hide during"), st.sampled_from(HIDING)),
    st.tuples(st.just("preset"), st.sampled_from(sorted(set(PRESETS) - {"inspect"}))),
    st.tuples(st.just("mattes"), MATTES),
    st.tuples(st.just("undo")),
    st.tuples(st.just("source")),
    st.tuples(st.just("model"), st.sampled_from(["shapes", "other"])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("recover")),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 2.0, 6.0])),
)
STEPS = st.tuples(
    st.just([("predict", 2)]), st.lists(STEP, max_size=10), RETYPE.map(lambda step: [step]), st.lists(STEP, max_size=8),
    st.just([("hide", BlackOut()), ("predict", 2)]),
).map(lambda parts: [step for part in parts for step in part])  # fmt: skip
"""Complete sequences. In each, a prompt is retyped, and a privacy effect is added at the end."""


def row(number: int, text: str, **style: object) -> PromptRow:
    return PromptRow(id=number, text=text, style=PromptStyle(colour=GREEN, **style))  # type: ignore[arg-type]


def settings_with_texts(*texts: str, effects: tuple[AnyEffect, ...] = (BlackOut(),), **values: object) -> LiveSettings:
    rows = tuple(row(number, text) for number, text in enumerate(texts))
    return LiveSettings(rows=rows, effects=effects, **values)  # type: ignore[arg-type]


def retype(rig: Rig, number: int, text: str, between: Callable[[], None]) -> None:
    """Delete the text of a row and type another one, key by key."""
    now = next(each for each in rig.settings.rows if each.id == number).text
    steps = [now[:end] for end in range(len(now) - 1, -1, -1)] + [text[:end] for end in range(1, len(text) + 1)]
    for typed in steps:
        replaced = tuple(
            each.model_copy(update={"text": typed}) if each.id == number else each for each in rig.settings.rows
        )
        rig.apply(rig.settings.model_copy(update={"rows": replaced}))
        between()


def run(rig: Rig, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """Run the steps. The rig checks the results."""
    past: list[LiveSettings] = []
    for kind, *values in steps:
        if kind == "predict":
            for _ in range(values[0]):
                rig.predict()
        elif kind in ("frame", "take", "deliver", "crash", "recover"):
            getattr(rig, kind)()
        elif kind == "source":
            rig.open()
        elif kind == "wait":
            rig.wait(values[0])
        elif kind == "spoil":
            rig.take()
            rig.deliver(lambda maps, value=values[0]: maps.__setitem__((..., 3, 5), value))
        elif kind == "retype" and rig.settings.rows:
            past.append(rig.settings)
            between = {"fast": lambda: None, "slow": rig.predict, "late": lambda: _late(rig)}[values[2]]
            retype(rig, rig.settings.rows[values[0] % len(rig.settings.rows)].id, values[1], between)
        elif kind == "undo":
            if past:
                rig.apply(past.pop())
        else:
            edited = _edited(rig.settings, kind, values)
            if edited is not None:
                past.append(rig.settings)
                apply_functions = {"hide during": rig.apply_during, "paste overtaken": rig.apply_overtaken}
                apply_functions.get(kind, rig.apply)(edited)


def _late(rig: Rig) -> None:
    """Add a frame, and deliver predictions late."""
    rig.frame()
    rig.take()
    if len(rig.worker.working) == 3:
        rig.deliver()


def _edited(settings: LiveSettings, kind: str, values: list) -> LiveSettings | None:  # type: ignore[type-arg]
    """Return the settings after one edit; None if the edit is not possible."""
    rows = settings.rows
    if kind == "effects":
        return settings.model_copy(update={"effects": values[0]})
    if kind in ("hide", "hide during"):
        return settings.model_copy(update={"effects": (*settings.effects[:3], values[0])})
    if kind == "preset":
        return with_preset(settings, values[0])
    if kind == "mattes":
        return settings.model_copy(update={"matte": values[0]})
    if kind == "model":
        return settings.model_copy(update={"engine": EngineSettings(model=values[0])})
    if kind == "add":
        if len(rows) >= 4:
            return None
        new = row(max((each.id for each in rows), default=-1) + 1, values[0], role=values[1])
        return settings.model_copy(update={"rows": (*rows, new)})
    if not rows:
        return None
    index = values[0] % len(rows)
    one, others = rows[index], (*rows[:index], *rows[index + 1 :])
    if kind == "delete":
        return settings.model_copy(update={"rows": others})
    if kind == "move":
        return settings.model_copy(update={"rows": (*others, one)})
    changed = {
        "paste": lambda: {"text": values[1]},
        "paste overtaken": lambda: {"text": values[1]},
        "role": lambda: {"style": one.style.model_copy(update={"role": values[1]})},
        "threshold": lambda: {"style": one.style.model_copy(update={"threshold": values[1]})},
        "visible": lambda: {"visible": not one.visible},
        "solo": lambda: {"solo": not one.solo},
    }[kind]()
    return settings.model_copy(update={"rows": (*rows[:index], one.model_copy(update=changed), *rows[index + 1 :])})
