"""Indexes of real files: resuming, other content, damage, photos, and inputs that cannot be read."""

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipseg_live.app import video_index
from clipseg_live.app.engine import find_model
from clipseg_live.app.video_index import IndexRequest, build_index, find_indexes, index_place, open_index
from clipseg_live.core.errors import Failure, SourceError, UsageError
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.index import writer as writer_module
from clipseg_live.index.chunks import list_chunks
from clipseg_live.index.index import Index
from clipseg_live.index.manifest import InvalidIndex
from clipseg_live.index.sampling import Sampling
from clipseg_live.model.features import FeatureSegmenter
from clipseg_live.runtime.export import ExportStopped
from clipseg_live.runtime.threads import StopSwitch
from tests.helpers.clips import make_clip

pytestmark = pytest.mark.slow

ENGINE = EngineSettings(model="shapes", device="cpu", size=64)
FRAMES = 12


@pytest.fixture(scope="module")
def engine() -> FeatureSegmenter:
    return video_index.load_feature_engine(find_model(ENGINE), ENGINE)


@pytest.fixture
def index(engine: FeatureSegmenter) -> Callable[..., video_index.FinishedIndex]:
    def build(source: object, stop: StopSwitch | None = None, **changes: object) -> video_index.FinishedIndex:
        request = IndexRequest(str(source), **{"engine": ENGINE, **changes})  # type: ignore[arg-type]
        return build_index(request, engine=lambda: engine, stop=stop)

    return build


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Provide a video with two frames a second."""
    return make_clip(tmp_path / "ä clip.mp4", count=2 * FRAMES, rate=Fraction(2))


def times(folder: Path) -> list[Fraction]:
    return [frame.time for frame in Index.open(folder).iterate()]


def test_a_file_that_is_no_video_leaves_no_index(tmp_path: Path, index: Callable[..., object]) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    with pytest.raises(SourceError):
        index(broken)
    assert list(tmp_path.iterdir()) == [broken]


def test_one_frame_a_second_is_indexed_beside_the_video(clip: Path, index: Callable[..., object]) -> None:
    index(clip)
    folder = clip.with_name("ä clip.mp4.clipseg-index")
    assert times(folder) == list(range(FRAMES))
    assert open_index(folder).sources[0].frames == FRAMES
    assert find_indexes(str(clip)) == find_indexes(str(folder)) == find_indexes(str(clip.parent)) == [folder]


@pytest.mark.parametrize(("every", "count"), [("each", 24), ("5", 5), ("2s", 6), ("0.25s", 24)])
def test_other_selections(clip: Path, index: Callable[..., object], every: str, count: int) -> None:
    finished = index(clip, every=Sampling.parse(every))
    assert finished.frames == count
    with pytest.raises(InvalidIndex, match="--every"):
        index(clip, every=Sampling.parse("3s"))
    assert index(clip).result is None, "the selection of the index is kept"


def test_a_complete_index_needs_no_model(clip: Path, index: Callable[..., object]) -> None:
    index(clip)

    def unused() -> FeatureSegmenter:
        raise AssertionError("the model was loaded")

    assert build_index(IndexRequest(str(clip), engine=ENGINE), engine=unused).result is None


def test_a_stopped_index_is_continued_where_it_ended(
    clip: Path, index: Callable[..., object], engine: FeatureSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, encode = StopSwitch(), engine.encode_frame
    encoded = []

    def counted(pixels: np.ndarray) -> object:
        encoded.append(pixels)
        if len(encoded) == 5:
            stop.throw()
        return encode(pixels)

    monkeypatch.setattr(engine, "encode_frame", counted)
    with pytest.raises(ExportStopped, match="The same command continues it"):
        index(clip, stop)
    folder = index_place(str(clip))
    assert times(folder) == list(range(5))
    starts: list[object] = []
    opened = video_index.open_named_source
    monkeypatch.setattr(
        video_index,
        "open_named_source",
        lambda name, start, **more: starts.append(start) or opened(name, start, **more),
    )
    index(clip)
    assert starts == [4] and len(encoded) == FRAMES
    assert times(folder) == list(range(FRAMES))


def test_a_damaged_chunk_is_made_again(
    clip: Path, index: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CHUNK_ENTRIES", 3)
    folder = index(clip).folder
    expected = [frame.values for frame in Index.open(folder).iterate()]
    path = list_chunks(folder)[1]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidIndex, match="is damaged"):
        Index.open(folder)
    finished = index(clip)
    assert finished.result.frames == 3 and "was damaged" in finished.notices[0]
    for before, frame in zip(expected, Index.open(folder).iterate(), strict=True):
        np.testing.assert_array_equal(before, frame.values)


def test_a_changed_video_is_never_used(clip: Path, index: Callable[..., object], engine: FeatureSegmenter) -> None:
    folder = index(clip).folder
    content = clip.read_bytes()
    os.utime(clip, ns=(0, 0))
    open_index(folder, engine)  # another time, but the same content
    make_clip(clip, count=8, rate=Fraction(1))
    with pytest.raises(InvalidIndex, match="has changed since the index"):
        open_index(folder, engine)
    with pytest.raises(InvalidIndex, match="has changed since the index"):
        index(clip)
    assert index(clip, overwrite=True).frames == 8
    clip.write_bytes(content)
    with pytest.raises(InvalidIndex, match="has changed since the index"):
        open_index(folder, engine)


def test_a_moved_video_keeps_its_index(clip: Path, index: Callable[..., object], tmp_path: Path) -> None:
    folder = index(clip).folder
    other = tmp_path / "other"
    other.mkdir()
    shutil.move(clip, other / clip.name)
    moved = Path(shutil.move(folder, other))
    assert index(other / clip.name).result is None
    assert Path(open_index(moved).sources[0].path) == other / clip.name


def test_an_index_of_another_video_is_not_extended(clip: Path, index: Callable[..., object], tmp_path: Path) -> None:
    folder = index(clip).folder
    other = make_clip(tmp_path / "b.mp4", count=4, rate=Fraction(1))
    with pytest.raises(InvalidIndex, match="is that of"):
        index(other, folder=folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"storage": "8-bit"}, "--bits"), ({"engine": ENGINE.model_copy(update={"resize_mode": "aspect"})}, "resize")],
)
def test_other_settings_are_never_mixed(clip: Path, index: Callable[..., object], changes: dict, words: str) -> None:
    index(clip)
    request = IndexRequest(str(clip), **{"engine": ENGINE, **changes})
    with pytest.raises(InvalidIndex, match=words):
        build_index(request)


def test_photos_of_any_size_are_indexed(index: Callable[..., object], engine: FeatureSegmenter, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, size in enumerate([(40, 30), (30, 40), (64, 64)]):
        Image.new("RGB", size, (40 * number, 90, 90)).save(photos / f"{number}.png")
    (photos / "3.png").write_bytes(b"not an image")
    finished = index(photos)
    assert finished.folder == tmp_path / "photos.clipseg-index"
    assert finished.frames == 3 and "3.png" in finished.notices[-1]
    found = open_index(finished.folder, engine)
    assert [frame.segmentation.frame_size for frame in found.query("a red circle")] == [(30, 40), (40, 30), (64, 64)]
    assert found.sources[0].photos and index(photos).result is None
    (photos / "2.png").unlink()
    with pytest.raises(InvalidIndex, match="has changed"):
        index(photos)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, SourceError),
        (lambda path: path.write_bytes(b""), SourceError),
        (lambda path: path.write_bytes(b"no video" * 999), SourceError),
        (lambda path: path.mkdir(), SourceError),
        (lambda path: os.mkfifo(path), SourceError),
    ],
)
def test_inputs_that_cannot_be_read(
    index: Callable[..., object], tmp_path: Path, make: Callable[[Path], object], error: type[Exception]
) -> None:
    make(tmp_path / "a.mp4")
    with pytest.raises(error) as raised:
        index(tmp_path / "a.mp4")
    assert str(raised.value).count(". ") == 0


def test_a_video_that_is_cut_short_is_indexed_as_far_as_it_goes(index: Callable[..., object], tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", count=40, rate=Fraction(4), noise=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    finished = index(path)
    assert 0 < finished.frames < 10
    assert "The index contains the frames before that point." in finished.notices[-1]


def test_what_cannot_be_indexed_is_a_usage_error(clip: Path, index: Callable[..., object], tmp_path: Path) -> None:
    for request in (
        partial(index, "rtsp://user:secret@host/stream"),
        partial(index, clip, engine=ENGINE.model_copy(update={"detail": "zoom"})),
        partial(index, clip, folder=tmp_path, overwrite=True),
        partial(find_indexes, str(clip)),
    ):
        with pytest.raises(UsageError) as raised:
            request()
        assert "secret" not in str(raised.value)
    assert clip.exists()


def test_a_disk_that_is_too_small_is_noticed_first(
    clip: Path, index: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(clip.parent)
    monkeypatch.setattr(video_index.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(Failure, match=r"needs about 0\.1 MB, and .* free"):
        index(clip)


def test_names_of_indexes(tmp_path: Path) -> None:
    assert index_place("films/a.b.mp4") == Path("films/a.b.mp4.clipseg-index")
    assert index_place("films/a.mp4", Path("x")) == Path("x/a.mp4.clipseg-index")
    assert index_place("demo:cuts:3") == Path("demo-cuts-3.clipseg-index")
    (tmp_path / "photos").mkdir()
    assert index_place(str(tmp_path / "photos")) == tmp_path / "photos.clipseg-index"
