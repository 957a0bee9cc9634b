"""References of a session file: nothing outside its folder is read without permission."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.core.session_file import load_session, open_session, save_session
from clipseg_live.core.settings.base import DEFAULT_MODEL, EngineSettings
from clipseg_live.core.settings.effects import CutOut, Tint
from clipseg_live.core.settings.external_references import NAMED_MODELS, escapes_folder
from clipseg_live.core.settings.live import LiveSettings

SECRET = "secret.png"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder ``mine`` with links that lead out of it, next to forbidden files."""
    root = tmp_path_factory.mktemp("reach").resolve()
    mine = root / "mine"
    (mine / "deep").mkdir(parents=True)
    (root / "minefield").mkdir()
    for folder in (root, mine, mine / "deep", root / "minefield"):
        (folder / SECRET).touch()
    (mine / "out").symlink_to(root, target_is_directory=True)
    (mine / "link.png").symlink_to(root / SECRET)
    (mine / "inner.png").symlink_to(mine / "deep" / SECRET)
    return mine


def on(path: str | Path, backdrop: str = "image") -> LiveSettings:
    return LiveSettings(effects=(Tint(), CutOut(backdrop=backdrop, file=Path(path))))


def write_session(folder: Path, settings: LiveSettings, name: str = "s.json") -> Path:
    """Write a session file with the given paths, without the changes of ``save_session``."""
    path = folder / name
    content = {"format": "clipseg-live session", "version": 1, "settings": settings.model_dump(mode="json")}
    path.write_text(json.dumps(content))
    return path


parts = st.sampled_from(["..", ".", "deep", "out", "mine", "minefield", SECRET, "link.png", "inner.png", "~", "none"])


@pytest.mark.slow
@given(parts=st.lists(parts, min_size=1, max_size=7), absolute=st.booleans())
def test_allowed_paths_stay_in_the_folder_after_resolving_links(home: Path, parts: list[str], absolute: bool) -> None:
    path = Path(*parts)
    if absolute:
        path = home / path
    place = escapes_folder(path, home)
    truth = os.path.realpath(os.path.normpath(home / path))
    inside = os.path.commonpath((home, truth)) == str(home)
    if inside:
        # A path that leaves the folder by name and returns through a link needs permission.
        assume(os.path.commonpath((home, os.path.normpath(home / path))) == str(home))
        assert place is None
    else:
        assert place is not None and os.path.commonpath((home, place)) != str(home)


@pytest.mark.slow
@given(name=st.text(min_size=1, max_size=12))
def test_any_name_is_classified(home: Path, name: str) -> None:
    place = escapes_folder(Path(name), home)
    if place is None:
        assert os.path.realpath(home / name).startswith(str(home))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname", "../secret.png", "deep/../../secret.png", "out/secret.png", "link.png", "file:///etc/hostname",
        "http://there/x.png", "C:\\x.png", "c:x.png", "\\\\there\\share\\x.png", "//there/share/x.png", "\\x.png",
        "concat:a|b", "../minefield/secret.png", "nul\0.png",
    ],
)  # fmt: skip
def test_external_references_are_omitted_until_allowed(home: Path, name: str) -> None:
    path = write_session(home, on(name))
    opened = open_session(path)
    assert len(opened.outside) == 1 and opened.outside[0].kind == "file"
    assert opened.outside[0].name.isprintable()
    assert opened.within.effects == (Tint(), CutOut(backdrop="checkerboard"))
    with pytest.raises(UsageError, match="--trust-session") as raised:
        load_session(path)
    assert opened.outside[0].name in str(raised.value) and "\n" not in str(raised.value)
    assert load_session(path, trusted=True) == opened.settings


@pytest.mark.parametrize("name", ["secret.png", "deep/secret.png", "./deep/../secret.png", "inner.png", "none.png"])
def test_relative_paths_are_resolved_from_the_session_folder(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_session(home, on(name))
    monkeypatch.chdir(home.parent)
    effect = load_session(Path("mine") / path.name).effects[1]
    assert isinstance(effect, CutOut) and effect.file == Path(os.path.normpath(home / name))


def test_names_of_other_machines_are_not_resolved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(os.path, "realpath", lambda place: looked.append(str(place)) or str(place))
    for name in ("//there/share/x.png", "\\\\there\\share\\x.png", "/net/there/x.png", "../x.png"):
        escapes_folder(Path(name), home)
    assert looked == []


def test_a_hidden_backdrop_is_checked(home: Path) -> None:
    opened = open_session(write_session(home, on("/etc/hostname", "checkerboard")))
    assert [each.name for each in opened.outside] == ["/etc/hostname"]
    assert opened.within.effects[1] == CutOut(backdrop="checkerboard")


def test_a_saved_session_can_be_moved_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    (folder / "pictures").mkdir(parents=True)
    settings = on(folder / "pictures" / "sea.png")
    save_session(folder / "s.json", settings)
    assert load_session(folder / "s.json") == settings
    folder.rename(tmp_path / "two")
    assert load_session(tmp_path / "two" / "s.json") == on(tmp_path / "two" / "pictures" / "sea.png")
    save_session(tmp_path / "s.json", on(tmp_path.parent / "sea.png"))
    assert [each.name for each in open_session(tmp_path / "s.json").outside] == [str(tmp_path.parent / "sea.png")]


def test_an_unknown_model_needs_permission(tmp_path: Path) -> None:
    for model in sorted(NAMED_MODELS):
        save_session(tmp_path / "s.json", LiveSettings(engine=EngineSettings(model=model)))
        assert load_session(tmp_path / "s.json").engine.model == model
    (tmp_path / "model").mkdir()
    for model in ("somebody/model", str(tmp_path / "model"), "", "../no-such-folder", "http://there/model"):
        save_session(tmp_path / "s.json", LiveSettings(engine=EngineSettings(model=model, size=224)))
        opened = open_session(tmp_path / "s.json")
        assert [(each.kind, each.name) for each in opened.outside] == [("model", model)]
        assert opened.within.engine == EngineSettings(model=DEFAULT_MODEL, size=224)
        with pytest.raises(UsageError, match="the model"):
            load_session(tmp_path / "s.json")


def test_a_model_folder_is_saved_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    save_session(tmp_path / "s.json", LiveSettings(engine=EngineSettings(model="model")))
    assert load_session(tmp_path / "s.json", trusted=True).engine.model == str(tmp_path / "model")


def test_one_sentence_names_all_external_references(tmp_path: Path) -> None:
    settings = LiveSettings(
        effects=(CutOut(file=Path("/a\u202e.png")), CutOut(file=Path("/b.png")), CutOut(file=Path("/b.png"))),
        engine=EngineSettings(model="x/y"),
    )
    with pytest.raises(UsageError, match=r"uses the file /a\ufffd.png, the file /b.png and the model x/y outside"):
        load_session(write_session(tmp_path, settings))
