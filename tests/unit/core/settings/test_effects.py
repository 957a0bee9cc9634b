"""Effects as values, and how they are written on a command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.effects import (
    KINDS,
    PRIVATE,
    CutOut,
    Outline,
    Tint,
    in_order,
    is_private,
    parse_effects,
)
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.presets import PRESETS, with_preset

effects = st.lists(st.sampled_from([kind() for kind in KINDS.values()]), max_size=16)


@pytest.mark.slow
@given(effects)
def test_a_list_is_written_by_its_names(chosen):
    if chosen:
        assert parse_effects("+".join(effect.kind for effect in chosen)) == tuple(chosen)


@pytest.mark.slow
@given(effects)
def test_privacy_is_drawn_first_and_the_rest_stays_in_order(chosen):
    ordered = in_order(chosen)
    assert sorted(each.kind for each in ordered) == sorted(each.kind for each in chosen)
    hiding = [isinstance(each, PRIVATE) for each in ordered]
    assert hiding == sorted(hiding, reverse=True) and is_private(chosen) == any(hiding)
    for private in (True, False):
        assert [each for each in ordered if isinstance(each, PRIVATE) == private] == [
            each for each in chosen if isinstance(each, PRIVATE) == private
        ]


def test_options_are_given_in_parentheses():
    assert parse_effects("tint + outline( width=0.4 )+cutout(backdrop=colour,colour=#00b140)") == (
        Tint(), Outline(width=0.4), CutOut(backdrop="colour", colour=(0, 177, 64)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is no effect"), ("tint+", "'' is no effect"), ("sparkle", "'sparkle' is no effect: there are tint"),
        ("outline(w=1)", "'w=1' is no option of outline: it has width"), ("tint(a=1)", "it has none"),
        ("outline(width)", "'width' is no option"), ("outline(width=99)", "not a possible width"),
        ("cutout(colour=reddish)", "not a colour"), ("tint(kind=glow)", "is no option"),
    ],
)  # fmt: skip
def test_other_words_are_one_sentence(text, said):
    with pytest.raises(UsageError) as raised:
        parse_effects(text)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_private_sessions_are_locked_whatever_the_mode():
    settings = LiveSettings(mode="smooth")
    assert settings.display == "smooth"
    private = with_preset(settings, "privacy")
    assert private.display == "locked" and private.mode == "smooth"
    assert set(PRESETS) >= {"broadcast", "inspect", "privacy", "green screen"}
    with pytest.raises(UsageError, match="no preset 'nice': there are default"):
        with_preset(settings, "nice")
