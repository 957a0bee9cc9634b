"""Measure indexes of videos, and print one table.

    python scripts/bench_index.py [--model FOLDER] [--frames 3600] [--videos 40] [--minutes 5] [--only speed,fresh,...]

Speed and size are measured with the architecture of rd64-refined and random weights (``--model`` names a folder with
them, otherwise it is made). Entries of an hour are copies of a few encoded frames with noise. Accuracy is measured with
``shapes`` on drawn videos, whose objects are known: a prompt is present where its object covers at least 0.1 % of the
frame. Ranges match if they overlap by at least half of their union.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a checkout needs no installation

from clipseg_live.app.engine import find_model  # noqa: E402
from clipseg_live.app.video_index import IndexRequest, build_index, load_feature_engine, size_on_disk  # noqa: E402
from clipseg_live.core.frame import Pixels  # noqa: E402
from clipseg_live.core.prompts import Prompt  # noqa: E402
from clipseg_live.core.settings.base import EngineSettings  # noqa: E402
from clipseg_live.demo.drawing import coverage  # noqa: E402
from clipseg_live.demo.scenes import STAPLES, PlacedScene, Scene, SceneSettings  # noqa: E402
from clipseg_live.demo.source import DemoSource  # noqa: E402
from clipseg_live.index.appearances import Appearance, RangeRules, find_appearances  # noqa: E402
from clipseg_live.index.building import Indexing  # noqa: E402
from clipseg_live.index.index import Accuracy, Index  # noqa: E402
from clipseg_live.index.manifest import IndexedSource, IndexRecipe  # noqa: E402
from clipseg_live.index.sampling import Sampling  # noqa: E402
from clipseg_live.index.store import IndexStore  # noqa: E402
from clipseg_live.index.writer import CHUNK_ENTRIES, open_writer  # noqa: E402
from clipseg_live.model.features import FeatureSegmenter, FrameFeatures  # noqa: E402

SIZE = (360, 640)
WORD = "a dog"
VISIBLE = 0.001
"""Share of the frame that a present object covers at least."""
SHORTEST, LONGEST = 3.0, 60.0
"""Seconds for which an object is in the frame, or is not."""
STRICT = RangeRules(gap=1, shortest=2)
KILLS = 20
ABSENT = ("a purple ring", "an orange diamond")
TEXTS = (*(f"a {colour} {shape}" for colour, shape in STAPLES), *ABSENT)


@dataclass(frozen=True)
class BenchRow:
    what: str
    target: str
    measured: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--frames", type=int, default=3600)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", help="speed, fresh, rate, memory, kill or ranges, with commas")
    parser.add_argument("--write", nargs=2, metavar=("VIDEO", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--read", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_and_tell(*options.write)
        return
    if options.read:
        read_and_tell(Path(options.read))
        return
    with tempfile.TemporaryDirectory(prefix="clipseg-live-bench-") as name:
        folder = Path(name)
        parts: dict[str, Callable[[], Iterator[BenchRow]]] = {
            "speed": lambda: speed(folder, model(options, folder), options.frames),
            "fresh": lambda: fresh(model(options, folder)),
            "rate": lambda: rate(folder, model(options, folder)),
            "memory": lambda: memory(folder),
            "kill": lambda: kill(folder),
            "ranges": lambda: ranges(folder, options.videos, options.minutes),
        }
        print("| what | target | measured |\n|---|---|---|")
        for part, measure in parts.items():
            if options.only is None or part in options.only.split(","):
                for row in measure():
                    print(f"| {row.what} | {row.target} | {row.measured} |", flush=True)


def model(options: argparse.Namespace, folder: Path) -> FeatureSegmenter:
    path = options.model or folder / "model"
    if not path.exists():
        from clipseg_live.model.random_weights import write_random_model

        write_random_model(path)
    return engine_of(str(path))


def engine_of(name: str) -> FeatureSegmenter:
    settings = EngineSettings(model=name, device="cpu")
    return load_feature_engine(find_model(settings), settings)


def described(name: str = "bench") -> IndexedSource:
    return IndexedSource(name=name, path=f"demo:{name}", content=name, stamps=(), every="1s")


def drawn(count: int, seed: int = 1) -> list[Pixels]:
    scene = Scene(seed, SIZE[1], SIZE[0], Fraction(1), SceneSettings(cut_every=2.0))
    return [scene.picture(number) for number in range(count)]


def speed(folder: Path, engine: FeatureSegmenter, frames: int) -> Iterator[BenchRow]:
    start = time.perf_counter()
    encoded = [engine.encode_frame(pixels) for pixels in drawn(8)]
    encoding = (time.perf_counter() - start) / len(encoded)
    noise = np.random.default_rng(0)
    for storage, target in (("4-bit", "≤ 50 KB"), ("8-bit", "stated"), ("half", "≤ 190 KB")):
        path = folder / f"{storage}.clipseg-index"
        count = frames if storage == "half" else 2 * CHUNK_ENTRIES
        with open_writer(path, engine.files.name, IndexRecipe.of(engine, storage)) as writer:
            number = writer.add_source(described())
            for moment in range(count):
                made = encoded[moment % len(encoded)]
                values = made.values * np.float32(1 + noise.normal(0, 0.01))
                writer.append(number, Fraction(moment), SIZE, FrameFeatures(values, made.grid, False))
            writer.finish(number)
        yield BenchRow(f"bytes of a frame, {storage}", target, f"{size_on_disk(path) / count / 1000:.1f} KB")
    index = Index.open(folder / "half.clipseg-index", engine)
    for _ in index.query(WORD, end=Fraction(40)):
        pass  # compiles the decoder and encodes the word
    start = time.perf_counter()
    for _ in index.query(WORD):
        pass
    maps = time.perf_counter() - start
    yield BenchRow(f"full maps of a new word, {frames} frames", "≤ 25 s", f"{maps:.1f} s")
    yield BenchRow(
        "ratio to encoding again", "≥ 40", f"{encoding * frames / maps:.0f} ({1000 * encoding:.0f} ms a frame)"
    )
    accuracies: tuple[tuple[Accuracy, str], ...] = (("exact", "stated"), ("quick", "≤ 8 s"), ("coarse", "≤ 0.3 s"))
    for accuracy, target in accuracies:
        start = time.perf_counter()
        index.presence(WORD, accuracy)
        yield BenchRow(f"presence, {accuracy}, {frames} frames", target, f"{time.perf_counter() - start:.2f} s")


def fresh(engine: FeatureSegmenter) -> Iterator[BenchRow]:
    for name, each in (("random weights", engine), ("shapes", engine_of("shapes"))):
        texts = (WORD, *TEXTS[:3])
        with tempfile.TemporaryDirectory() as folder:
            pictures = drawn(6)
            expected = [each.segment(pixels, texts).probabilities for pixels in pictures]
            for storage, target in (("half", "≤ 0.002"), ("8-bit", "stated"), ("4-bit", "stated")):
                path = Path(folder) / storage
                with open_writer(path, name, IndexRecipe.of(each, storage)) as writer:
                    number = writer.add_source(described())
                    for moment, pixels in enumerate(pictures):
                        writer.append(number, Fraction(moment), SIZE, each.encode_frame(pixels))
                found = [frame.segmentation.probabilities for frame in Index.open(path, each).query(texts)]
                difference = np.abs(np.array(found) - np.array(expected))
                told = f"{difference.mean():.1e}; {np.quantile(difference, 0.99):.1e}; {difference.max():.1e}"
                yield BenchRow(f"difference to a fresh pass, {storage}, {name}: mean; 99 %; largest", target, told)


def write_video(path: Path, seconds: int, size: tuple[int, int] = (720, 1280), rate: int = 30) -> Path:
    import av

    scene = Scene(2, size[1], size[0], Fraction(rate))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = size[1], size[0], "yuv420p"
        for number in range(seconds * rate):
            container.mux(video.encode(av.VideoFrame.from_ndarray(scene.picture(number), format="rgb24")))
        container.mux(video.encode())
    return path


def rate(folder: Path, engine: FeatureSegmenter) -> Iterator[BenchRow]:
    """Compare the time of indexing a video with that of encoding the same frames that are in memory."""
    seconds = 15
    video = write_video(folder / "rate.mp4", seconds)
    scene = Scene(2, 1280, 720, Fraction(30))
    pictures = [scene.picture(30 * number) for number in range(seconds)]
    engine.encode_frame(pictures[1])
    start = time.perf_counter()
    for pixels in pictures:
        engine.encode_frame(pixels)
    alone = time.perf_counter() - start
    start = time.perf_counter()
    settings = EngineSettings(model=engine.files.name, device="cpu")
    finished = build_index(IndexRequest(str(video), engine=settings), engine=lambda: engine)
    assert finished.result is not None and finished.frames == seconds
    share = alone / finished.result.seconds
    yield BenchRow(
        "indexing rate against the engine alone (720p, 30 frames/s, one frame a second)",
        "≥ 0.95",
        f"{share:.2f} ({seconds / finished.result.seconds:.2f} against {seconds / alone:.2f} frames/s)",
    )


def memory(folder: Path) -> Iterator[BenchRow]:
    """Index a day of small entries, one a second."""
    day = 86_400
    values = np.random.default_rng(0).normal(size=(3, 17, 16)).astype(np.float32)
    recipe = IndexRecipe(weights="0" * 64, size=64, resize_mode="stretch", dtype="float32")
    with open_writer(folder / "day", "none", recipe) as writer:
        number, peaks = writer.add_source(described("day")), []
        for moment in range(day):
            writer.append(number, Fraction(moment), SIZE, FrameFeatures(values, (4, 4), False))
            if moment in (day // 24, day - 1):
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        writer.finish(number)
    start = time.perf_counter()
    index = Index.open(folder / "day")
    opened = time.perf_counter() - start
    yield BenchRow(
        "memory after a day of video, beyond that after an hour",
        "constant",
        f"{peaks[1] - peaks[0]:.0f} MB (table of {len(index)} frames; opens in {opened:.1f} s)",
    )


def write_and_tell(video: str, folder: str) -> None:
    """Index a video, and print the number of encoded frames after each of them; the process is killed."""
    engine = engine_of("shapes")
    settings = EngineSettings(model="shapes", device="cpu")
    request = IndexRequest(video, Path(folder), Sampling.parse("each"), engine=settings)
    build_index(request, engine=lambda: engine, on_progress=lambda progress: print(progress.frames, flush=True))


def read_and_tell(folder: Path) -> None:
    """Open the index and read all of it until SIGTERM; then print the reads, their frames, and the errors."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    frames, errors = [0], []
    while not stopped:
        if not (folder / "manifest.json").exists():
            time.sleep(0.01)
            continue
        try:
            frames.append(len([None for _ in Index.open(folder).iterate()]))
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
        time.sleep(0.05)
    print(len(frames) - 1, max(frames), len(errors), *errors[:3], sep="\n")


def kill(folder: Path) -> Iterator[BenchRow]:
    video, place = write_video(folder / "kill.mp4", 60, SIZE), folder / "kill.clipseg-index"
    me = [sys.executable, __file__]
    rng, opened = random.Random(0), 0
    lost: list[int] = []
    reads: list[tuple[int, int, int]] = []
    readers = [
        subprocess.Popen([*me, "--read", str(place)], stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(2)
    ]
    for _ in range(KILLS):
        with subprocess.Popen([*me, "--write", str(video), str(place)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(rng.randint(1, 100))]
            time.sleep(rng.uniform(0.0, 0.2))
            writer.send_signal(signal.SIGKILL)
            told += [int(line) for line in writer.stdout if line.endswith("\n")]
        store = IndexStore(place)
        opened += 1
        lost.append(told[-1] - len(store.table))
    for reader in readers:
        reader.send_signal(signal.SIGTERM)
        count, largest, wrong, *told_errors = reader.communicate()[0].splitlines()
        reads.append((int(count), int(largest), int(wrong)))
        print(*told_errors, sep="\n", end="", file=sys.stderr)
    count, largest, wrong = (
        sum(each[0] for each in reads),
        max(each[1] for each in reads),
        sum(each[2] for each in reads),
    )
    yield BenchRow(
        f"kill -9 at {KILLS} random moments, with two readers: opens; frames lost at most; errors of readers",
        f"{KILLS}; ≤ {CHUNK_ENTRIES + 1}; 0",
        f"{opened}; {max(lost)}; {wrong} in {count} reads of up to {largest} frames",
    )


class ComingAndGoing(Scene):
    """A scene whose objects are in the frame for random times."""

    def placed(self, number: int) -> PlacedScene:
        """Return the objects that are in a frame."""
        scene = super().placed(number)
        present = tuple(each for each in scene.objects if self._is_there(f"{each.colour} {each.shape}", scene.seconds))
        return replace(scene, objects=present)

    def _is_there(self, name: str, seconds: float) -> bool:
        rng = np.random.default_rng([self.seed, *name.encode()])
        there, end = bool(rng.integers(2)), 0.0
        while (end := end + rng.uniform(SHORTEST, LONGEST)) <= seconds:
            there = not there
        return there


def visible(scene: Scene, number: int) -> set[str]:
    """Return the prompts whose objects are visible in a frame of a drawn scene."""
    owner = np.zeros((scene.height, scene.width), np.int64)
    objects = scene.placed(number).objects
    for position, each in enumerate(objects, start=1):
        covered = coverage(each.contours, scene.height, scene.width)
        if covered is not None:
            rows, columns, alpha = covered
            owner[rows, columns][alpha >= 0.5] = position
    counts = np.bincount(owner.ravel(), minlength=len(objects) + 1)[1:]
    shown = (each for each, count in zip(objects, counts, strict=True) if count >= VISIBLE * owner.size)
    return {f"a {each.colour} {each.shape}" for each in shown}


def spans(present: Sequence[bool]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(present, int), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def matches(found: list[tuple[float, float]], true: list[tuple[int, int]]) -> int:
    """Return the number of pairs of ranges that overlap by at least half of their union."""
    free, count = list(found), 0
    for start, stop in true:
        for each in free:
            common = min(stop, each[1]) - max(start, each[0])
            if common > 0 and common >= 0.5 * (max(stop, each[1]) - min(start, each[0])):
                free.remove(each)
                count += 1
                break
    return count


def ranges(folder: Path, videos: int, minutes: float) -> Iterator[BenchRow]:
    engine, prompts = engine_of("shapes"), tuple(Prompt.text(text) for text in TEXTS)
    variants: tuple[tuple[Accuracy, RangeRules], ...] = (
        ("refined", RangeRules()),
        ("refined", STRICT),
        ("exact", STRICT),
        ("quick", STRICT),
    )
    scores: dict[int, list[tuple[int, int, int]]] = {number: [] for number in range(len(variants))}
    agreement: dict[Accuracy, list[float]] = {"exact": [], "refined": [], "quick": []}
    seconds = round(60 * minutes)
    for seed in range(videos):
        source = DemoSource(seed, 320, 180, Fraction(1), Fraction(seconds))
        source.scene = ComingAndGoing(seed + 100, 320, 180, Fraction(1), SceneSettings(objects=len(STAPLES)))
        info, path = source.open(), folder / f"{seed}.clipseg-index"
        with open_writer(path, "shapes", IndexRecipe.of(engine, "half")) as writer:
            number = writer.add_source(described(str(seed)))
            Indexing(source, info, engine, writer, number, Sampling.parse("1s")).run()
        index, scene = Index.open(path, engine), source.scene
        truth = [visible(scene, moment) for moment in range(seconds)]
        true = {text: spans([text in each for each in truth]) for text in TEXTS}
        tables = {accuracy: index.presence(prompts, accuracy) for accuracy in agreement}
        threshold = RangeRules().threshold
        for accuracy, table in tables.items():
            same = (table.presence >= threshold) == (tables["exact"].presence >= threshold)
            agreement[accuracy].append(float(same.mean()))
        for number, (accuracy, rules) in enumerate(variants):
            scores[number].append(score(find_appearances(tables[accuracy], rules), true))
    for number, (accuracy, rules) in enumerate(variants):
        hits, found, wanted = (sum(each) for each in zip(*scores[number], strict=True))
        precision, recall = hits / max(found, 1), hits / max(wanted, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        told = "defaults" if rules == RangeRules() else f"--gap {rules.gap:g} --shortest {rules.shortest:g}"
        yield BenchRow(
            f"F1 of ranges, {len(TEXTS)} texts, {videos} drawn videos of {minutes:g} minutes, {accuracy}, {told}",
            "≥ 0.95",
            f"{f1:.3f} (precision {precision:.3f}, recall {recall:.3f} of {wanted})",
        )
    for accuracy in ("refined", "quick"):
        share = f"{100 * np.mean(agreement[accuracy]):.2f} %"
        yield BenchRow(f"presence of frames as with exact, {accuracy}", "stated", share)


def score(found: list[Appearance], true: dict[str, list[tuple[int, int]]]) -> tuple[int, int, int]:
    """Return the numbers of ranges that match, were found, and are true."""
    hits = 0
    for text, wanted in true.items():
        hits += matches([(each.start, each.end) for each in found if each.prompt.label == text], wanted)
    return hits, len(found), sum(map(len, true.values()))


if __name__ == "__main__":
    main()
