"""The Python examples of README.md and docs run, with the documented output."""

import doctest
import importlib.util
import re
import shutil
import textwrap
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
ELSEWHERE = ("data.md", "how-to")
"""Pages and folders whose examples need files or packages. Other tests run them."""
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if not {page.name, page.parent.name} & set(ELSEWHERE) and BLOCK.search(page.read_text("utf-8"))
]
MISSING = {
    "supervision.md": importlib.util.find_spec("supervision") is None,
    "ffmpeg.md": shutil.which("ffmpeg") is None,
}
"""Whether the program or package of a page is missing."""


def run(page: Path) -> dict[str, object]:
    """Run the blocks of a page in order with shared names, and return these. Fail at the first difference."""
    names: dict[str, object] = {"__name__": page.stem}
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        code, line = textwrap.dedent(block[2]), text.count("\n", 0, block.start(2))
        if ">>> " not in code:
            exec(compile("\n" * line + code, str(page), "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
        said: list[str] = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.FAIL_FAST)
        runner.run(test, out=said.append, clear_globs=False)
        assert not said, "".join(said)
        names.update(test.globs)
    return names


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a new folder next to docs."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)


def test_pages_with_python_are_found() -> None:
    assert {"README.md", "python.md", "live.md", "fastapi.md", "supervision.md"} <= {page.name for page in PAGES}


@pytest.mark.slow
@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if MISSING.get(page.name):
        pytest.skip(f"what {page.stem} needs is not installed")
    names = run(page)
    if page.name == "README.md":
        by_text, by_image = names["masks"]  # type: ignore[misc]
        assert 0.001 < by_text.mean() < 0.1  # type: ignore[has-type]
        assert (by_text & by_image).sum() / (by_text | by_image).sum() > 0.5  # type: ignore[has-type]
    if page.name == "live.md":
        lines = capsys.readouterr().out.splitlines()
        assert lines and all(re.fullmatch(r"\d+\.\d\d s: red covers \d+\.\d%", line) for line in lines)
    if page.name == "ffmpeg.md":
        assert Path("piped.mp4").stat().st_size > 1000
    if page.name == "supervision.md":
        assert len(names["detections"]) == 3 and len(names["parts"]) == 2  # type: ignore[arg-type]


def test_a_page_with_wrong_output_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> number = 2\n\n```\n\n```python\n>>> number + 2\n5\n\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"(?s)line 7, in page\.md.*number \+ 2\s+Expected:\s+5\s+Got:\s+4"):
        run(page)
