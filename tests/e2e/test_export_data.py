"""Data and transparency of ``clipseg-live export`` as a process, with the built-in model."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.e2e.conftest import Completed, write_clip

Run = Callable[..., Completed]


def test_data_is_exported_without_a_video(
    clipseg_live: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [20 * number for number in range(6)])
    data = ("--data", "coco:set", "--data", "indexed:masks", "--data", "sheet:found.png", "--data", "npz:maps")
    result = clipseg_live(
        "export", clip, "-p", "red circle", "-p", "étoile/青", "--model", "shapes", *data, "--every", "2",
        "--only-present",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("set: 6 frames in")
    assert result.out.splitlines()[1:] == ["set: coco", "masks: indexed", "found.png: sheet", "maps: npz"]
    coco = COCO(str(tmp_path / "set" / "annotations" / "instances_default.json"))
    capsys.readouterr()
    assert coco.getImgIds() == [0, 2, 4]
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == ["red circle", "étoile/青"]
    for number in coco.getImgIds():
        with Image.open(tmp_path / "masks" / f"{number:06}.png") as picture:
            indexed = np.asarray(picture)
        found = coco.loadAnns(coco.getAnnIds(imgIds=[number], catIds=[1]))
        mask = np.any([coco.annToMask(each) for each in found], axis=0)
        assert mask.any() and ((indexed == 1) & ~mask).sum() == 0
    index = json.loads((tmp_path / "maps" / "index.json").read_text("utf-8"))
    assert [each["frame"] for each in index["frames"]] == [0, 2, 4]
    assert index["header"]["source"] == str(clip)
    with Image.open(tmp_path / "found.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 300


def test_a_transparent_video_is_exported(clipseg_live: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [20 * number for number in range(4)], sound=True)
    result = clipseg_live("export", clip, "-p", "red circle", "--model", "shapes", "--alpha", "-o", "cut.mov")
    assert (result.code, result.err) == (0, "")
    with av.open(str(tmp_path / "cut.mov")) as container:
        assert len(container.streams.audio) == 1
        frames = [frame.reformat(format="rgba").to_ndarray() for frame in container.decode(video=0)]
    assert len(frames) == 4
    for frame in frames:
        there = frame[..., 3] > 250
        assert 0.005 < there.mean() < 0.3
        red = frame[there].astype(int)
        assert (red[:, 0] > red[:, 1] + 60).mean() > 0.9
    refused = clipseg_live("export", clip, "-p", "red circle", "--model", "shapes", "--alpha", "-o", "cut.mp4")
    assert refused.code == 2 and "use a .mov" in refused.err
