"""Random sequences of what a person and a machine do to a session, for property tests over a ``Rig``."""

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
    edge_refinement=st.booleans(),
    overlap=st.sampled_from(["independent", "exclusive"]),
    auto_hide=st.booleans(),
)
TEXTS = st.sampled_from([*COLOURS, *COLOURS, "nothing like it", " "])
ROLES = st.sampled_from(["positive", "positive", "positive", "negative", "contrast"])
PLACE = st.integers(0, 2)
SPOILT = st.sampled_from([np.nan, np.inf, -np.inf])

RETYPE = st.tuples(st.just("retype"), PLACE, TEXTS, st.sampled_from(["fast", "slow", "late"]))
STEP = st.one_of(
    st.tuples(st.just("predict"), st.integers(1, 3)),
    st.tuples(st.just("frame")),
    st.tuples(st.just("take")),
    st.tuples(st.just("answer")),
    st.tuples(st.just("spoil"), SPOILT),
    RETYPE,
    st.tuples(st.just("paste"), PLACE, TEXTS),
    st.tuples(st.just("paste overtaken"), PLACE, TEXTS),
    st.tuples(st.just("add"), TEXTS, ROLES),
    st.tuples(st.just("delete"), PLACE),
    st.tuples(st.just("move"), PLACE),
    st.tuples(st.just("role"), PLACE, ROLES),
    st.tuples(st.just("threshold"), PLACE, st.sampled_from([0.2, 0.5, 0.9])),
    st.tuples(st.just("visible"), PLACE),
    st.tuples(st.just("solo"), PLACE),
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
"""Whole sequences; in each a prompt is retyped, and at the end something is hidden."""


def row(number: int, text: str, **style: object) -> PromptRow:
    return PromptRow(id=number, text=text, style=PromptStyle(colour=GREEN, **style))  # type: ignore[arg-type]


def starting(*texts: str, effects: tuple[AnyEffect, ...] = (BlackOut(),), **values: object) -> LiveSettings:
    rows = tuple(row(number, text) for number, text in enumerate(texts))
    return LiveSettings(rows=rows, effects=effects, **values)  # type: ignore[arg-type]


def retype(rig: Rig, number: int, text: str, between: Callable[[], None]) -> None:
    """Delete a row's text and type another one, key by key."""
    now = next(each for each in rig.settings.rows if each.id == number).text
    steps = [now[:end] for end in range(len(now) - 1, -1, -1)] + [text[:end] for end in range(1, len(text) + 1)]
    for typed in steps:
        replaced = tuple(
            each.model_copy(update={"text": typed}) if each.id == number else each for each in rig.settings.rows
        )
        rig.apply(rig.settings.model_copy(update={"rows": replaced}))
        between()


def run(rig: Rig, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """Do the steps; the rig checks everything that comes of them."""
    past: list[LiveSettings] = []
    for kind, *values in steps:
        if kind == "predict":
            for _ in range(values[0]):
                rig.predict()
        elif kind in ("frame", "take", "answer", "crash", "recover"):
            getattr(rig, kind)()
        elif kind == "source":
            rig.open()
        elif kind == "wait":
            rig.wait(values[0])
        elif kind == "spoil":
            rig.take()
            rig.answer(lambda maps, value=values[0]: maps.__setitem__((..., 3, 5), value))
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
                ways = {"hide during": rig.apply_during, "paste overtaken": rig.apply_overtaken}
                ways.get(kind, rig.apply)(edited)


def _late(rig: Rig) -> None:
    """Answers come behind frames and prompts."""
    rig.frame()
    rig.take()
    if len(rig.worker.working) == 3:
        rig.answer()


def _edited(settings: LiveSettings, kind: str, values: list) -> LiveSettings | None:  # type: ignore[type-arg]
    """The settings after one edit; None where it cannot be."""
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
    place = values[0] % len(rows)
    one, others = rows[place], (*rows[:place], *rows[place + 1 :])
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
    return settings.model_copy(update={"rows": (*rows[:place], one.model_copy(update=changed), *rows[place + 1 :])})
