"""Options of ``export`` that are parsed before heavy imports."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live import UsageError
from clipseg_live.cli.export.options import PlaceOptions, check_places, parse_data, parse_time
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.base import EngineSettings, validated
from clipseg_live.core.settings.effects import Outline
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings


@pytest.mark.slow
@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_times_are_exact(hours: int, minutes: int, seconds: int, thousandths: int) -> None:
    expected = hours * 3600 + minutes * 60 + seconds + Fraction(thousandths, 1000)
    assert parse_time(f"{hours}:{minutes:02d}:{seconds:02d}.{thousandths:03d}") == expected


def test_short_forms_of_times_are_parsed() -> None:
    assert parse_time("90") == 90
    assert parse_time("1:30.5") == Fraction(181, 2)
    assert parse_time(" 0.1 ") == Fraction(1, 10)


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1:60", "1:-1", "1/3", "nan", "inf", "1::2", "1e"])
def test_other_texts_are_not_times(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("kind", "values", "name"),
    [
        (Outline, {"width": 99}, "width"),
        (ExportSettings, {"quality": 101}, "quality"),
        (MatteSettings, {"smoothing": 1.1}, "smoothing"),
        (ExportSettings, {"codec": "divx"}, "codec"),
        (EngineSettings, {"size": 5}, "size"),
    ],
)
def test_invalid_settings_give_a_one_sentence_error(kind: type, values: dict[str, object], name: str) -> None:
    with pytest.raises(UsageError, match=f"is not a valid {name}: ") as raised:
        validated(kind, **values)
    assert "\n" not in str(raised.value)


def data(words: list[str], *, many: bool) -> list[tuple[str, Path]]:
    return list(parse_data(PlaceOptions(data=words, into=Path("out") if many else None)))


def test_data_are_parsed_from_format_and_path() -> None:
    assert data(["coco:set", "sheet:C:/found.png"], many=False) == [
        ("coco", Path("set")), ("sheet", Path("C:/found.png"))
    ]  # fmt: skip
    assert [form for form, _ in data(["coco", "npz"], many=True)] == ["coco", "npz"]
    for words, many, told in (
        (["video:x"], False, "There is no data format 'video': use one of jsonl"),
        (["coco"], False, "--data coco:PATH"),
        (["coco:"], False, "--data coco:PATH"),
        (["coco:x"], True, "without a path"),
        (["coco", "coco"], True, "given twice"),
    ):
        with pytest.raises(UsageError, match=told):
            data(words, many=many)


def test_annotations_have_one_default_for_all_formats() -> None:
    assert AnnotationSettings() == ExportSettings().annotations == RecordingSettings().annotations


@pytest.mark.parametrize(
    "given", [{"segmentation": "mask"}, {"instances": "all"}, {"split": 0.0}, {"split": 1.0}, {"split": float("nan")}]
)
def test_invalid_annotations_give_a_one_sentence_error(given: dict[str, object]) -> None:
    (name,) = given
    with pytest.raises(UsageError, match=f"is not a valid {name}: ") as raised:
        validated(AnnotationSettings, **given)
    assert "\n" not in str(raised.value)


def test_an_output_is_required_without_data() -> None:
    check_places(["a.mp4"], PlaceOptions(data=["coco:x"]))
    check_places(["a.mp4"], PlaceOptions(masks=Path("a.jsonl")))
    with pytest.raises(UsageError, match=r"-o out\.mp4, --into FOLDER .* --data coco:FOLDER"):
        check_places(["a.mp4"], PlaceOptions())
