"""Choices of the export dialog compared with the options of the command."""

from dataclasses import fields
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from clipseg_live.cli.export.options import PlaceOptions, ResultOptions, SplitOptions, TimeOptions
from clipseg_live.cli.shared_options import AnnotationOptions, InputOptions
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.export_choices import ExportChoices
from clipseg_live.core.settings.rendering import ExportSettings

OTHERWISE = {"output", "into", "json_output", "start", "end", "deinterlace", "maps"}
"""Options that the window sets by itself, or that are not for ``--into``."""
KEPT_NONE = {"quality", "sequence"}
"""Fields of which the command itself has the default."""


def test_there_is_a_choice_for_each_option_of_the_command() -> None:
    groups: tuple[Any, ...] = (PlaceOptions, TimeOptions, ResultOptions, SplitOptions, AnnotationOptions, InputOptions)
    options = {option.name for group in groups for option in fields(group)}
    assert options - OTHERWISE == set(ExportChoices.model_fields)


def test_the_defaults_are_those_of_the_command() -> None:
    choices = dict(ExportChoices())
    for settings in (ExportSettings(), AnnotationSettings()):
        common = {name: value for name, value in dict(settings).items() if name in choices and name not in KEPT_NONE}
        assert common and {name: choices[name] for name in common} == common
    assert ExportChoices().arguments() == []


def test_arguments_are_those_of_the_command() -> None:
    choices = ExportChoices(
        suffix=".mkv", codec="ffv1", quality=5, alpha=True, data=("coco", "csv"), masks="png", every=3, split=0.8,
        seed=7, only_present=True, hdr="keep", jobs=2, temporal="causal", instances="prompt", segmentation="rle",
    )  # fmt: skip
    assert choices.arguments() == [
        "--suffix", ".mkv", "--codec", "ffv1", "--quality", "5", "--alpha", "--hdr", "keep", "--temporal", "causal",
        "--masks", "png", "--data", "coco", "--data", "csv", "--every", "3", "--only-present",
        "--segmentation", "rle", "--instances", "prompt", "--split", "0.8", "--seed", "7", "--jobs", "2",
    ]  # fmt: skip


def test_a_rate_is_given_with_the_sequence_alone() -> None:
    choices = ExportChoices(rate=Fraction(30000, 1001))
    assert choices.arguments() == []
    whole = choices.model_copy(update={"sequence": True})
    assert whole.arguments() == ["--sequence", "--rate", "30000/1001"]
    assert ExportChoices.model_validate_json(whole.model_dump_json()) == whole


@pytest.mark.parametrize("values", [{"suffix": "mp4"}, {"quality": 101}, {"every": 0}, {"data": ("nothing",)}])
def test_invalid_values_are_rejected(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExportChoices(**values)
