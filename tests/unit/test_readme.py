"""The README's Python example runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_python_example_finds_the_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, object] = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    by_text, by_image = names["masks"]  # type: ignore[misc]
    assert 0.001 < by_text.mean() < 0.1  # type: ignore[has-type]
    assert (by_text & by_image).sum() / (by_text | by_image).sum() > 0.5  # type: ignore[has-type]


def test_the_example_of_a_stream_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "live.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "live.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 4 and all(re.fullmatch(r"\d+\.\d\d s: red covers \d+\.\d%", line) for line in lines)


def test_linked_files_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target
