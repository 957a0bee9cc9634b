"""Small servers for tests of streams: MJPEG and files over HTTP, RTSP over TCP, and faulty servers."""

import base64
import http.server
import io
import re
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import ClassVar

import av
import numpy as np
from PIL import Image

from tests.helpers.paths import CERTIFICATES

WAIT = 20.0


def frame_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of frame ``number``. Successive colours differ even after compression."""
    return (40 + (number * 37) % 170, 60, 200 - (number * 53) % 150)


def jpeg(number: int, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, frame_colour(number)).convert(mode).save(written, "JPEG", quality=95)
    return written.getvalue()


class Server:
    """Runs a handler on a local port. It can be killed with all its connections, and restarted on the same port."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        self.handler = handler
        self.port = 0
        self.running: _Listening | None = None
        self.start()

    def start(self) -> None:
        self.running = _Listening(("127.0.0.1", self.port), self.handler)
        self.running.outer = self
        self.port = self.running.server_address[1]
        self.thread = threading.Thread(target=self.running.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def kill(self) -> None:
        listening, self.running = self.running, None
        if listening is None:
            return
        listening.stopping.set()
        listening.shutdown()
        for connection in list(listening.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        listening.server_close()  # wait for the threads of its connections
        self.thread.join(WAIT)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class _Listening(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    outer: Server

    def __init__(self, *arguments) -> None:
        self.connections: list[socket.socket] = []
        self.stopping = threading.Event()
        super().__init__(*arguments)

    def process_request(self, request, client_address) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request, client_address) -> None:
        """Ignore the error: clients may disconnect."""


class HTTPHandler(http.server.BaseHTTPRequestHandler):
    """Serves pages by path, and MJPEG.

    Attributes:
        pages: Content type and bytes by path, set by subclasses.
    """

    pages: ClassVar[dict[str, tuple[str, bytes]]] = {}
    rate = 50.0
    size = (64, 48)

    def log_message(self, *_: object) -> None: ...

    def picture(self, number: int) -> bytes:
        """Return one JPEG of the MJPEG stream."""
        return jpeg(number, self.size)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/live.mjpg":
            self._mjpeg()
        elif path == "/locked" and self.headers.get("Authorization") != _basic("ann", "se:cret"):
            self._respond(401, "text/plain", b"no", {"WWW-Authenticate": 'Basic realm="cameras"'})
        elif path == "/locked":
            self._mjpeg()
        elif path == "/broken":
            self._respond(500, "text/plain", b"no")
        elif path in self.pages:
            self._respond(200, *self.pages[path])
        else:
            self._respond(404, "text/plain", b"no")

    def _respond(self, code: int, kind: str, data: bytes, more: dict[str, str] | None = None) -> None:
        first, last = 0, len(data) - 1
        requested = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if code == 200 and requested:
            code, first = 206, int(requested[1])
            last = min(int(requested[2]), last) if requested[2] else last
            more = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Accept-Ranges": "bytes", **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])

    def _mjpeg(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.stopping.wait(1 / self.rate):
            data = self.picture(number)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            number += 1


class SilentHandler(socketserver.BaseRequestHandler):
    """Accepts the connection and sends nothing."""

    def handle(self) -> None:
        self.server.stopping.wait(WAIT)


class RTSPHandler(socketserver.StreamRequestHandler):
    """H.264 over RTSP, interleaved on its own connection (RFC 2326, 6184), endless until it is killed.

    It offers only TCP. If ``password`` is set, it requires "ann:PASSWORD".
    """

    rate = 25
    password: str | None = None

    def handle(self) -> None:
        with suppress(OSError):
            while (request := self._request()) is not None:
                method, address, headers = request
                answer = {"CSeq": headers["cseq"]}
                if self.password and headers.get("authorization") != _basic("ann", self.password):
                    answer["WWW-Authenticate"] = 'Basic realm="cameras"'
                    self._reply("401 Unauthorized", answer)
                    continue
                body = ""
                if method == "DESCRIBE":
                    answer |= {"Content-Type": "application/sdp", "Content-Base": address + "/"}
                    body = _SDP
                if method == "SETUP":
                    accepted = self._accepts(headers["transport"])
                    if accepted is None:
                        self._reply("461 Unsupported transport", answer)
                        continue
                    answer |= {**accepted, "Session": "12345678"}
                self._reply("200 OK", answer, body)
                if method == "PLAY":
                    self._play()
                    return

    def _request(self) -> tuple[str, str, dict[str, str]] | None:
        lines: list[str] = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) or not lines:
            if not line:
                return None
            lines.append(line)
        method, address, _ = lines[0].split(" ")
        pairs = (line.split(": ", 1) for line in lines[1:])
        return method, address, {name.lower(): value for name, value in pairs}

    def _reply(self, status: str, headers: dict[str, str], body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}", *(f"{name}: {value}" for name, value in headers.items())]
        lines.append(f"Content-Length: {len(body)}")
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _accepts(self, requested: str) -> dict[str, str] | None:
        """Return the response to a requested transport; None if it is not offered."""
        return {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"} if "TCP" in requested else None

    def _send(self, packet: bytes) -> None:
        self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)

    def _play(self) -> None:
        sequence, ticks = 0, 90000 // self.rate
        for number, units in enumerate(h264(self.rate)):
            if self.server.stopping.wait(1 / self.rate):
                return
            for position, unit in enumerate(units):
                marker = 0x80 if position == len(units) - 1 else 0
                head = struct.pack(">BBHII", 0x80, marker | 96, sequence & 0xFFFF, 777_000 + number * ticks, 0x5EED)
                self._send(head + unit)
                sequence += 1


_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


def h264(rate: int) -> Iterator[list[bytes]]:
    """Yield frames of ``frame_colour`` without end, each as its H.264 units."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, rate), Fraction(rate)
    encoder.options = {"tune": "zerolatency", "g": "5", "crf": "10"}
    number = 0
    while True:
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), frame_colour(number), np.uint8), "rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, number = number, number + 1
        for packet in encoder.encode(frame):
            yield [unit for unit in re.split(rb"\x00\x00\x00?\x01", bytes(packet)) if unit]


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


"""authority.pem signed localhost.pem, other_host.pem and expired.pem; self_signed.pem is its own authority."""


class TLSServer(Server):
    """A server with one of the ``CERTIFICATES``."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler], certificate: str) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
        super().__init__(type("Secured", (_Secured, handler), {"context": self.context}))


class _Secured:
    """Mixin for a handler. The handshake is done in the thread of the connection."""

    context: ssl.SSLContext

    def setup(self) -> None:
        self.request.settimeout(WAIT)
        secured = self.context.wrap_socket(self.request, server_side=True)
        self.server.connections.append(secured)
        self.request = secured
        super().setup()

    def finish(self) -> None:
        super().finish()
        with suppress(OSError):
            self.request.close()


class UDPOnlyHandler(RTSPHandler):
    """Sends frames over UDP and refuses TCP, like some cameras."""

    def _accepts(self, requested: str) -> dict[str, str] | None:
        if "TCP" in requested:
            return None
        ports = re.search(r"client_port=(\d+)-(\d+)", requested)
        assert ports is not None
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._udp.connect(("127.0.0.1", int(ports[1])))
        port = self._udp.getsockname()[1]
        return {"Transport": f"RTP/AVP;unicast;client_port={ports[1]}-{ports[2]};server_port={port}-{port + 1}"}

    def _send(self, packet: bytes) -> None:
        self._udp.send(packet)

    def finish(self) -> None:
        super().finish()
        if hasattr(self, "_udp"):
            self._udp.close()
