"""A local server with the API of the Hugging Face hub: repositories from folders, and simulated faults."""

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REVISION = "5" * 40

Answer = tuple[int, dict[str, str]]


class HubServer(ThreadingHTTPServer):
    """Serves one repository.

    Attributes:
        files: Content of each file of the repository.
        requests: Method and path of every request.
        refuse: Returns status and headers for a refused path, else None.
        break_after: Bytes of a large file after which the connection breaks once.
        stall: Event that stalls every response while it is set, until the server closes.
        spoil: Changes the content of a file on its way.
    """

    daemon_threads = False

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository = repository
        self.files = files
        self.requests: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.refuse: Callable[[str], Answer | None] = lambda path: None
        self.break_after: int | None = None
        self.stall = threading.Event()
        self.closing = threading.Event()
        self.spoil: Callable[[str, bytes], bytes] = lambda name, content: content
        self.scheme = "http"
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.server_address[1]}"

    def downloaded(self) -> list[str]:
        """Return the names of the requested files."""
        return [path.rsplit("/", 1)[1] for method, path in self.requests if method == "GET" and "/resolve/" in path]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection for ``end_connections``."""
        self._connections.append(request)
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        """End connections that clients keep open. Their handlers would wait for another request until a timeout."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing. Clients of these tests break connections on purpose."""


@contextmanager
def serving(server: HubServer) -> Iterator[HubServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="hub stand-in")
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.end_connections()
        server.server_close()


def secure(server: HubServer, certificate: Path) -> None:
    """Make a server speak TLS with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.scheme = "https"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer
    timeout = 5

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def do_CONNECT(self) -> None:
        self._respond()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""

    def _respond(self) -> None:
        path = urlsplit(self.path).path
        self.server.requests.append((self.command, path))
        while self.server.stall.is_set() and not self.server.closing.wait(0.01):
            pass
        refused = self.server.refuse(path)
        if refused is not None:
            self._send(refused[0], b"{}", {"Content-Type": "application/json", **refused[1]})
        elif path.startswith(f"/api/models/{self.server.repository}"):
            listing = self._tree() if "/tree/" in path else self._info()
            self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})
        elif path.startswith(f"/{self.server.repository}/resolve/"):
            self._send_file(path.rsplit("/", 1)[1])
        else:
            self._send(404, b"not found", {})

    def _info(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for name, content in self.server.files.items():
            sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": _git_digest(content)}
            if _is_large(name):
                sibling["lfs"] = {"sha256": _digest(content), "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return {"id": self.server.repository, "sha": REVISION, "siblings": siblings, "private": False, "tags": []}

    def _tree(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        for name, content in self.server.files.items():
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _git_digest(content)}
            if _is_large(name):
                entry["lfs"] = {"oid": _digest(content), "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return entries

    def _send_file(self, name: str) -> None:
        content = self.server.files.get(name)
        if content is None:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        headers = {"X-Repo-Commit": REVISION, "ETag": f'"{etag(name, content)}"', "Accept-Ranges": "bytes"}
        content, start = self.server.spoil(name, content), 0
        if byte_range := self.headers.get("Range"):
            self.server.ranges.append(byte_range)
            start = int(byte_range.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.server.break_after if self.command == "GET" and _is_large(name) else None
        if cut is not None:
            self.server.break_after = None
        return self._send(206 if start else 200, content[start:], headers, cut)

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        self.close_connection = True


def etag(name: str, content: bytes) -> str:
    return _digest(content) if _is_large(name) else _git_digest(content)


def _is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
