"""Random user actions: the window stays consistent with the settings of the session.

``scripts/reliability/window_actions.py`` runs more of them.
"""

import multiprocessing
from collections import Counter

import pytest
from pytestqt.qtbot import QtBot

from clipseg_live.app import session as live
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.gui.prompts.panel import PromptPanel
from tests.gui.conftest import FakeServices
from tests.helpers.gui.monkey import ACTIONS, ACTIONS_ON_A_REAL_SESSION, Faults, Monkey, run_machine, window_machine
from tests.helpers.live_engine import make_fake_engine
from tests.unit.runtime.inference.test_client import shared_blocks

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*QDragEnterEvent:DeprecationWarning"),
    pytest.mark.usefixtures("quick_workers"),
]


@pytest.mark.slow
def test_random_actions_keep_the_window_consistent(qtbot: QtBot, tmp_path_factory: pytest.TempPathFactory) -> None:
    done: Counter[str] = Counter()

    def make(faults: Faults, numbers: list[int]) -> Monkey:
        return Monkey(tmp_path_factory.mktemp("window"), FakeServices().real, faults, numbers=numbers)

    run_machine(window_machine(make, ACTIONS, done), examples=3, steps=50)
    assert done.total() >= 100 and len(done) > 15


@pytest.mark.slow
def test_a_fault_is_detected(
    qtbot: QtBot, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulated bug keeps the cards of deleted rows."""
    monkeypatch.setattr(PromptPanel, "_remove_row", lambda self, card: card.hide())

    def make(faults: Faults, numbers: list[int]) -> Monkey:
        return Monkey(tmp_path_factory.mktemp("window"), FakeServices().real, faults, numbers=numbers)

    machine = window_machine(make, ("type_prompt", "undo_and_redo"), Counter())
    with pytest.raises(AssertionError, match="cards of rows that are gone"):
        run_machine(machine, examples=2, steps=20)


@pytest.mark.slow
def test_a_real_session_ends_cleanly_after_random_actions(
    qtbot: QtBot, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "make_engine", make_fake_engine)
    before, done = shared_blocks(), Counter()
    settings = LiveSettings(rows=(PromptRow(id=0, text="red"),), engine=EngineSettings(model="shapes"))

    def make(faults: Faults, numbers: list[int]) -> Monkey:
        session = live.make_session(settings)
        session.start()
        session.open(SourceSpec(name="demo:", width=160, height=90))
        folder = tmp_path_factory.mktemp("window")
        return Monkey(folder, FakeServices().real, faults, session, numbers, settings)

    run_machine(window_machine(make, ACTIONS_ON_A_REAL_SESSION, done), examples=1, steps=50)
    assert done.total() > 20 and shared_blocks() == before and multiprocessing.active_children() == []
