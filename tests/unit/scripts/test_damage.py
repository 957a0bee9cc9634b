"""Short runs of the damage programs in ``scripts/reliability``: no crash, no hang, no incomplete result."""

import shutil
import sys
from pathlib import Path
from random import Random

import pytest

from scripts.reliability import corrupt_inputs, corrupt_settings
from scripts.reliability.mutations import MUTATIONS, mutate, mutated

PICTURES = b"\x89PNG\r\n\0\0\0\x40\0\0\0\x30" + bytes(range(256)) * 4 + bytes(64)


def test_damage_is_deterministic_and_always_changes_the_file() -> None:
    files = [("a", PICTURES), ("b", PICTURES[::-1])]
    for number in range(200):
        name, what, data = mutated(files, 1, number)
        assert (name, what, data) == mutated(files, 1, number)
        assert data != dict(files)[name] and what.split(", ")[0] in MUTATIONS
    assert len({mutated(files, 2, number)[1].split(", ")[0] for number in range(200)}) == len(MUTATIONS)


@pytest.mark.parametrize("length", [0, 1, 2, 7, 12, 100])
def test_very_short_files_can_be_damaged(length: int) -> None:
    for number in range(50):
        mutate(bytes(range(length)), Random(number))


@pytest.mark.slow
def test_damaged_sessions_and_settings_are_read_or_refused() -> None:
    found, failures = corrupt_settings.run(400, seed=11)
    assert failures == [] and sum(found.values()) == 400
    outcomes = {key[2] for key in found}
    assert outcomes == {"read", "refused"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_damaged_inputs_give_a_complete_result_or_a_one_sentence_error() -> None:
    verdicts = list(corrupt_inputs.judge_all(14, seed=11))
    assert [(each.number, each.outcome, each.live, each.why) for each in verdicts if each.failed] == []
    assert len({each.name for each in verdicts}) > 10 and {each.outcome for each in verdicts} >= {"exported", "refused"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_truncated_result_is_detected(tmp_path: Path) -> None:
    for name, data in corrupt_inputs.valid_files(tmp_path / "good"):
        if name in ("sound.mkv", "sound.mp4"):
            (tmp_path / name).write_bytes(data)
            assert corrupt_inputs.whole(tmp_path / name, 8) == ""
            assert "8 frames, not 9" in corrupt_inputs.whole(tmp_path / name, 9)
            (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
            assert corrupt_inputs.whole(tmp_path / name, 8) != ""
    assert "does not exist" in corrupt_inputs.whole(tmp_path / "none.mp4")


def test_a_crashed_or_hanging_process_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = corrupt_inputs.Worker(
        program=(sys.executable, "-c", "import os, signal; input(); os.kill(os.getpid(), 11)")
    )
    assert dying.ask({}) == "crashed -11"
    hanging = corrupt_inputs.Worker(program=(sys.executable, "-c", "import sys; sys.stdin.read()"))
    monkeypatch.setattr(corrupt_inputs, "SECONDS", 0.3)
    assert hanging.ask({}) == "hung"
    assert hanging.process is None
