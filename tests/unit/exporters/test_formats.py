"""The registry of data formats: complete, documented, and the only module that knows formats by name."""

import re
from pkgutil import resolve_name

import pytest

from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.data_formats import FORMAT_SPECS, FormatSpec, find_format, transparent_formats
from clipseg_live.core.settings.plugins import PluginError
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.media.writers.video import CONTAINERS
from tests.helpers.names import modules_with
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "data.md").read_text("utf-8")
OTHER_MEANINGS = {
    "coco": {"evaluation/readers/coco.py", "evaluation/readers/registry.py"},  # a layout of data sets with ground truth
    "csv": {"cli/search/command.py", "cli/search/report.py"},  # a form of search results
    "jsonl": {"app/batch/plan.py", "cli/export/batch.py"},  # a value of --masks
    "png": {"app/batch/plan.py", "cli/export/batch.py", "exporters/frame_files.py"},  # and a kind of image
    "yolo": {"evaluation/readers/registry.py", "evaluation/readers/yolo.py"},  # a layout, too
}


@pytest.mark.parametrize("spec", FORMAT_SPECS.own.values(), ids=lambda spec: spec.name)
def test_every_format_is_described(spec: FormatSpec) -> None:
    assert spec.title and spec.help.endswith(".") and spec.file_name.count("{}") == 1
    assert callable(resolve_name(spec.exporter))
    assert set(spec.options) <= {*DataOptions.__dataclass_fields__, *AnnotationSettings.model_fields}
    (row,) = re.findall(rf"^\| .*`{spec.name}`.* \| .+ \| .+ \| .*\|$", PAGE, re.MULTILINE)
    assert all(f"`{suffix}`" in row for suffix in spec.suffixes[:1])
    assert ("folder" in row) == (spec.is_folder or spec.name == "mask-video")


@pytest.mark.parametrize("name", FORMAT_SPECS.own)
def test_a_format_is_known_in_at_most_two_modules(name: str) -> None:
    assert len(modules_with(name) - OTHER_MEANINGS.get(name, set())) <= 2


def test_files_of_a_killed_recording_can_be_completed() -> None:
    for spec in FORMAT_SPECS.own.values():
        for suffix in spec.suffixes:
            assert (spec.repair is not None) != (suffix in CONTAINERS), spec.name
        if spec.repair is not None:
            assert callable(resolve_name(spec.repair))


def test_names_of_files_differ() -> None:
    assert len({spec.file_name for spec in FORMAT_SPECS.own.values()}) == len(FORMAT_SPECS.own)
    assert len({spec.title for spec in FORMAT_SPECS.own.values()}) == len(FORMAT_SPECS.own)
    assert set(transparent_formats()) == {"", ".mov", ".webm", ".webp", ".gif"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "b"}, "must be the same name"),
        ({"name": "A"}, "small letters"),
        ({"file_name": "masks"}, "needs one {}"),
        ({"interface": 2}, "made for interface 2"),
    ],
)
def test_a_format_of_a_package_is_validated(changed: dict[str, object], reason: str) -> None:
    values = {"name": "a", "title": "A", "help": "A.", "file_name": "{}.a", "exporter": "a:a", "source_pixels": False}
    assert FORMAT_SPECS._accept("a", FormatSpec(**values)).name == "a"  # type: ignore[arg-type]
    wrong = FormatSpec(**{**values, **changed})  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=re.escape(reason)):
        FORMAT_SPECS._accept("A" if changed.get("name") == "A" else "a", wrong)
    with pytest.raises(PluginError, match="not a FormatSpec"):
        FORMAT_SPECS._accept("a", values)


def test_formats_are_found_by_name() -> None:
    assert find_format("coco").source_pixels and not find_format("csv").source_pixels
