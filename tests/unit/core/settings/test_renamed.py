"""Fields of the settings that have a former name, which Python and session files may still use."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import AliasChoices, ValidationError

from clipseg_live.core.settings.base import EngineSettings, Frozen, MatteShape, PromptStyle
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.core.settings.live import LiveSettings, PromptImage, PromptRow
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings

VALUES: dict[type[Frozen], dict[str, Any]] = {
    MatteSettings: {
        "follow": False, "edge_refinement": "best", "refine": "off", "together": "exclusive", "none_level": 0.2,
        "present": 0.6,
    },
    MatteShape: {"smallest": 1.5, "fill": 2.5},
    PromptStyle: {"against": (1, 2)},
    EngineSettings: {"fit": "letterbox"},
    ExportSettings: {"look": RenderSettings(names=("mug",)), "time": "causal"},
    PromptRow: {"picture": PromptImage(width=1, height=1, data=b"abc")},
    VirtualCameraSettings: {"safe": "card.png"},
}  # fmt: skip
"""A value other than the default for each former name."""
CASES = [(kind, former, value) for kind, values in VALUES.items() for former, value in values.items()]
REQUIRED: dict[type[Frozen], dict[str, Any]] = {PromptRow: {"id": 0}}


def renamed_fields(kind: type[Frozen]) -> Iterator[tuple[str, str]]:
    """Yield the present and the former name of each renamed field."""
    for present, field in kind.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            first, *former_names = field.validation_alias.choices
            assert first == present
            for former in former_names:
                assert isinstance(former, str)
                yield present, former


def subclasses(kind: type[Frozen]) -> Iterator[type[Frozen]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_renamed_field_is_tested() -> None:
    renamed = {(kind, former) for kind in subclasses(Frozen) for _, former in renamed_fields(kind)}
    assert renamed == {(kind, former) for kind, former, _ in CASES}


@pytest.mark.parametrize(("kind", "former", "value"), CASES)
def test_former_names_are_accepted(kind: type[Frozen], former: str, value: Any) -> None:
    present = {old: new for new, old in renamed_fields(kind)}[former]
    required = REQUIRED.get(kind, {})
    settings = kind(**required, **{present: value})
    assert settings != kind(**required) and getattr(settings, present) == value
    assert kind(**required, **{former: value}) == settings
    assert kind(**required).model_copy(update={former: value}) == settings
    with pytest.warns(DeprecationWarning, match=f"{former} is now {present}"):
        assert getattr(settings, former) == value
    saved = settings.model_dump(mode="json")
    assert former not in saved
    saved[former] = saved.pop(present)
    assert kind.model_validate_json(json.dumps(saved)) == settings


def test_both_names_of_a_field_are_refused() -> None:
    with pytest.raises(ValidationError, match="follow"):
        MatteSettings(motion_tracking=True, follow=False)  # type: ignore[call-arg]


def test_former_values_are_accepted() -> None:
    assert CutOut(backdrop="picture").backdrop == "image"  # type: ignore[arg-type]
    assert PromptStyle(role="show").role == "positive"  # type: ignore[arg-type]
    for switch, level in ((True, "fast"), (False, "off")):
        assert MatteSettings(edge_refinement=switch).edges == level  # type: ignore[call-arg]
        assert MatteSettings.model_validate_json(json.dumps({"edge_refinement": switch})).edges == level
    with pytest.raises(ValidationError, match="positive"):
        PromptStyle(role="shown")  # type: ignore[arg-type]


def test_a_copy_refuses_unknown_fields() -> None:
    with pytest.raises(AttributeError, match="MatteSettings has no field 'smooth'"):
        MatteSettings().model_copy(update={"smooth": 1.0})
    with pytest.raises(AttributeError, match="colour"):
        LiveSettings().colour  # type: ignore[attr-defined]  # noqa: B018
