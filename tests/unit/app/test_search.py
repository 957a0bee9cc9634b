"""Search in the indexes of drawn videos and photos."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from clipseg_live.app import search_files
from clipseg_live.app.engine import find_model
from clipseg_live.app.search import Finding, SearchRequest, search_indexes
from clipseg_live.app.video_index import IndexRequest, build_index, load_feature_engine
from clipseg_live.cli.search import report
from clipseg_live.core.errors import ClipsegLiveError, Failure, UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.demo.scenes import SCENE_PRESETS, Scene
from clipseg_live.index.chunks import list_chunks
from clipseg_live.index.index import Index
from clipseg_live.index.manifest import InvalidIndex

pytestmark = pytest.mark.slow

RING, CIRCLE = Prompt.text("a purple ring"), Prompt.text("a red circle")
SECONDS = 10


def scene() -> Scene:
    """Return a scene with a cut every two seconds. The ring is in some of its parts, the circle in all."""
    return Scene(3, 320, 180, Fraction(1), SCENE_PRESETS["cuts"])


def ring_times() -> list[int]:
    return [
        number
        for number in range(SECONDS)
        if any((each.colour, each.shape) == ("purple", "ring") for each in scene().placed(number).objects)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a folder with a video, two photos, and the index of each."""
    path = tmp_path_factory.mktemp("films")
    with av.open(str(path / "a.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=1)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for number in range(SECONDS):
            container.mux(video.encode(av.VideoFrame.from_ndarray(scene().picture(number), format="rgb24")))
        container.mux(video.encode())
    photos = path / "photos"
    photos.mkdir()
    for number in (ring_times()[0], next(each for each in range(SECONDS) if each not in ring_times())):
        Image.fromarray(scene().picture(number)).save(photos / f"{number}.png")
    settings = EngineSettings(model="shapes", device="cpu")
    engine = load_feature_engine(find_model(settings), settings)
    for name in ("a.mp4", "photos"):
        build_index(IndexRequest(str(path / name), engine=settings), engine=lambda: engine)
    return path


@pytest.fixture
def video(folder: Path) -> SearchRequest:
    return SearchRequest((folder / "a.mp4.clipseg-index",), (RING, CIRCLE))


@pytest.fixture
def both(folder: Path) -> SearchRequest:
    return SearchRequest((folder / "a.mp4.clipseg-index", folder / "photos.clipseg-index"), (RING,))


def covered(findings: tuple[Finding, ...], prompt: Prompt) -> list[int]:
    times: list[int] = []
    for each in findings:
        if each.appearance.prompt == prompt:
            times += range(round(each.appearance.start), round(each.appearance.end))
    return times


@pytest.mark.parametrize("accuracy", ["exact", "refined"])
def test_ranges_are_those_of_the_drawn_objects(video: SearchRequest, accuracy: str) -> None:
    result = search_indexes(replace(video, accuracy=accuracy))
    assert result.frames == SECONDS and result.problems == () and result.notices == ()
    assert covered(result.findings, RING) == ring_times()
    assert covered(result.findings, CIRCLE) == list(range(SECONDS))
    starts = [each.appearance.start for each in result.findings if each.appearance.prompt == RING]
    assert starts == sorted(starts)
    for each in result.findings:
        assert each.appearance.start <= each.appearance.best < each.appearance.end
        assert 0 < each.appearance.area < 0.5 and each.appearance.presence > 0.5


def test_a_part_of_the_video(video: SearchRequest) -> None:
    result = search_indexes(replace(video, start=Fraction(2), end=Fraction(4)))
    assert result.frames == 2
    assert covered(result.findings, CIRCLE) == [2, 3]


def test_several_sources_are_ranked_by_presence(both: SearchRequest, folder: Path) -> None:
    result = search_indexes(both)
    shares = [round(each.appearance.presence, 2) for each in result.findings]
    assert shares == sorted(shares, reverse=True)
    files = {each.file for each in result.findings}
    assert files == {str(folder / "a.mp4"), str(folder / "photos" / f"{ring_times()[0]}.png")}
    assert result.frames == SECONDS + 2


def test_one_damaged_index_does_not_stop_the_others(both: SearchRequest, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "photos.clipseg-index", tmp_path / "b.clipseg-index"))
    chunk = list_chunks(copy)[0]
    chunk.write_bytes(chunk.read_bytes()[:-1])
    result = search_indexes(replace(both, indexes=(copy, both.indexes[0])))
    assert covered(result.findings, RING) == ring_times()
    assert len(result.problems) == 1 and "is damaged" in result.problems[0]
    with pytest.raises(InvalidIndex, match="is damaged"):
        search_indexes(replace(both, indexes=(copy,)))


def test_an_unfinished_index_is_noticed(video: SearchRequest, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(video.indexes[0], tmp_path / "c.clipseg-index"))
    manifest = Index.open(copy).manifest
    source = manifest.sources[0].model_copy(update={"frames": None})
    manifest.model_copy(update={"sources": (source,)}).save(copy)
    (notice,) = search_indexes(replace(video, indexes=(copy,))).notices
    assert "is not complete. It ends at 0:09." in notice


@pytest.mark.parametrize(
    "changes",
    [{"end": Fraction(0)}, {"start": Fraction(2), "end": Fraction(2)}, {"prompts": ()}],
)
def test_invalid_requests(video: SearchRequest, changes: dict) -> None:
    with pytest.raises(UsageError):
        search_indexes(replace(video, **changes))


def test_photos_have_no_times(both: SearchRequest) -> None:
    with pytest.raises(ClipsegLiveError, match="Photos have no times"):
        search_indexes(replace(both, indexes=both.indexes[1:], start=Fraction(1)))


def test_what_is_printed(both: SearchRequest, capsys: pytest.CaptureFixture[str]) -> None:
    result = search_indexes(both)
    photo = next(each for each in result.findings if each.source.photos)
    assert report.describe_finding(photo)["start"] == report.describe_finding(photo)["end"] == 0
    report.print_findings(result, "csv")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join(report.KEYS) and len(lines) == len(result.findings) + 1
    report.print_findings(result, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["prompt", "from", "to", "presence", "area", "best", "file"]
    assert lines[-1] == f"{len(result.findings)} appearances in 12 frames"
    report.print_findings(replace(result, findings=()), "table")
    assert capsys.readouterr().out == "Nothing was found in 12 frames.\n"


def test_a_contact_sheet_has_the_best_frames(both: SearchRequest, tmp_path: Path) -> None:
    result = search_indexes(both)
    assert search_files.write_sheet(tmp_path / "sheet.png", both, result) == []
    with Image.open(tmp_path / "sheet.png") as sheet:
        sheet.load()
        assert sheet.width > 300
    with pytest.raises(UsageError, match="exists already"):
        search_files.write_sheet(tmp_path / "sheet.png", both, result)


def test_the_frames_of_a_sheet_are_exact(both: SearchRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = []
    monkeypatch.setattr(search_files.ContactSheetSink, "write", lambda self, rendered: written.append(rendered))
    monkeypatch.setattr(search_files.ContactSheetSink, "finish", lambda self: None)
    result = search_indexes(both)
    search_files.write_sheet(tmp_path / "sheet.png", both, result)
    times = sorted({each.appearance.best for each in result.findings if not each.source.photos})
    videos = [each for each in written if each.file is None]
    assert [each.time for each in videos] == times and len(written) == len(videos) + 1
    for rendered in videos:
        drawn = scene().picture(int(rendered.time))
        assert np.abs(rendered.frame.pixels.astype(int) - drawn).mean() < 8
        assert rendered.mattes.each[0].area > 0 and rendered.labels[0].name == RING.label


def test_clips_are_written_for_videos_only(both: SearchRequest, tmp_path: Path) -> None:
    result = search_indexes(both)
    clips, notices = search_files.write_clips(tmp_path / "clips", result)
    assert len(clips) == sum(not each.source.photos for each in result.findings)
    assert all(clip.stat().st_size > 0 and "a-purple-ring" in clip.name for clip in clips)
    assert notices == ["photos is not a video file, so it has no clips."]
    photos = replace(result, findings=tuple(each for each in result.findings if each.source.photos))
    with pytest.raises(Failure, match="No clip was written"):
        search_files.write_clips(tmp_path / "clips", photos)


def test_markers_are_of_one_video(video: SearchRequest, both: SearchRequest, tmp_path: Path) -> None:
    result = search_indexes(video)
    search_files.write_marker_file(tmp_path / "a.csv", video, result)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert len(lines) == len(result.findings) + 1 and lines[1].startswith('a red circle,"presence 1.00, area')
    with pytest.raises(UsageError, match="Markers belong to one video"):
        search_files.write_marker_file(tmp_path / "b.csv", both, search_indexes(both))
    search_files.write_marker_file(tmp_path / "b.csv", video, replace(result, findings=()))
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 1
