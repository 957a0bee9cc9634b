"""What crosses from other threads into Qt: coalesced pictures, messages in order, outcomes of slow errands."""

import threading

from PySide6.QtCore import QCoreApplication, QObject
from pytestqt.qtbot import QtBot
from shiboken6 import delete, isValid

from clipseg_live.core.errors import Failure
from clipseg_live.core.status import Message
from clipseg_live.gui.state.thread_bridge import BackgroundTask, Bridge
from tests.helpers.gui.fake_session import FakeSession, picture


def from_a_thread(work: object) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_many_pictures_are_one_signal_and_the_next_is_another(qtbot: QtBot, session: FakeSession) -> None:
    bridge = Bridge(session)
    heard: list[threading.Thread] = []
    bridge.frame_ready.connect(lambda: heard.append(threading.current_thread()))
    from_a_thread(lambda: [session.show(picture(index=number)) for number in range(500)])
    assert heard == []
    qtbot.waitUntil(lambda: len(heard) > 0, timeout=2000)
    qtbot.wait(20)
    assert heard == [threading.main_thread()]
    from_a_thread(lambda: session.show(picture()))
    qtbot.waitUntil(lambda: len(heard) == 2, timeout=2000)


def test_messages_come_whole_and_in_order(qtbot: QtBot, session: FakeSession) -> None:
    bridge = Bridge(session)
    sent = [Message("a", str(number)) for number in range(20)]
    with qtbot.waitSignal(bridge.messages_arrived, timeout=2000):
        from_a_thread(lambda: [session.on_message(message) for message in sent])
    assert bridge.messages() == sent
    assert bridge.messages() == []


def test_nothing_is_heard_any_more_after_letting_go(qtbot: QtBot, session: FakeSession) -> None:
    bridge = Bridge(session)
    bridge.disconnect_session()
    with qtbot.assertNotEmitted(bridge.frame_ready, wait=30), qtbot.assertNotEmitted(bridge.messages_arrived):
        session.show(picture())
        session.on_message(Message("a", "b"))


def test_an_errand_is_run_beside_and_answers_in_qt_s_thread(qtbot: QtBot) -> None:
    worked: list[threading.Thread] = []
    succeeded: list[tuple[object, threading.Thread]] = []

    def work() -> str:
        worked.append(threading.current_thread())
        return "done"

    task = BackgroundTask(work)
    task.succeeded.connect(lambda answer: succeeded.append((answer, threading.current_thread())))
    with qtbot.waitSignal(task.succeeded, timeout=2000):
        task.start()
        task.start()  # it is under way already
        assert task.running
    assert worked != [threading.main_thread()] and len(worked) == 1
    assert succeeded == [("done", threading.main_thread())]
    assert not task.running
    with qtbot.waitSignal(task.succeeded, timeout=2000):
        task.start()
    assert len(worked) == 2


def test_a_failed_errand_says_why(qtbot: QtBot) -> None:
    for error, messages in ((Failure("There is no folder."), "There is no folder."), (KeyError("x"), "KeyError: 'x'")):

        def work(error: Exception = error) -> None:
            raise error

        task = BackgroundTask(work)
        with qtbot.assertNotEmitted(task.succeeded), qtbot.waitSignal(task.failed, timeout=2000) as failed:
            task.start()
        assert failed.args == [messages]


def test_errands_of_what_is_destroyed_just_then_end_unheard(qtbot: QtBot) -> None:
    """Threads end while Qt's thread destroys the dialogs that asked them."""
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
