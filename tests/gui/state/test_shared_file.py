"""Two windows with one settings folder keep the changes of each other."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QLockFile

from clipseg_live.core.addresses import SourceName
from clipseg_live.core.settings.effects import Blur, Raw
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.gui.state.preferences import (
    MOST_RECENT,
    Preferences,
    PreferencesStore,
    load_preferences,
    save_preferences,
)
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.state.shared_file import locked, merge

NAMES = st.sampled_from(["folder", "geometry", "panels"])


def spec(name: str, **values: int) -> SourceSpec:
    return SourceSpec(name=SourceName(name), **values)


def windows(path: Path, qapp: object) -> tuple[PreferencesStore, PreferencesStore]:
    kept, problem = load_preferences(path)
    assert problem == ""
    return tuple(PreferencesStore(path, kept, pytest.fail) for _ in range(2))  # type: ignore[return-value]


def test_each_window_keeps_changes_of_the_other(tmp_path: Path, qapp: object) -> None:
    path = tmp_path / "preferences.json"
    save_preferences(path, Preferences(recent=(spec("demo:1"),)))
    first, second = windows(path, qapp)
    settings_ = first.value.settings
    first.update(settings=settings_.model_copy(update={"effects": (Raw(),)}), folder="/films")
    first.change(first.value.with_source(spec("demo:2")))
    first.write()
    second.update(
        settings=settings_.model_copy(update={"framing": settings_.framing.model_copy(update={"mirror": True})})
    )
    second.change(second.value.with_source(spec("demo:3")))
    second.update(recording=RecordingSettings(quality=12))
    second.write()
    first.update(recording=RecordingSettings(codec="vp9"))
    first.write()
    kept, problem = load_preferences(path)
    assert problem == "" and kept.folder == "/films"
    assert kept.settings.effects == (Raw(),) and kept.settings.framing.mirror
    assert (kept.recording.quality, kept.recording.codec) == (12, "vp9")
    assert [str(entry.name) for entry in kept.recent] == ["demo:3", "demo:2", "demo:1"]


def test_the_later_window_wins_where_both_changed_the_same(tmp_path: Path, qapp: object) -> None:
    path = tmp_path / "preferences.json"
    first, second = windows(path, qapp)
    for preferences_store, effect in ((first, Raw()), (second, Blur())):
        preferences_store.update(settings=preferences_store.value.settings.model_copy(update={"effects": (effect,)}))
        preferences_store.write()
    assert load_preferences(path)[0].settings.effects == (Blur(),)


def test_lists_stay_short_and_name_each_source_once(tmp_path: Path, qapp: object) -> None:
    path = tmp_path / "preferences.json"
    save_preferences(path, Preferences(recent=tuple(spec(f"demo:{number}") for number in range(MOST_RECENT))))
    first, second = windows(path, qapp)
    first.change(first.value.with_source(spec("demo:5", width=320, height=180)))
    first.write()
    second.change(second.value.with_source(spec("demo:77")))
    second.write()
    recent = load_preferences(path)[0].recent
    assert [str(entry.name) for entry in recent[:2]] == ["demo:77", "demo:5"] and recent[1].width == 320
    assert len(recent) == len({str(entry.name) for entry in recent}) == MOST_RECENT


def test_a_file_that_another_program_has_damaged_is_replaced(tmp_path: Path, qapp: object) -> None:
    path = tmp_path / "preferences.json"
    first, _ = windows(path, qapp)
    path.write_text("{")
    first.update(folder="/films")
    first.write()
    assert load_preferences(path)[0].folder == "/films"


def test_the_history_has_prompts_of_both_windows(tmp_path: Path, qapp: object) -> None:
    first, second = (PromptHistory(tmp_path / "prompts.json") for _ in range(2))
    for history, text in ((first, "mug"), (second, "hair"), (first, "cat"), (second, "Mug")):
        history.add(text)
    assert PromptHistory(tmp_path / "prompts.json").texts == second.texts == ("Mug", "cat", "hair")
    first.clear()
    second.add("dog")
    assert PromptHistory(tmp_path / "prompts.json").texts == ("dog",)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), NAMES, st.integers(0, 9), st.booleans()), max_size=20))
def test_no_order_of_changes_and_writes_loses_a_change(steps: list[tuple[bool, str, int, bool]]) -> None:
    """Each value in the file is from the window that changed it and wrote last."""
    file: dict[str, object] = {}
    views: list[dict[str, object]] = [{}, {}]
    bases: list[dict[str, object]] = [{}, {}]
    expected: dict[str, object] = {}
    for which, name, value, writes in steps:
        views[which] = {**views[which], name: value}
        if writes:
            expected |= {key: entry for key, entry in views[which].items() if entry != bases[which].get(key)}
            file = merge(bases[which], views[which], file)
            bases[which] = views[which]
    assert file == expected


def _add_many(path: Path, who: int) -> None:
    history = PromptHistory(path)
    for number in range(20):
        history.add(f"prompt {who} {number}")


@pytest.mark.slow
@pytest.mark.usefixtures("quick_workers")
def test_concurrent_processes_lose_no_prompt(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "prompts.json"
    processes = [context.Process(target=_add_many, args=(path, who)) for who in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
        process.close()
    assert len(PromptHistory(path).texts) == 40
    assert [entry.name for entry in tmp_path.iterdir()] == ["prompts.json"]


@pytest.mark.slow
def test_a_lock_of_a_killed_window_is_ignored(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "preferences.json"
    process = context.Process(target=_lock_and_die, args=(path,))
    process.start()
    process.join(60)
    assert (tmp_path / "preferences.json.lock").exists()
    process.close()
    with locked(path):
        other = QLockFile(str(tmp_path / "preferences.json.lock"))
        assert not other.tryLock(0)
    assert not (tmp_path / "preferences.json.lock").exists()


def _lock_and_die(path: Path) -> None:
    import os

    with locked(path):
        os._exit(0)
