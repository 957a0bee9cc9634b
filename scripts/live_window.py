"""The window of ``bench_live.py``: one scenario in this process, which prints its results as one line of JSON."""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

PROMPTS = ("red circle", "blue star")
GAP_EVENTS = 200


class LiveWindow:
    """The window in this process. Its canvas records when frames are painted."""

    def __init__(self, scenario: str, model: str, clip: str, seconds: float, engine: str) -> None:
        self.scenario, self.model, self.clip, self.seconds, self.engine = scenario, model, clip, seconds, engine
        self.started = float(os.environ["CLIPSEG_LIVE_STARTED"])
        self.painted: list[tuple[float, int, int]] = []  # time, number of masks, version of the prompts
        self.maps: Any = None
        self.sizes: list[tuple[float, float]] = []
        self.results: dict[str, Any] = {}

    def run(self) -> None:
        from PySide6.QtCore import QTimer

        from clipseg_live.core.settings.base import PALETTE, EngineSettings, PromptStyle
        from clipseg_live.core.settings.live import LiveSettings, PromptRow
        from clipseg_live.gui import app
        from clipseg_live.gui.canvas.canvas import Canvas

        paint, last = Canvas.paintEvent, [None]

        def painted(canvas: Any, event: Any) -> None:
            paint(canvas, event)
            if canvas.frame is not None and canvas.frame is not last[0]:
                last[0] = frame = canvas.frame
                self.painted.append((time.time(), len(frame.ids), frame.version))
                self.maps = frame.maps

        Canvas.paintEvent = painted  # type: ignore[method-assign]
        rows = tuple(PromptRow(id=n, text=text, style=PromptStyle(colour=PALETTE[n])) for n, text in enumerate(PROMPTS))
        settings = LiveSettings(rows=rows, engine=EngineSettings(model=self.model, engine=self.engine))
        build = app.MainWindow.__init__

        def built(window: Any, *arguments: Any) -> None:
            build(window, *arguments)
            self.window, self.session, self.store = window, arguments[0], arguments[2]
            self.session.set_loop(True)
            QTimer.singleShot(0, lambda: self._follow(self._script()))

        app.MainWindow.__init__ = built  # type: ignore[method-assign]
        app.run_window(settings=settings, source=self.clip)
        print(json.dumps(self.results))

    def _follow(self, script: Iterator[float]) -> None:
        """Run the script: wait for each of its pauses in seconds, and close the window at its end."""
        from PySide6.QtCore import QTimer

        try:
            pause = next(script)
        except StopIteration:
            self.window.close()
            return
        except Exception:
            self.results.clear()  # reported as a failure
            self.window.close()
            raise
        QTimer.singleShot(round(pause * 1000), lambda: self._follow(script))

    def _script(self) -> Iterator[float]:
        return {"start": self._start, "display": self._display, "gaps": self._gaps, "soak": self._soak}[self.scenario]()

    def _start(self) -> Iterator[float]:
        yield from self._until(lambda: any(masks for _, masks, _ in self.painted), self.seconds)
        self.results["first_frame"] = self.painted[0][0] - self.started
        masked = [at for at, masks, _ in self.painted if masks]
        self.results["first_mask"] = (masked[0] if masked else time.time()) - self.started

    def _display(self) -> Iterator[float]:
        yield from self._until(self._has_mask, 60)
        self._set_thresholds()
        yield 3.0
        begin = time.time()
        before = self.session._render_thread.predicted.count
        yield self.seconds
        span = time.time() - begin
        times = [at for at, _, _ in self.painted if at >= begin]
        gaps = sorted(after - before for before, after in pairwise(times))
        self.results["rate"] = len(times) / span
        self.results["gap95"] = gaps[int(0.95 * len(gaps))]
        self.results["inference"] = (self.session._render_thread.predicted.count - before) / span
        status = self.session.status()
        self.results["engine"], self.results["dtype"] = status.worker.engine, status.worker.dtype
        self.results["tokens"] = status.rates.recomputed
        delays = []
        for number in range(7):
            yield 0.37
            at = time.time()
            self._edit(f"a thing {number}")
            wanted = self.session._prompt_set.version
            yield from self._until(lambda wanted=wanted: self.painted[-1][2] >= wanted, 10)
            shown = (when for when, _, version in self.painted if version >= wanted)
            delays.append(next(shown, time.time()) - at)
        self.results["edit"] = statistics.median(delays)
        self.results["rss"] = resident_megabytes()

    def _gaps(self) -> Iterator[float]:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QLineEdit, QSlider

        yield from self._until(self._has_mask, 60)
        yield 1.0
        longest: dict[str, float] = {}
        begin = time.time()
        field = next(each for each in self.window.prompts.findChildren(QLineEdit) if each.text() == PROMPTS[0])
        for number in range(GAP_EVENTS):
            QTest.keyClick(field, "abcdefghij "[number % 11])
            if number % 20 == 19:
                QTest.keyClick(field, Qt.Key.Key_Return)
            yield 0.03
        longest["typing 200 keys into a prompt"] = self._longest(begin)
        begin = time.time()
        slider = next(each for each in self.window.prompts.findChildren(QSlider) if each.isVisible())
        for number in range(GAP_EVENTS):
            QTest.keyClick(slider, Qt.Key.Key_Right if number // 25 % 2 else Qt.Key.Key_Left)
            yield 0.02
        longest["dragging a slider"] = self._longest(begin)
        begin = time.time()
        engine = self.store.settings.engine
        self.store.update(engine=engine.model_copy(update={"size": 288}))
        yield 1.0
        self.store.update(engine=engine.model_copy(update={"model": str(shapes_folder())}))
        yield 0.2
        yield from self._until(lambda: self.session.status().worker.state.value == "ready", 30)
        yield 1.0
        longest["changing size and loading a model"] = self._longest(begin)
        begin = time.time()
        os.kill(self.session.status().worker.process_id, 9)
        yield 0.5
        yield from self._until(lambda: self.session.status().worker.state.value == "ready", 60)
        yield 1.0
        longest["killing the worker"] = self._longest(begin)
        self.results["longest"] = longest

    def _soak(self) -> Iterator[float]:
        yield from self._until(self._has_mask, 60)
        self._set_thresholds()
        yield 30.0
        end = time.time() + self.seconds
        while time.time() < end:
            self.sizes.append((time.time() / 60, resident_megabytes()))
            yield 5.0
        minutes, sizes = zip(*self.sizes, strict=True)
        self.results["growth"] = statistics.linear_regression(minutes, sizes).slope

    def _until(self, condition: Callable[[], bool], seconds: float) -> Iterator[float]:
        end = time.time() + seconds
        while not condition() and time.time() < end:
            yield 0.005

    def _has_mask(self) -> bool:
        return bool(self.painted) and self.painted[-1][1] == len(PROMPTS)

    def _longest(self, begin: float) -> float:
        times = [at for at, _, _ in self.painted if at >= begin]
        return max(after - before for before, after in pairwise(times))

    def _edit(self, text: str) -> None:
        row = self.store.settings.rows[0]
        self.store.edit_row(row.model_copy(update={"text": text}))

    def _set_thresholds(self) -> None:
        import numpy as np

        for row, part in zip(self.store.settings.rows, self.maps, strict=True):
            style = row.style.model_copy(update={"threshold": float(np.quantile(part, 0.9))})
            self.store.edit_row(row.model_copy(update={"style": style}))


def resident_megabytes() -> float:
    """Return the resident memory of this process in MB; its peak if the current value is not available."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def shapes_folder() -> Path:
    import clipseg_live.demo

    return Path(next(iter(clipseg_live.demo.__path__))) / "shapes"
