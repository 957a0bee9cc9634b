"""Measure the live application, and print tables.

    python scripts/bench_live.py [--engines openvino,torch] [--compare CHECKOUT] [--seconds 20] [--minutes 10] [--json]

Each run starts the real window in its own process, under a virtual display if there is no display, and measures when
frames are painted. The real architecture runs with random weights. Its maps have no meaning, so thresholds are set to
mask a tenth of the frame. Engines take turns, so that they meet the same conditions. ``--compare`` adds the window of
another checkout, such as an earlier commit, which runs its own ``scripts/bench_live.py``. ``--minutes`` adds a soak run
that measures the growth of memory.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a checkout needs no installation

SIZE, RATE = (1280, 720), 30
CLIP_SECONDS = 30
SCENES = {"demo": "demo", "calm": "slow"}
"""Scenes, with their names in ``quality_clips.DRAWN``; "demo" is that of the source ``demo:``."""
SCENE_SEED = 2001
PATIENCE = 180.0
"""Seconds after which a run counts as failed, besides its duration."""
CPU_PERIOD = 1.0
"""Seconds between two readings of processor time."""


@dataclass(frozen=True)
class LiveRow:
    """Medians over the runs of one engine with one scene. Columns are explained by ``HEADINGS``."""

    checkout: str
    scene: str
    engine: str
    dtype: str
    threads: int | None
    predictions: float
    alone: float | None
    tokens: float | None
    display: float
    gap95_ms: float
    edit_ms: float
    cpu_seconds: float | None
    window_mb: float


HEADINGS = {
    "scene": "scene",
    "checkout": "checkout",
    "engine": "engine",
    "dtype": "dtype",
    "threads": "threads",
    "predictions": "predictions/s",
    "alone": "engine alone/s",
    "tokens": "tokens",
    "display": "frames/s",
    "gap95_ms": "95% gap ms",
    "edit_ms": "edit ms",
    "cpu_seconds": "CPU s/min",
    "window_mb": "window MB",
}


@dataclass(frozen=True)
class Variant:
    """A way to run the window.

    Attributes:
        checkout: Folder with the program.
        engine: Engine to ask for; None for a checkout that has one only.
        threads: CPU threads of the engine; None for the program's own choice.
    """

    checkout: Path
    engine: str | None
    threads: int | None

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        made = {**os.environ, "PYTHONPATH": str(self.checkout)}
        return made if self.threads is None else made | {"OMP_NUM_THREADS": str(self.threads)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of the model (default: the real architecture with random weights)")
    parser.add_argument("--engines", help="engines, separated by commas (default: all that can run)")
    parser.add_argument("--threads", default="", help="CPU threads of the engine, separated by commas")
    parser.add_argument("--scenes", default=",".join(SCENES), help="scenes, separated by commas (%(default)s)")
    parser.add_argument("--clips", help="folder of the clips of an earlier run, or for those of this run")
    parser.add_argument("--compare", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each engine with each scene (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of each run (%(default)s)")
    parser.add_argument("--minutes", type=float, default=0.0, help="duration of the soak run (%(default)s: none)")
    parser.add_argument("--display-only", action="store_true", help="measure no starts and no gaps")
    parser.add_argument("--json", action="store_true", help="print a JSON object per row")
    parser.add_argument("--engine", default="auto", help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--clip", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from scripts.live_window import LiveWindow

        LiveWindow(options.child, options.model, options.clip, options.seconds, options.engine).run()
        return
    with tempfile.TemporaryDirectory() as folder, virtual_display():
        model = options.model or random_weights(Path(folder))
        clips = Path(options.clips or folder)
        scenes = {name: make_clip(clips / f"{name}.mp4", name) for name in options.scenes.split(",")}
        clip = next(iter(scenes.values()))
        rows = display_rows(model, scenes, variants(options), options.rounds, options.seconds)
        print_display(rows, as_json=options.json)
        others = [] if options.display_only else [*start_rows(clip), *gap_rows(clip, options.seconds)]
        if options.minutes:
            others += soak_rows(model, clip, options.minutes)
        print_others(others, as_json=options.json)


def variants(options: argparse.Namespace) -> list[Variant]:
    from clipseg_live.model.engines import available_engines

    engines = options.engines.split(",") if options.engines else available_engines()
    counts = [int(count) for count in options.threads.split(",") if count] or [None]
    return [
        *(Variant(ROOT, engine, count) for count in counts for engine in engines),
        *(Variant(checkout.resolve(), None, None) for checkout in options.compare),
    ]


def display_rows(
    model: str, scenes: dict[str, str], variants: Sequence[Variant], rounds: int, seconds: float
) -> list[LiveRow]:
    """Return the rates of predictions and frames while the real architecture runs on the same cores."""
    runs: dict[tuple[str, Variant], list[LiveRow]] = {}
    for _ in range(rounds):
        for scene, clip in scenes.items():
            for variant in variants:
                events = run_child("display", model, clip, seconds, variant)
                row = LiveRow(
                    checkout="this" if variant.checkout == ROOT else variant.checkout.name,
                    scene=scene,
                    engine=events.get("engine", "torch"),
                    dtype=events.get("dtype", "float32"),
                    threads=variant.threads,
                    predictions=events["inference"],
                    alone=None if variant.engine is None else alone_rate(model, clip, variant),
                    tokens=events.get("tokens"),
                    display=events["rate"],
                    gap95_ms=events["gap95"] * 1000,
                    edit_ms=events["edit"] * 1000,
                    cpu_seconds=events["cpu"],
                    window_mb=events["rss"],
                )
                runs.setdefault((scene, variant), []).append(row)
                print(f"{scene} {row.checkout} {row.engine}: {row.predictions:.2f}/s", file=sys.stderr, flush=True)
    return [median_row(rows) for rows in runs.values()]


def median_row(rows: Sequence[LiveRow]) -> LiveRow:
    """Return the medians of the measured columns."""
    made = asdict(rows[0])
    for name, value in made.items():
        values = [getattr(row, name) for row in rows]
        if isinstance(value, float) and None not in values:
            made[name] = statistics.median(values)
    return LiveRow(**made)


def print_display(rows: Sequence[LiveRow], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps({"measure": "display", **asdict(row)}))
        return
    digits = {"predictions": 2, "alone": 2, "tokens": 2, "display": 1}
    table = [list(HEADINGS.values())]
    for row in rows:
        values = [getattr(row, name) for name in HEADINGS]
        table.append([
            "-" if value is None else f"{value:.{digits.get(name, 0)}f}" if isinstance(value, float) else str(value)
            for name, value in zip(HEADINGS, values, strict=True)
        ])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def print_others(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    for row in rows:
        print(f"{row['measure']:<52}  {row['value']:8.2f} {row['unit']:<6}  {row['target']}")


def start_rows(clip: str) -> list[dict[str, Any]]:
    """Return the times until the first frame and mask, and of importing torch and loading with transformers."""
    times: dict[str, list[float]] = {"import torch": [], "loading alone": [], "first frame": [], "first mask": []}
    for _ in range(3):
        times["import torch"].append(seconds_of("import torch"))
        times["loading alone"].append(seconds_of(LOAD_ALONE))
        events = run_child("start", "shapes", clip, 30, Variant(ROOT, "auto", None))
        times["first frame"].append(events["first_frame"])
        times["first mask"].append(events["first_mask"])
    targets = {"first frame": "under 1 s, and less than import torch", "first mask": "1.2 times import torch"}
    return [
        {"measure": f"{name}, model shapes" if name in targets else name, "value": statistics.median(values),
         "unit": "s", "target": targets.get(name, "")} for name, values in times.items()
    ]  # fmt: skip


def gap_rows(clip: str, seconds: float) -> list[dict[str, Any]]:
    """Return the longest gaps between painted frames during edits, a model change and a kill of the worker."""
    events = run_child("gaps", "shapes", clip, seconds, Variant(ROOT, "auto", None))
    return [
        {"measure": f"longest gap, {name}", "value": gap * 1000, "unit": "ms", "target": "at most 100 ms"}
        for name, gap in events["longest"].items()
    ]


def soak_rows(model: str, clip: str, minutes: float) -> list[dict[str, Any]]:
    events = run_child("soak", model, clip, 60 * minutes, Variant(ROOT, "auto", None))
    return [{"measure": "memory growth a minute", "value": events["growth"], "unit": "MB", "target": "under 1 MB"}]


def alone_rate(model: str, clip: str, variant: Variant) -> float:
    """Return the frames per second of the engine alone, with the threads that it has in the application."""
    command = [sys.executable, "-c", ALONE, model, clip, variant.engine or "auto"]
    done = subprocess.run(command, env=variant.environment(), check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def run_child(scenario: str, model: str, clip: str, seconds: float, variant: Variant) -> dict[str, Any]:
    """Run a scenario in its own process. Its times are relative to the start of this process."""
    script = variant.checkout / "scripts" / "bench_live.py"
    command = [sys.executable, str(script), "--child", scenario, "--model", model, "--clip", clip]
    command += ["--seconds", str(seconds), *(["--engine", variant.engine] if variant.engine else [])]
    with tempfile.TemporaryDirectory() as config:
        environment = variant.environment() | {"CLIPSEG_LIVE_CONFIG": config, "CLIPSEG_LIVE_STARTED": repr(time.time())}
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=config
        )
        sampler = CpuSampler(child.pid)
        try:
            printed, errors = child.communicate(timeout=seconds + PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            printed, errors = child.communicate()
        cpu = sampler.finish()
    events: dict[str, Any] = json.loads(printed.splitlines()[-1]) if printed.strip() else {}
    if child.returncode or not events:
        sys.exit(f"The scenario {scenario} failed:\n{errors}")
    return events | {"cpu": cpu}


class CpuSampler(threading.Thread):
    """Reads the processor time of a process and its children once a second; Linux only."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._rates: list[float] = []
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Read until ``finish``."""
        last, at = cpu_seconds(self._process), time.monotonic()
        while not self._ended.wait(CPU_PERIOD):
            value, now = cpu_seconds(self._process), time.monotonic()
            if value is not None and last is not None and value > last:  # it shrinks when a child ends
                self._rates.append((value - last) / (now - at))
            last, at = value, now

    def finish(self) -> float | None:
        """Return the median seconds of processor time per minute; None if the system does not tell."""
        self._ended.set()
        self.join()
        return 60 * statistics.median(self._rates) if self._rates else None


def cpu_seconds(process: int) -> float | None:
    """Return the processor time of a process and its living children; None if it has ended or the system has none."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        children = [
            int(child) for task in os.listdir(f"/proc/{process}/task")
            for child in Path(f"/proc/{process}/task/{task}/children").read_text().split()
        ]  # fmt: skip
    except OSError:
        return None
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(child) or 0.0 for child in children)


LOAD_ALONE = """
from transformers import CLIPSegForImageSegmentation
import clipseg_live.demo, pathlib
CLIPSegForImageSegmentation.from_pretrained(pathlib.Path(list(clipseg_live.demo.__path__)[0]) / "shapes")
"""
ALONE = """
import sys, time
from clipseg_live import Prompt, Segmenter
from clipseg_live.model.threads import leave_a_core
from clipseg_live.media.sources.video_file import VideoFileSource
leave_a_core()
segmenter = Segmenter.load(sys.argv[1], engine=sys.argv[3])
prompts = [Prompt.text("red circle"), Prompt.text("blue star")]
source = VideoFileSource(sys.argv[2]); source.open()
frames = [source.read().pixels for _ in range(12)]; source.close()
segmenter.segment(frames[0], prompts)
times = []
for frame in frames[1:]:
    start = time.perf_counter(); segmenter.segment(frame, prompts); times.append(time.perf_counter() - start)
print(1 / sorted(times)[len(times) // 2])
"""


def random_weights(folder: Path) -> str:
    from clipseg_live.model.random_weights import write_random_model

    return str(write_random_model(folder / "random"))


def make_clip(path: Path, scene: str) -> str:
    """Write a scene as a video of 1280×720 at 30 frames per second, unless it exists, and return its path."""
    from clipseg_live.core.frame import Frame, SourceInfo
    from clipseg_live.core.rendered_frame import RenderedFrame
    from clipseg_live.demo.scenes import Scene
    from clipseg_live.demo.source import DemoSource
    from clipseg_live.media.writers.video import VideoWriter
    from scripts.quality_clips import DRAWN

    if path.exists():
        return str(path)
    source = DemoSource(0, *SIZE, Fraction(RATE), duration=Fraction(CLIP_SECONDS))
    info: SourceInfo = source.open()
    writer = VideoWriter(path, live=True)
    writer.open(info)
    drawn = None if scene == "demo" else Scene(SCENE_SEED, *SIZE, settings=DRAWN[SCENES[scene]])
    for frame in iter(source.read, None):
        shown = frame if drawn is None else Frame(drawn.picture(frame.index), frame.index, frame.time)
        writer.write(RenderedFrame.of(shown))
    writer.finish()
    return str(path)


def seconds_of(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - start


@contextmanager
def virtual_display() -> Iterator[None]:
    """Start Xvfb if there is no display and Xvfb is installed; otherwise use Qt's offscreen platform."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        yield
        return
    program = shutil.which("Xvfb")
    if program is None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        yield
        return
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as number:
        os.environ["DISPLAY"] = f":{number.readline().strip()}"
    try:
        yield
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
