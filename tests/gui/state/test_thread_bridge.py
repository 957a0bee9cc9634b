"""Transfer from other threads to Qt: coalesced frames, messages in order, and results of background tasks."""

import threading

import pytest
from PySide6.QtCore import QCoreApplication, QObject
from pytestqt.qtbot import QtBot
from shiboken6 import delete, isValid

from clipseg_live.core.errors import Failure
from clipseg_live.core.status import Message
from clipseg_live.gui.state.thread_bridge import BackgroundTask, Bridge
from tests.helpers.gui.fake_session import FakeSession, rendered_frame


def run_in_thread(work: object) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_many_frames_are_one_signal(qtbot: QtBot, session: FakeSession) -> None:
    bridge = Bridge(session)
    heard: list[threading.Thread] = []
    bridge.frame_ready.connect(lambda: heard.append(threading.current_thread()))
    run_in_thread(lambda: [session.show(rendered_frame(index=number)) for number in range(500)])
    assert heard == []
    qtbot.waitUntil(lambda: len(heard) > 0, timeout=2000)
    qtbot.wait(20)
    assert heard == [threading.main_thread()]
    run_in_thread(lambda: session.show(rendered_frame()))
    qtbot.waitUntil(lambda: len(heard) == 2, timeout=2000)


def test_messages_are_complete_and_in_order(qtbot: QtBot, session: FakeSession) -> None:
    bridge = Bridge(session)
    sent = [Message("a", str(number)) for number in range(20)]
    with qtbot.waitSignal(bridge.messages_arrived, timeout=2000):
        run_in_thread(lambda: [session.on_message(message) for message in sent])
    assert bridge.messages() == sent
    assert bridge.messages() == []


def test_no_signal_is_sent_after_disconnecting(qtbot: QtBot, session: FakeSession) -> None:
    bridge = Bridge(session)
    bridge.disconnect_session()
    with qtbot.assertNotEmitted(bridge.frame_ready, wait=30), qtbot.assertNotEmitted(bridge.messages_arrived):
        session.show(rendered_frame())
        session.on_message(Message("a", "b"))


def test_a_task_runs_in_another_thread_and_returns_in_qt_s_thread(qtbot: QtBot) -> None:
    worked: list[threading.Thread] = []
    succeeded: list[tuple[object, threading.Thread]] = []

    def work() -> str:
        worked.append(threading.current_thread())
        return "done"

    task = BackgroundTask(work)
    task.succeeded.connect(lambda answer: succeeded.append((answer, threading.current_thread())))
    with qtbot.waitSignal(task.succeeded, timeout=2000):
        task.start()
        task.start()  # already running
        assert task.running
    assert worked != [threading.main_thread()] and len(worked) == 1
    assert succeeded == [("done", threading.main_thread())]
    assert not task.running
    with qtbot.waitSignal(task.succeeded, timeout=2000):
        task.start()
    assert len(worked) == 2


def test_a_failed_task_reports_its_error(qtbot: QtBot) -> None:
    for error, messages in ((Failure("There is no folder."), "There is no folder."), (KeyError("x"), "KeyError: 'x'")):

        def work(error: Exception = error) -> None:
            raise error

        task = BackgroundTask(work)
        with qtbot.assertNotEmitted(task.succeeded), qtbot.waitSignal(task.failed, timeout=2000) as failed:
            task.start()
        assert failed.args == [messages]


@pytest.mark.slow
def test_tasks_of_deleted_objects_are_ignored(qtbot: QtBot) -> None:
    """Threads end while Qt's thread deletes the dialogs that started them."""
    heard: list[object] = []
    for _ in range(300):
        dialog = QObject()
        task = BackgroundTask(lambda: 1, dialog)
        task.succeeded.connect(heard.append)
        task.start()
        thread = task._thread
        delete(dialog)
        assert thread is not None
        thread.join(5)
    QCoreApplication.processEvents()
    assert heard == [] and not isValid(task)
