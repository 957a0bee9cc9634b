"""Certificates, transports, and malicious servers."""

import json
import logging
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipseg_live.core.errors import SourceError
from clipseg_live.media.ffmpeg.certificates import authorities
from clipseg_live.media.sources.network_stream import StreamSource
from tests.helpers.clips import make_clip
from tests.helpers.servers import CERTIFICATES, HTTPHandler, RTSPHandler, Server, TLSServer, UDPOnlyHandler, jpeg

M3U8 = "application/vnd.apple.mpegurl"


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))


def open_stream(address: str, **options: object) -> None:
    source = StreamSource(address, 5.0, 5.0, **options)  # type: ignore[arg-type]
    try:
        assert source.open().width == 64 and source.read() is not None
    finally:
        source.close()


def pages(**held: bytes) -> type[HTTPHandler]:
    kinds = {"m3u8": M3U8, "ts": "video/mp2t"}
    named = {
        f"/{name.replace('_', '.')}": (kinds.get(name.rpartition("_")[2], ""), data) for name, data in held.items()
    }
    return type("Pages", (HTTPHandler,), {"pages": named})


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "handler"), [("https", HTTPHandler), ("rtsps", RTSPHandler)])
@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("localhost", ""),
        ("self_signed", "self.signed"),
        ("other_host", "mismatch|not valid for"),
        ("expired", "expired"),
    ],
)
def test_certificates_are_verified_unless_insecure(
    scheme: str, handler: type[HTTPHandler], certificate: str, reason: str
) -> None:
    with TLSServer(handler, certificate) as server:
        for host in ("localhost", "127.0.0.1"):
            address = f"{scheme}://ann:secret@{host}:{server.port}/live.mjpg"
            open_stream(address, insecure=True)
            if not reason:
                open_stream(address)
                continue
            with pytest.raises(
                SourceError, match=rf"(?i)certificate of {scheme}://{host}.*({reason}).*--insecure"
            ) as caught:
                open_stream(address)
            assert "secret" not in str(caught.value)


def test_an_unknown_authority_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert authorities() != str(CERTIFICATES / "authority.pem")
    with TLSServer(HTTPHandler, "localhost") as server, pytest.raises(SourceError, match="certificate"):
        open_stream(f"https://localhost:{server.port}/live.mjpg")


@pytest.mark.parametrize("kind", ["segment", "playlist", "key", "redirection"])
@pytest.mark.parametrize("certificate", ["localhost", "other_host", "self_signed"])
def test_certificates_of_redirections_and_segments_are_verified(tmp_path: Path, kind: str, certificate: str) -> None:
    clip = make_clip(tmp_path / "one.ts", count=30, options={"g": "10", "bf": "0"}).read_bytes()
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    segment = "#EXTINF:1,\n{}one.ts\n#EXT-X-ENDLIST\n"
    with TLSServer(pages(one_ts=clip, all_m3u8=(head + segment.format("")).encode()), certificate) as inner:
        there = f"https://localhost:{inner.port}/"
        lists = {
            "segment": head + segment.format(there),
            "playlist": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{there}all.m3u8\n",
            "key": head + f'#EXT-X-KEY:METHOD=AES-128,URI="{there}one.ts"\n' + segment.format(there),
            "redirection": head + segment.format("moved/"),
        }

        class Outer(pages(all_m3u8=lists[kind].encode())):  # type: ignore[misc]
            def do_GET(self) -> None:
                if self.path.startswith("/moved"):
                    self._respond(302, "text/plain", b"", {"Location": there + "one.ts"})
                else:
                    super().do_GET()

        with TLSServer(Outer, "localhost") as outer:
            address = f"https://localhost:{outer.port}/all.m3u8"
            if kind != "key":
                open_stream(address, insecure=True)
            if certificate == "localhost" and kind != "key":
                open_stream(address)
            else:
                with pytest.raises(SourceError):
                    open_stream(address)


@pytest.mark.parametrize(
    ("handler", "transport", "works"),
    [
        (RTSPHandler, "auto", True), (RTSPHandler, "tcp", True), (RTSPHandler, "udp", False),
        (UDPOnlyHandler, "auto", True), (UDPOnlyHandler, "tcp", False), (UDPOnlyHandler, "udp", True),
    ],
)  # fmt: skip
def test_rtsp_works_over_tcp_and_udp(handler: type[RTSPHandler], transport: str, works: bool) -> None:
    with Server(handler) as server:
        address = f"rtsp://127.0.0.1:{server.port}/live"
        if works:
            open_stream(address, rtsp_transport=transport)
        else:
            with pytest.raises(SourceError, match=f"over {transport.upper()}: choose another --rtsp-transport"):
                open_stream(address, rtsp_transport=transport)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("ab1[]@:%/?#= é猫\"'", max_size=10), st.sampled_from(["http", "https", "rtsp", "rtsps", "rtmp"]))
def test_errors_and_log_records_contain_no_password(caplog: pytest.LogCaptureFixture, middle: str, scheme: str) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    source = StreamSource(f"{scheme}://Usr7:Zq{middle}9K@127.0.0.1:1/x", 2.0)
    with pytest.raises(SourceError) as caught:
        source.open()
    error: BaseException | None = caught.value
    while error is not None:
        assert "Zq" not in str(error) and "9K" not in str(error) and "Usr7" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert "Zq" not in caplog.text and "9K" not in caplog.text and "cannot be opened" in caplog.text


@pytest.mark.parametrize("password", ["a/b", "a?b#c", "[a]", "p@s:s", "100%", "x y", "%2F"])
def test_a_password_may_contain_any_punctuation(password: str) -> None:
    class Asking(HTTPHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            super().do_GET() if seen[-1] else self._respond(401, "", b"", {"WWW-Authenticate": 'Basic realm="x"'})

    seen: list[str | None] = []
    with Server(Asking) as server:
        open_stream(f"http://ann:{password}@127.0.0.1:{server.port}/live.mjpg")
    import base64

    sent = base64.b64decode((seen[-1] or "").removeprefix("Basic ")).decode()
    assert sent == f"ann:{password.replace('%2F', '/')}"


class Hostile(HTTPHandler):
    """Endless pages, and pages that refer to themselves."""

    def do_GET(self) -> None:
        name = self.path.strip("/").partition(".")[0].replace("-", "_").rstrip("0123456789")
        getattr(self, f"_{name}")()

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _repeat(self, data: bytes, pause: float = 0.0) -> None:
        while not self.server.stopping.wait(pause):
            self.wfile.write(data)

    def _part(self) -> None:
        self._begin("multipart/x-mixed-replace; boundary=frame")
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(1)[:500])
        self._repeat(b"\x11" * 1_000_000)

    def _later(self) -> None:
        """Start like a camera."""
        self._begin("multipart/x-mixed-replace; boundary=frame")
        for number in range(40):
            data = self.picture(number)
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n")
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 2100000000\r\n\r\n")
        self._repeat(b"\x11" * 1_000_000)

    def _sized_part(self) -> None:
        self._begin("multipart/x-mixed-replace; boundary=frame")
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 2100000000\r\n\r\n" + jpeg(1)[:500])
        self._repeat(b"\x11" * 1_000_000)

    def _part_headers(self) -> None:
        self._begin("multipart/x-mixed-replace; boundary=frame")
        self._repeat(b"--frame\r\n" + b"X-More: 1\r\n" * 10_000)

    def _headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._repeat(b"".join(b"Set-Cookie: n%d=%s\r\n" % (number, b"x" * 500) for number in range(500)))

    def _long_header(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self._repeat(b"x" * 1_000_000)

    def _master(self) -> None:
        lines = [f"#EXT-X-STREAM-INF:BANDWIDTH={number}\nmaster{number}.m3u8\n" for number in range(100)]
        self._respond(200, M3U8, ("#EXTM3U\n" + "".join(lines)).encode())

    def _playlist(self) -> None:
        self._begin(M3U8)
        self.wfile.write(b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n")
        self._repeat(b"#EXTINF:1,\nplaylist.m3u8\n" * 5000)

    def _huge(self) -> None:
        self._begin("multipart/x-mixed-replace; boundary=frame")
        data = jpeg(1)
        size = data.index(b"\xff\xc0") + 5
        data = data[:size] + struct.pack(">HH", 60_000, 60_000) + data[size + 4 :]
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
        self._repeat(head + data + b"\r\n", 0.01)

    def _drip(self) -> None:
        self._begin("multipart/x-mixed-replace; boundary=frame")
        self._repeat(b"-", 0.1)

    def _drip_playlist(self) -> None:
        self._begin(M3U8)
        self.wfile.write(b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n")
        self._repeat(b"#", 0.1)


# One process imports the modules and forks one process for each source, with separate memory.
_OPEN = """
import json, os, sys, time
from clipseg_live.core.errors import SourceError
from clipseg_live.media.sources.network_stream import StreamSource
import cv2
def megabytes(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1]) >> 10
def cost(name, address, patience):
    began, before = time.monotonic(), megabytes("VmRSS")
    source = StreamSource(address, patience, patience)
    try:
        source.open()
        for _ in range(500):
            source.read()
        said = "PLAYED"
    except SourceError as error:
        said = f"REFUSED {error}"
    source.close()
    told = name, said, megabytes("VmHWM") - before, time.monotonic() - began
    os.write(1, (json.dumps(told) + chr(10)).encode())
children = []
for name, address, patience in json.loads(sys.argv[1]):
    children.append(os.fork())
    if not children[-1]:
        try:
            cost(name, address, patience)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


class HostileRTSP(RTSPHandler):
    """An endless description of the stream."""

    def handle(self) -> None:
        request = self._request()
        assert request is not None
        self._reply("200 OK", {"CSeq": request[2]["cseq"]})
        request = self._request()
        assert request is not None
        lines = [f"CSeq: {request[2]['cseq']}", "Content-Type: application/sdp", "Content-Length: 2100000000", "", ""]
        self.wfile.write(b"RTSP/1.0 200 OK\r\n" + "\r\n".join(lines).encode())
        while not self.server.stopping.is_set():
            self.wfile.write(b"a=more:1\r\n" * 100_000)


HOSTILE = ("part", "sized-part", "later", "part-headers", "headers", "long-header", "master.m3u8", "playlist.m3u8",
           "huge", "drip", "drip-playlist.m3u8")  # fmt: skip
CAMERA = "live"


def patience(name: str) -> float:
    """Return the seconds to wait for a source. A slow one only costs time, not memory."""
    return 1.0 if name.startswith("drip") else 4.0


@pytest.fixture(scope="module")
def costs(request: pytest.FixtureRequest) -> dict[str, tuple[str, int, float]]:
    """Measure the costs of the sources of all selected tests at the same time, because most of it is waiting.

    The cost is the message of a separate process, the growth of its memory in MB, and its time in seconds.
    """
    chosen = {item.callspec.params["name"] for item in request.session.items if "costs" in item.fixturenames}
    with Server(Hostile) as server, Server(HostileRTSP) as camera:
        addresses = {name: f"http://127.0.0.1:{server.port}/{name}" for name in HOSTILE}
        addresses[CAMERA] = f"rtsp://127.0.0.1:{camera.port}/{CAMERA}"
        asked = json.dumps([(name, addresses[name], patience(name)) for name in chosen])
        ran = subprocess.run([sys.executable, "-c", _OPEN, asked], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return {name: tuple(told) for name, *told in map(json.loads, ran.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the largest memory so far is read from /proc")
@pytest.mark.parametrize("name", [CAMERA, *HOSTILE])
def test_a_hostile_source_costs_little_memory_and_time(costs: dict[str, tuple[str, int, float]], name: str) -> None:
    said, grown, seconds = costs[name]
    assert said.startswith("REFUSED") and grown < 700 and seconds < 15 * patience(name)
