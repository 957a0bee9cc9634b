"""Named pipes, sockets and devices instead of a file give a one-sentence error without blocking."""

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.media.audio.tracks import AudioTracks
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.images.sequences import ImageSequenceSource, ImageSource
from clipseg_live.media.sources.live_sources import open_playback
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.model.store import loading
from clipseg_live.rendering.backdrops import Backdrops


def _backdrop(path: Path, kind: str) -> None:
    Backdrops().of(CutOut(backdrop=kind, file=path), (48, 64), Fraction(0))


READERS: dict[str, Callable[[Path], object]] = {
    "picture": read_image,
    "still": lambda path: ImageSource(path).open(),
    "sequence": lambda path: ImageSequenceSource([path]).open(),
    "video": lambda path: VideoFileSource(path).open(),
    "source": lambda path: open_source(path).open(),
    "live source": lambda path: open_playback(path).open(),
    "image as backdrop": lambda path: _backdrop(path, "image"),
    "video as backdrop": lambda path: _backdrop(path, "video"),
    "session": load_session,
    "embedding": lambda path: Prompt.embedding(path),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("suffix", ["", ".png", ".mp4", ".npy"])
@pytest.mark.parametrize("reader", READERS)
def test_a_named_pipe_gives_a_one_sentence_error(tmp_path, reader, suffix):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(ClipsegLiveError, match=r"is a named pipe, not a file: copy its content into a file first\.$"):
        READERS[reader](path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("device", ["/dev/zero", "link"])
def test_a_device_gives_a_one_sentence_error(tmp_path, reader, device):
    path = Path(device)
    if device == "link":
        path = tmp_path / "link.png"
        path.symlink_to("/dev/zero")
    with pytest.raises(ClipsegLiveError, match="is a device, not a file"):
        READERS[reader](path)


@pytest.mark.timeout(20)
def test_audio_of_a_pipe_is_omitted(tmp_path):
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    notices: list[str] = []
    AudioTracks(path, None, ".mp4", notices)
    assert notices == [
        f"The audio was left out: {path} is a named pipe, not a file: copy its content into a file first."
    ]


@pytest.mark.timeout(20)
def test_a_pipe_in_a_model_folder_gives_an_error(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(loading.find_model_files("shapes").folder, folder)
    os.mkfifo(folder / "added.json")
    with pytest.raises(ClipsegLiveError, match="is a named pipe"):
        loading.find_model_files(str(folder))


def test_a_session_does_not_replace_a_pipe(tmp_path):
    from clipseg_live.core.settings.live import LiveSettings

    path = tmp_path / "a.clipseg.json"
    os.mkfifo(path)
    with pytest.raises(ClipsegLiveError, match="is a named pipe, which is never replaced"):
        save_session(path, LiveSettings())
    assert path.is_fifo()
