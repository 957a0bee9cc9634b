"""The manifest of a results folder, and outdated results."""

import json
import os
import random
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.app.batch.manifest import NAME, Manifest, ManifestEntry, entry_of, output_sizes
from clipseg_live.app.export import ExportRequest
from clipseg_live.core.errors import Failure
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.core.settings.rendering import ExportSettings, RenderSettings

ENTRY = ManifestEntry(digest="1", path="/a.mp4", identity=(("a.mp4", 1, 2),), files={"a.mp4": (1, 3)})


def test_entries_are_restored(tmp_path: Path) -> None:
    record = Manifest(tmp_path)
    record.load()
    record.store({"a.mp4": ENTRY})
    later = Manifest(tmp_path)
    later.load()
    assert later.entries == {"a.mp4": ENTRY}
    later.store({"a.mp4": None})
    record = Manifest(tmp_path)
    record.load()
    assert record.entries == {} and record.notices == []
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_two_runs_keep_the_entries_of_each_other(tmp_path: Path) -> None:
    first, second = Manifest(tmp_path), Manifest(tmp_path)
    first.load()
    second.load()
    first.store({"a.mp4": ENTRY})
    second.store({"b.mp4": ENTRY})
    first.store({"c.mp4": ENTRY})
    found = Manifest(tmp_path)
    found.load()
    assert set(found.entries) == {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"format": "clipseg-live session"}', "[" * 100_000,
     '{"format": "clipseg-live export", "version": 1, "results": {"a": {"digest": 3}}}',
     '{"format": "clipseg-live export", "version": "x"}', '{"format": "clipseg-live export", "more": 1}'],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_damaged_manifest_is_moved_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    record = Manifest(tmp_path)
    record.load()
    assert record.entries == {}
    assert len(record.notices) == 1 and "damaged" in record.notices[0]
    aside = next(iter(tmp_path.iterdir()))
    assert aside.name == ".clipseg-live-export.damaged.json" and aside.read_text() == text
    (tmp_path / NAME).write_text("again")
    record = Manifest(tmp_path)
    record.load()
    assert aside.read_text() == text and len(list(tmp_path.iterdir())) == 2


def test_any_damaged_byte_leads_to_a_readable_or_moved_manifest(tmp_path: Path) -> None:
    Manifest(tmp_path).store({"a.mp4": ENTRY})
    whole = (tmp_path / NAME).read_bytes()
    chance = random.Random(5)
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        (tmp_path / NAME).write_bytes(changed[: chance.randint(1, len(changed))])
        record = Manifest(tmp_path)
        newer = b'"version": ' in changed and changed.split(b'"version": ')[1][:1].isdigit()
        with suppress(Failure) if newer else nullcontext():  # a changed digit is another version
            record.load()
        assert (tmp_path / NAME).exists() != any("damaged" in notice for notice in record.notices)
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_newer_manifest_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"format": "clipseg-live export", "version": 2, "results": []}))
    with pytest.raises(Failure, match="newer version of clipseg-live"):
        Manifest(tmp_path).load()
    assert (tmp_path / NAME).exists()


def test_an_unwritable_manifest_gives_a_one_sentence_error(tmp_path: Path) -> None:
    record = Manifest(tmp_path / "gone")
    with pytest.raises(Failure, match="the next run will not recognise the finished results"):
        record.store({"a.mp4": ENTRY})


@pytest.fixture
def export_request(tmp_path: Path) -> ExportRequest:
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "back.png").write_bytes(b"picture")
    look = RenderSettings(effects=(CutOut(backdrop="image", file=tmp_path / "back.png"),), styles=(PromptStyle(),))
    return ExportRequest(
        str(tmp_path / "a.mp4"), tmp_path / "out" / "a.mp4", (Prompt.text("a dog"),), ExportSettings(render=look)
    )


def with_settings(request: ExportRequest, **values: object) -> ExportRequest:
    return replace(request, settings=request.settings.model_copy(update=values))


def with_style(request: ExportRequest, **values: object) -> ExportRequest:
    style = request.settings.render.styles[0].model_copy(update=values)
    return with_settings(request, look=request.settings.render.model_copy(update={"styles": (style,)}))


def dot(value: int) -> Prompt:
    return Prompt.image(np.full((4, 4, 3), value, np.uint8), label="a dog")


def write(name: str, text: bytes) -> Callable[[ExportRequest], ExportRequest]:
    def change(request: ExportRequest) -> ExportRequest:
        Path(request.source).with_name(name).write_bytes(text)
        return request

    return change


def touch(request: ExportRequest) -> ExportRequest:
    os.utime(request.source, ns=(1, 1))
    return request


@pytest.mark.parametrize(
    "change",
    [
        lambda request: with_style(request, threshold=0.4),
        lambda request: with_style(request, colour=(1, 2, 3)),
        lambda request: with_settings(request, quality=71),
        lambda request: with_settings(request, annotations=AnnotationSettings(instances="prompt")),
        lambda request: with_settings(request, engine=EngineSettings(size=352)),
        lambda request: replace(request, prompts=(Prompt.text("a cat"),)),
        lambda request: replace(request, prompts=(Prompt.text("a dog", ["a photo of {}"]),)),
        lambda request: replace(request, prompts=(dot(3),)),
        lambda request: replace(request, framing=FrameTransform(mirror=True)),
        lambda request: replace(request, masks=request.output.with_suffix(".jsonl")),
        lambda request: replace(request, output=request.output.with_suffix(".mkv")),
        write("back.png", b"another picture"),
        write("a.mp4", b"another video"),
        touch,
    ],
)
def test_every_setting_changes_the_fingerprint(
    export_request: ExportRequest, change: Callable[[ExportRequest], ExportRequest]
) -> None:
    before = entry_of(export_request, "model").digest
    assert entry_of(export_request, "model").digest == before
    assert entry_of(change(export_request), "model").digest != before


def test_pixels_of_an_image_change_the_fingerprint(export_request: ExportRequest) -> None:
    digests = {entry_of(replace(export_request, prompts=(dot(value),)), "model").digest for value in (3, 3, 4)}
    assert len(digests) == 2


def test_the_fingerprint_depends_on_the_model_and_not_on_its_name(export_request: ExportRequest) -> None:
    before = entry_of(export_request, "model").digest
    assert entry_of(export_request, "another").digest != before
    assert entry_of(with_settings(export_request, engine=EngineSettings(model="elsewhere")), "model").digest == before


def test_the_fingerprint_does_not_depend_on_paths(export_request: ExportRequest, tmp_path: Path) -> None:
    before = entry_of(export_request, "model").digest
    elsewhere = tmp_path / "other" / "a.mp4"
    elsewhere.parent.mkdir()
    Path(export_request.source).rename(elsewhere)
    moved = replace(export_request, source=str(elsewhere), output=tmp_path / "results" / "x.mp4")
    assert entry_of(with_settings(moved, overwrite=True, keep_partial=True), "model").digest == before


def test_sizes_of_results_are_recorded(export_request: ExportRequest) -> None:
    export_request = replace(export_request, masks=export_request.output.with_name("masks"))
    export_request.output.parent.mkdir()
    assert output_sizes(export_request) is None
    export_request.output.write_bytes(b"1234")
    assert output_sizes(export_request) is None
    assert export_request.masks is not None
    export_request.masks.mkdir()
    assert output_sizes(export_request) is None
    (export_request.masks / "1.png").write_bytes(b"12")
    (export_request.masks / "2.png").write_bytes(b"3")
    assert output_sizes(export_request) == {"a.mp4": (1, 4), "masks": (2, 3)}
