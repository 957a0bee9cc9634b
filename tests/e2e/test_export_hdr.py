"""``export --hdr``: results and notices."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PHONE = Path(__file__).parents[1] / "data" / "phone_hlg.mov"
PROMPT = ("-p", "red circle", "--model", "shapes", "--smoothing", "0", "--to", "0.05")


def tags_of(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_streams", "-of", "json", str(path)]
    stream = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)["streams"][0]
    return stream["pix_fmt"], stream["color_transfer"], stream["color_primaries"], stream["color_space"]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="FFmpeg's program is not installed")
def test_hdr_is_converted_or_kept(clipseg_live, tmp_path):
    plain = clipseg_live("export", PHONE, *PROMPT, "-o", "sdr.mp4")
    assert plain.code == 0
    assert [line for line in plain.err.splitlines() if "HDR" in line] == [
        "phone_hlg.mov is HDR (HLG) and was converted to SDR: --hdr keep writes HDR."
    ]
    assert tags_of(tmp_path / "sdr.mp4") == ("yuv420p", "bt709", "bt709", "bt709")
    kept = clipseg_live("export", PHONE, *PROMPT, "--into", "many", "--suffix", ".mp4", "--hdr", "keep")
    assert kept.code == 0 and "converted" not in kept.err + kept.out
    (result,) = (tmp_path / "many").glob("*.mp4")
    assert tags_of(result) == ("yuv420p10le", "arib-std-b67", "bt2020", "bt2020nc")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("-o", "a.mp4", "--codec", "h264"), "--codec h265"), (("-o", "a.png", "--to", "0.01"), "8 bits"),
        (("-o", "a.mov", "--alpha"), "--alpha"), (("--data", "jsonl:a.jsonl"), "-o"),
    ],
)  # fmt: skip
def test_results_that_cannot_be_hdr_are_rejected(clipseg_live, tmp_path, arguments, word):
    result = clipseg_live("export", PHONE, *PROMPT, *arguments, "--hdr", "keep")
    assert result.code == 2 and word in result.err and len(result.err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("a.*"))
