"""References of addresses and files reach only allowed protocols, with real servers and files."""

import os
from pathlib import Path

import av
import pytest

from clipseg_live.core.errors import SourceError
from clipseg_live.media.ffmpeg.whitelist import file_options, network_options
from clipseg_live.media.sources.live_sources import open_playback
from clipseg_live.media.sources.network_stream import StreamSource
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clips import make_clip
from tests.helpers.servers import HTTPHandler, Server

M3U8 = "application/vnd.apple.mpegurl"
HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n"


class Handler(HTTPHandler):
    """A server.

    Attributes:
        asked: Every requested path.
        moved: Redirections by path.
    """

    requested: list[str]
    moved: dict[str, str]

    def do_GET(self) -> None:
        self.requested.append(self.path)
        if self.path in self.moved:
            self._respond(302, "text/plain", b"", {"Location": self.moved[self.path]})
        else:
            super().do_GET()


def serving(pages: dict[str, tuple[str, bytes]], moved: dict[str, str] | None = None) -> Server:
    named = {f"/{name}": page for name, page in pages.items()}
    return Server(type("Serving", (Handler,), {"pages": named, "requested": [], "moved": moved or {}}))


def requested(server: Server) -> list[str]:
    return server.handler.requested


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video on this machine that would play wherever it is read."""
    return make_clip(tmp_path_factory.mktemp("secret") / "secret.ts", count=20)


def refused(source: StreamSource | VideoFileSource) -> str:
    with pytest.raises(SourceError) as raised:
        source.open()
    source.close()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "file://{path}", "{path}", "file:{path}", "FILE://{path}", "crypto+file://{path}", "crypto:{path}",
        "subfile,,start,0,end,0,,:{path}", "concat:{path}", "async:file:{path}", "cache:{path}", "fd:", "pipe:0",
        "unix:{path}", "md5:{path}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["segment", "nested", "map"])
def test_a_network_playlist_cannot_read_local_files(secret: Path, line: str, how: str) -> None:
    name = line.format(path=secret)
    inner = HEAD + f"#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n"
    if how == "map":
        inner = HEAD + f'#EXT-X-MAP:URI="{name}"\n#EXTINF:1,\nnone.ts\n#EXT-X-ENDLIST\n'
    pages = {"all.m3u8": (M3U8, inner.encode())}
    if how == "nested":
        outer = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}\n#EXT-X-STREAM-INF:BANDWIDTH=2\ninner.m3u8\n"
        pages = {"all.m3u8": (M3U8, outer.encode()), "inner.m3u8": (M3U8, inner.encode())}
    with serving(pages) as server:
        refused(StreamSource(f"http://127.0.0.1:{server.port}/all.m3u8"))
        assert requested(server)


def test_a_network_playlist_cannot_read_a_local_key(secret: Path, tmp_path: Path) -> None:
    """The key is a pipe, whose bytes are gone after a read."""
    pipe = tmp_path / "key"
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    os.write(ours, b"k" * 16)
    text = HEAD + f'#EXT-X-KEY:METHOD=AES-128,URI="file://{pipe}"\n#EXTINF:1,\none.ts\n#EXT-X-ENDLIST\n'
    pages = {"all.m3u8": (M3U8, text.encode()), "one.ts": ("video/mp2t", secret.read_bytes())}
    try:
        with serving(pages) as server:
            refused(StreamSource(f"http://127.0.0.1:{server.port}/all.m3u8"))
        assert os.read(ours, 32) == b"k" * 16
    finally:
        os.close(ours)


@pytest.mark.parametrize("target", ["file://{path}", "file:{path}", "{path}", "ftp://127.0.0.1/x", "tcp://127.0.0.1:1"])
def test_a_redirection_to_a_local_file_is_rejected(secret: Path, target: str) -> None:
    moved = {"/clip.ts": target.format(path=secret)}
    text = (HEAD + "#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n").encode()
    with serving({"all.m3u8": (M3U8, text)}, moved) as server:
        for name in ("clip.ts", "all.m3u8"):
            refused(StreamSource(f"http://127.0.0.1:{server.port}/{name}"))
        assert requested(server).count("/clip.ts") >= 2


def test_a_redirection_on_the_network_is_followed(secret: Path) -> None:
    with serving({"there.ts": ("video/mp2t", secret.read_bytes())}, {"/clip.ts": "/there.ts"}) as server:
        source = StreamSource(f"http://127.0.0.1:{server.port}/clip.ts")
        assert source.open().width == 64
        source.close()


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'file:{path}'\n", "ffconcat version 1.0\nfile there.ts\n",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 33\r\n",
    ],
    ids=["concat-file", "concat-http", "sdp"],
)  # fmt: skip
def test_a_network_script_is_not_followed(secret: Path, text: str) -> None:
    pages = {"clip.mp4": ("video/mp4", text.format(path=secret).encode()), "there.ts": ("", secret.read_bytes())}
    with serving(pages) as server:
        refused(StreamSource(f"http://127.0.0.1:{server.port}/clip.mp4", open_seconds=3))
        assert "/there.ts" not in requested(server)


LOCAL = {
    "hls": HEAD + "#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}\n",
    "marked": "\ufeff" + HEAD + "#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{name}'\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{name}</BaseURL></MPD>',
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={name}\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 33\r\n",
}


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ts"])
def test_a_local_playlist_is_not_followed(secret: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    with serving({"there.ts": ("video/mp2t", secret.read_bytes())}) as server:
        for name in (f"http://127.0.0.1:{server.port}/there.ts", str(secret), f"file://{secret}", "beside.ts"):
            (tmp_path / "beside.ts").write_bytes(secret.read_bytes())
            path = tmp_path / f"list.{suffix}"
            path.write_text(LOCAL[kind].format(name=name), encoding="utf-8")
            assert "is a playlist" in refused(VideoFileSource(path))
            with pytest.raises(SourceError, match="is a playlist"):
                open_playback(path).open()
        assert requested(server) == []


@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_an_undetected_playlist_is_rejected_by_the_whitelist(secret: Path, tmp_path: Path, kind: str) -> None:
    """FFmpeg itself rejects a playlist that is not detected by its first bytes."""
    path = tmp_path / "list.m3u8"
    path.write_text(LOCAL[kind].format(name=secret.name))
    (tmp_path / secret.name).write_bytes(secret.read_bytes())
    with av.open(f"file:{path}") as container:
        assert container.format.name == kind, "without the lists it is followed"
    with pytest.raises((av.FFmpegError, ValueError)):
        av.open(f"file:{path}", container_options=file_options())


def test_each_address_has_the_protocols_of_its_kind() -> None:
    for scheme in ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "HTTP"):
        options = network_options(f"{scheme}://host/x")
        allowed = options["protocol_whitelist"].split(",")
        assert scheme.lower() in allowed
        assert not {"file", "pipe", "fd", "concat", "subfile", "async", "cache", "unix", "ftp", "smb"} & set(allowed)
        formats = options["format_whitelist"].split(",")
        assert {"hls", "rtsp", "mpegts", "mjpeg"} <= set(formats) and "concat" not in formats
    assert file_options()["protocol_whitelist"] == "file"
    assert not {"hls", "concat", "sdp", "lavfi", "image2"} & set(file_options()["format_whitelist"].split(","))
