"""Masks as data, compared with pycocotools, NumPy and Pillow."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from scipy import ndimage

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.exporters.masks import JsonLinesMaskSink, PngMaskSink, open_mask_sink
from clipseg_live.matting.alpha import binary_mattes
from tests.helpers.clips import source_frames
from tests.helpers.rendered import rendered

PROMPTS, THRESHOLDS = ["red circle", "étoile 青", "red circle"], [0.5, 0.3, 0.9]
LABELS = [Label(*each) for each in zip(PROMPTS, THRESHOLDS, strict=True)]
INFO, FRAMES = source_frames(3, rate=Fraction(30000, 1001), size=(37, 53))
MAPS = [np.random.default_rng(number).random((3, 37, 53), dtype=np.float32) for number in range(3)]
MAPS[1][0] = 0  # one mask is empty
HEADER = {"version": "0.1.0", "model": "shapes"}


def mattes_of(maps):
    each = binary_mattes(maps, [PromptStyle(threshold=level) for level in THRESHOLDS[: len(maps)]], 37, 53)
    return Mattes(37, 53, tuple(each), maps, tuple(float(part.max()) for part in maps))


def write_data(sink):
    sink.open(INFO)
    for frame, maps in zip(FRAMES, MAPS, strict=True):
        sink.write(rendered(frame, mattes_of(maps), LABELS))
    assert not sink.path.exists()
    return sink


@pytest.mark.parametrize("rule", ["component", "prompt"])
def test_json_lines_are_written(tmp_path, rule):
    write_data(JsonLinesMaskSink(tmp_path / "m.jsonl", HEADER, rule=rule)).finish()
    assert json.loads((tmp_path / "m.jsonl.header.json").read_text("utf-8")) == HEADER
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text("utf-8").splitlines()]
    kinds = {tuple((name, type(value)) for name, value in line.items()) for line in lines}
    assert len(kinds) == 1, "columns or their types differ"
    groups = {}
    for line in lines:
        prompt = 2 if line["threshold"] == THRESHOLDS[2] else PROMPTS.index(line["prompt"])
        groups.setdefault((line["frame"], prompt), []).append(line)
    assert list(groups) == [(frame, prompt) for frame in range(3) for prompt in range(3)]
    for (number, prompt), found in groups.items():
        frame, maps = FRAMES[number], MAPS[number]
        wanted = maps[prompt] >= np.float32(THRESHOLDS[prompt])
        whole = np.zeros(wanted.shape, int)
        for instance, line in enumerate(found, start=bool(wanted.any())):
            part = coco.decode(line["rle"]).astype(bool)
            whole += part
            assert line["file"] == INFO.name and line["instance"] == instance
            assert line["time"] == pytest.approx(float(frame.time), abs=1e-12)
            assert line["threshold"] == THRESHOLDS[prompt] and line["rle"]["size"] == [37, 53]
            assert line["area"] == part.sum()
            assert line["presence"] == pytest.approx(maps[prompt].max(), abs=1e-4)
            if part.any():
                rows, columns = np.nonzero(part)
                assert line["box"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert line["probability"] == pytest.approx(maps[prompt][part].mean(), abs=1e-5)
            else:
                assert line["box"] == [0, 0, 0, 0] and line["probability"] == 0
        assert np.array_equal(whole, wanted)
        _, count = ndimage.label(wanted, structure=np.ones((3, 3)))
        assert len(found) == (max(count, 1) if rule == "component" else 1)


def test_png_images_are_written(tmp_path):
    write_data(PngMaskSink(tmp_path / "masks", HEADER, LABELS)).finish()
    index = json.loads((tmp_path / "masks" / "index.json").read_text("utf-8"))
    assert index["header"] == HEADER and [each["frame"] for each in index["frames"]] == [0, 1, 2]
    assert len(list((tmp_path / "masks").glob("*.png"))) == 9
    assert (tmp_path / "masks" / "000001_2-étoile-青.png").exists()
    for frame, maps in zip(FRAMES, MAPS, strict=True):
        for entry, probability in zip(index["prompts"], maps, strict=True):
            image = Image.open(tmp_path / "masks" / f"{frame.index:06}_{entry['name']}.png")
            wanted = (probability >= np.float32(entry["threshold"])) * 255
            assert image.mode == "L" and np.array_equal(np.array(image), wanted)


@pytest.mark.parametrize("name", ["m.jsonl", "masks"])
def test_existing_data_is_replaced_only_with_overwrite(tmp_path, name):
    def make(overwrite=False):
        return open_mask_sink(tmp_path / name, HEADER, LABELS, overwrite)

    write_data(make()).finish()
    with pytest.raises(UsageError, match="--overwrite"):
        make()
    sink = make(overwrite=True)
    sink.open(INFO)
    sink.write(rendered(FRAMES[0], mattes_of(MAPS[0]), LABELS))
    sink.finish()
    header = ["m.jsonl.header.json"] if name == "m.jsonl" else []
    assert sorted(each.name for each in tmp_path.iterdir()) == [name, *header]
    if name == "masks":
        assert len(list((tmp_path / name).iterdir())) == 4
        (tmp_path / name / "thesis.doc").write_text("mine")
        with pytest.raises(UsageError, match=r"thesis\.doc"):
            make(overwrite=True)


@pytest.mark.parametrize(("name", "partial"), [("m.jsonl", "m.partial.jsonl"), ("masks", "masks.partial")])
def test_abort_removes_or_keeps_partial_data(tmp_path, name, partial):
    for keep in (False, True):
        sink = open_mask_sink(tmp_path / name, HEADER, LABELS)
        sink.open(INFO)
        sink.write(rendered(FRAMES[0], mattes_of(MAPS[0]), LABELS))
        kept = sink.abort(keep_partial=keep)
        assert [each.name for each in tmp_path.iterdir()] == ([partial] if keep else [])
    assert kept == tmp_path / partial


def test_invalid_settings_are_rejected(tmp_path):
    with pytest.raises(UsageError, match="jsonl"):
        open_mask_sink(tmp_path / "m.csv", HEADER, LABELS)
    with pytest.raises(SinkError, match="does not exist"):
        open_mask_sink(tmp_path / "none" / "m.jsonl", HEADER, LABELS)
    sink = JsonLinesMaskSink(tmp_path / "m.jsonl", HEADER)
    sink.open(INFO)
    with pytest.raises(SinkError, match="needs one matte for each"):
        sink.write(rendered(FRAMES[0], mattes_of(MAPS[0][:1]), LABELS))
    sink.abort()
