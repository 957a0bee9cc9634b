"""Effects as values, and their notation on the command line."""

import pickle
from pkgutil import resolve_name
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.effects import (
    EFFECT_KINDS,
    KINDS,
    CutOut,
    EffectInfo,
    EffectSettings,
    Outline,
    Tint,
    in_order,
    is_private,
    parse_effects,
)
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.plugins import PluginError
from clipseg_live.core.settings.presets import PRESETS, with_preset
from tests.helpers.names import modules_with

OTHER_MEANINGS = {
    "matte": {"core/settings/live.py", "core/settings/presets.py"},  # a field of the settings
    "labels": {"exporters/datasets/yolo.py"},  # a folder
}

effects = st.lists(st.sampled_from([kind() for kind in KINDS.values()]), max_size=16)


@pytest.mark.slow
@given(effects)
def test_a_list_of_effects_is_parsed_from_names(chosen):
    if chosen:
        assert parse_effects("+".join(effect.kind for effect in chosen)) == tuple(chosen)


@pytest.mark.slow
@given(effects)
def test_privacy_effects_are_drawn_first_and_others_keep_their_order(chosen):
    ordered = in_order(chosen)
    assert sorted(each.kind for each in ordered) == sorted(each.kind for each in chosen)
    hiding = [each.info.private for each in ordered]
    assert hiding == sorted(hiding, reverse=True) and is_private(chosen) == any(hiding)
    for private in (True, False):
        assert [each for each in ordered if each.info.private == private] == [
            each for each in chosen if each.info.private == private
        ]


def test_options_are_parsed_from_parentheses():
    assert parse_effects("tint + outline( width=0.4 )+cutout(backdrop=colour,colour=#00b140)") == (
        Tint(), Outline(width=0.4), CutOut(backdrop="colour", colour=(0, 177, 64)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not an effect"), ("tint+", "'' is not an effect"),
        ("sparkle", "'sparkle' is not an effect: use one of tint"),
        ("outline(w=1)", "'w=1' is not an option of outline: it has width"), ("tint(a=1)", "it has none"),
        ("outline(width)", "'width' is not an option"), ("outline(width=99)", "not a valid width"),
        ("cutout(colour=reddish)", "not a colour"), ("tint(kind=glow)", "is not an option"),
    ],
)  # fmt: skip
def test_invalid_notation_gives_a_one_sentence_error(text, said):
    with pytest.raises(UsageError) as raised:
        parse_effects(text)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_privacy_effects_force_the_locked_mode():
    settings = LiveSettings(mode="smooth")
    assert settings.display == "smooth"
    private = with_preset(settings, "privacy")
    assert private.display == "locked" and private.mode == "smooth"
    assert (settings.worker_engine.reuse, private.worker_engine.reuse) == ("on", "off")
    assert settings.model_copy(update={"mode": "locked"}).worker_engine.reuse == "off"
    assert set(PRESETS) >= {"broadcast", "inspect", "privacy", "green screen"}
    with pytest.raises(UsageError, match="no preset 'nice': use one of default"):
        with_preset(settings, "nice")


@pytest.mark.parametrize("asked", ["on", "off"])
def test_a_choice_of_reuse_holds_with_and_without_private_effects(asked):
    for settings in (LiveSettings(), with_preset(LiveSettings(), "privacy")):
        engine = settings.engine.model_copy(update={"reuse": asked})
        assert settings.model_copy(update={"engine": engine}).worker_engine == engine


@pytest.mark.parametrize("kind", KINDS)
def test_an_effect_is_formatted_with_its_changed_options(kind):
    effect = KINDS[kind]
    assert effect.info.title and effect.info.help.endswith(".") and effect.__doc__.strip().endswith(".")
    assert callable(resolve_name(effect.info.drawing))
    for name, field in effect.model_fields.items():
        assert name == "kind" or (field.title and field.description.endswith(".")), name
    assert effect.info.private == (effect.info.group == "hide")
    assert len(modules_with(kind) - OTHER_MEANINGS.get(kind, set())) <= 2


def test_effects_survive_json_and_pickle():
    settings = LiveSettings(effects=tuple(effect() for effect in KINDS.values()))
    assert LiveSettings.model_validate_json(settings.model_dump_json()) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"kind": "sparkle"}, 'there is no effect "sparkle": use one of tint, outline'),
        ({}, 'there is no effect "None"'), ({"kind": ["tint"]}, "there is no effect"),
        ({"kind": "outline", "width": 99}, "less than or equal to 25"), ({"kind": "tint", "a": 1}, "Extra inputs"),
        (3, "valid dictionary"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_an_effect_is_rejected(value, said):
    with pytest.raises(ValueError) as raised:
        LiveSettings(effects=[value])
    assert said in raised.value.errors()[0]["msg"] and raised.value.errors()[0]["loc"][:2] == ("effects", 0)


class Dots(EffectSettings):
    """Draw dots."""

    info: ClassVar = EffectInfo(title="Dots", help="Draws dots.", group="mark", drawing="dots:draw")
    kind: Literal["dots"] = "dots"
    radius: int = 3


class Bare(EffectSettings):
    """An effect without info."""

    kind: Literal["bare"] = "bare"


class Needy(Dots):
    """An effect with a required option."""

    kind: Literal["needy"] = "needy"
    depth: float


class Newer(Dots):
    """An effect for another version."""

    info: ClassVar = EffectInfo(title="Newer", help="Newer.", group="mark", drawing="a:b", interface=2)
    kind: Literal["newer"] = "newer"


@pytest.mark.parametrize(
    ("name", "part", "reason"),
    [
        ("dots", Dots(), "not a subclass"), ("dots", dict, "not a subclass"), ("bare", Bare, "has no info"),
        ("points", Dots, "its kind must be 'points'"), ("needy", Needy, "the option depth has no default"),
        ("newer", Newer, "made for interface 2"),
    ],
)  # fmt: skip
def test_an_effect_of_a_package_is_validated(name, part, reason):
    assert EFFECT_KINDS._accept("dots", Dots) is Dots
    with pytest.raises(PluginError, match=reason):
        EFFECT_KINDS._accept(name, part)
