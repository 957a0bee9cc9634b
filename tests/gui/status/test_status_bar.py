"""The status line, the statistics and the diagnostics."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from clipseg_live.core.mattes import Effort
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.status import SessionStatus, SourceState, WorkerState, WorkerStatus
from clipseg_live.gui.status.stats_panel import STAGE_COLOURS, StatsPanel, round_up
from clipseg_live.gui.status.status_bar import StatusLine, diagnostics
from clipseg_live.gui.widgets import theme
from tests.helpers.gui.fake_session import RATES, READY, live_status

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def line(qtbot: QtBot) -> StatusLine:
    widget = StatusLine()
    qtbot.addWidget(widget)
    widget.resize(1200, 40)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


@pytest.fixture
def panel(qtbot: QtBot) -> StatsPanel:
    widget = StatsPanel()
    qtbot.addWidget(widget)
    widget.resize(800, 168)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def test_rates_delay_and_lost_frames_are_shown(line: StatusLine) -> None:
    line.show_status(SessionStatus(live_status(), READY, rates=RATES))
    for part in (
        "Video 30 fps", "masks 7.4 fps", "lag 0.03 s", "source 30 fps", "lag (95 %) 0.05 s", "2 dropped", "412 skipped",
        "1280 × 720",
    ):  # fmt: skip
        assert part in line.rates_label.text()
    assert line.worker.text() == "rd64-refined · cpu · float32"
    assert not line.loading.isVisible() and not line.restart_button.isVisible()


@pytest.mark.parametrize(
    ("effort", "text"), [("full", ""), ("reduced", "simpler edges"), ("least", "edge refinement off")]
)
def test_reduced_effort_is_shown(line: StatusLine, effort: Effort, text: str) -> None:
    line.show_status(SessionStatus(live_status(), READY, rates=RATES, effort=effort))
    assert text in line.rates_label.text() and ("keep up" in line.rates_label.text()) == bool(text)


def test_less_important_values_are_hidden_in_a_narrow_window(line: StatusLine, qtbot: QtBot) -> None:
    line.show_status(SessionStatus(live_status(), READY, rates=RATES))
    line.resize(640, 40)
    qtbot.waitUntil(lambda: "dropped" not in line.rates_label.text(), timeout=1000)
    assert "Video 30 fps" in line.rates_label.text()
    assert "412 skipped" in line.rates_label.toolTip()


def test_no_values_are_shown_without_a_frame(line: StatusLine) -> None:
    for state in (SourceState.CLOSED, SourceState.OPENING, SourceState.FAILED):
        line.show_status(SessionStatus(replace(live_status(), state=state), READY, rates=RATES))
        assert line.rates_label.text() == ""


@pytest.mark.parametrize(
    ("worker", "text", "busy"),
    [
        (WorkerStatus(), "Model off", False),
        (WorkerStatus(WorkerState.STARTING), "Starting model", True),
        (WorkerStatus(WorkerState.LOADING), "Loading model", True),
        (WorkerStatus(WorkerState.LOADING, "Downloading 120 of 600 MB"), "Downloading 120 of 600 MB", True),
        (WorkerStatus(WorkerState.RESTARTING), "Restarting model", True),
        (WorkerStatus(WorkerState.WAITING, problem="It crashed."), "Model stopped", False),
    ],
)
def test_the_state_of_the_worker_is_shown(line: StatusLine, worker: WorkerStatus, text: str, busy: bool) -> None:
    line.show_status(SessionStatus(live_status(), worker))
    assert line.worker.text() == text
    assert line.loading.isVisible() is busy
    assert line.worker.toolTip() == worker.problem


def test_a_download_shows_its_progress(line: StatusLine) -> None:
    line.show_status(SessionStatus(live_status(), WorkerStatus(WorkerState.LOADING, "150 of 600 MB")))
    assert line.loading.value() == line.loading.maximum() / 4
    line.show_status(SessionStatus(live_status(), WorkerStatus(WorkerState.LOADING, "half way: 50 %")))
    assert line.loading.value() == line.loading.maximum() / 2
    line.show_status(SessionStatus(live_status(), WorkerStatus(WorkerState.LOADING, "reading")))
    assert line.loading.maximum() == 0


def test_a_stopped_worker_can_be_restarted(line: StatusLine, qtbot: QtBot) -> None:
    line.show_status(SessionStatus(live_status(), WorkerStatus(WorkerState.WAITING)))
    with qtbot.waitSignal(line.restart_requested, timeout=1000):
        qtbot.mouseClick(line.restart_button, LEFT)


def test_the_dot_shows_a_problem_of_a_running_worker(line: StatusLine) -> None:
    line.show_status(SessionStatus(live_status(), READY))
    assert theme.GOOD in line.status_dot.styleSheet()
    line.show_status(SessionStatus(live_status(), replace(READY, problem="The built-in model runs instead.")))
    assert theme.WARNING in line.status_dot.styleSheet()


def test_the_button_requests_statistics(line: StatusLine, qtbot: QtBot) -> None:
    with qtbot.waitSignal(line.details_toggled, timeout=1000) as requested:
        qtbot.mouseClick(line.details_button, LEFT)
    assert requested.args == [True]


def rows_near_colour(panel: StatsPanel, colour: str) -> list[int]:
    """Return the rows of the plot with pixels close to this colour."""
    image, wanted = panel.grab().toImage(), QColor(colour).getRgb()[:3]
    return [
        y
        for y in range(24, 145)
        for result in [image.pixelColor(300, y).getRgb()[:3]]
        if max(abs(one - other) for one, other in zip(result, wanted, strict=True)) < 60
    ]


def test_each_stage_is_a_line_with_its_colour_and_height(panel: StatsPanel) -> None:
    assert not rows_near_colour(panel, STAGE_COLOURS[0]) and not rows_near_colour(panel, STAGE_COLOURS[1])
    rows = [(29.0, {"encode": 90.0, "decode": 30.0}), (0.0, {"encode": 90.0, "decode": 30.0})]
    panel.show_timings(rows, {"encode": 90.0, "decode": 30.0, "nothing": 0.0})
    assert panel.accessibleDescription() == "encode 90.0 ms, decode 30.0 ms"
    slow, fast = rows_near_colour(panel, STAGE_COLOURS[0]), rows_near_colour(panel, STAGE_COLOURS[1])
    assert slow and fast and max(slow) < min(fast)
    panel.show_timings([], {})
    assert not rows_near_colour(panel, STAGE_COLOURS[0])


def test_the_button_requests_diagnostics(panel: StatsPanel, qtbot: QtBot) -> None:
    with qtbot.waitSignal(panel.copy_requested, timeout=1000):
        qtbot.mouseClick(panel.copy_button, LEFT)


def test_axes_end_at_round_numbers() -> None:
    assert [round_up(value) for value in (0.0, 1.0, 1.1, 4.0, 7.0, 120.0)] == [1, 1, 2, 5, 10, 200]


def test_diagnostics_contain_no_prompts_paths_or_addresses() -> None:
    settings = LiveSettings()
    settings = settings.model_copy(update={"rows": (settings.new_row("my secret mug"),)})
    source = replace(live_status(), name="rtsp://user:secret@cam/one", problem="rtsp://secret was cut")
    text = diagnostics(SessionStatus(source, READY, rates=RATES), settings)
    assert "secret" not in text
    for part in ("1280×720", "torch cpu float32", "prompts: 1", "412 skipped", "encode 92.0", "median 34 ms"):
        assert part in text
    assert "3 unchanged, - computed" in text
    reusing = SessionStatus(source, READY, rates=replace(RATES, recomputed=0.423))
    assert "3 unchanged, 42% computed" in diagnostics(reusing, settings)
