"""What FFmpeg may open on behalf of an address or a file: the protocols and formats of its own kind, and nothing else.

A playlist can name other addresses and files, and a server can send a playlist where a video was expected. Every name
that FFmpeg meets on the way is held against these lists, however deep it is nested.
"""

from functools import lru_cache

import av

_HTTP = ("http", "https", "httpproxy", "tcp", "tls", "crypto", "data")
_RTSP = ("rtsp", "rtsps", "rtp", "srtp", "udp", "tcp", "tls", "crypto")
_RTMP = ("rtmp", "rtmps", "rtmpt", "rtmpts", "ffrtmphttp", "tcp", "tls", "crypto", "http", "https")
_PROTOCOLS = {
    "http": _HTTP, "https": _HTTP, "rtsp": _RTSP, "rtsps": _RTSP, "rtmp": _RTMP, "rtmps": _RTMP,
}  # fmt: skip

PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "imf", "webm_dash_manifest"})
"""Formats that hold no pictures but name where they are."""
_SCRIPTS = frozenset({"avisynth", "vapoursynth", "lavfi"})
"""Formats that are programs."""
_COMPANIONS = frozenset({"image2", "vobsub", "rtsp", "sap", "rtp"})
"""Formats that read further files, or the network, by names made from their own."""


def network_options(address: str) -> dict[str, str]:
    """Options of ``av.open`` for an address: what it leads to stays on the network, with the protocols of its kind."""
    scheme = address.partition("://")[0].lower()
    unwanted = _SCRIPTS | {"concat", "sdp", "imf", "image2", "vobsub"}
    return {"protocol_whitelist": ",".join(_PROTOCOLS[scheme]), "format_whitelist": _all_but(unwanted)}


def without_format(options: dict[str, str], name: str) -> dict[str, str]:
    """Return the options without this format among those that may be opened."""
    formats = options["format_whitelist"].split(",")
    return {**options, "format_whitelist": ",".join(each for each in formats if each != name)}


def file_options() -> dict[str, str]:
    """Options of ``av.open`` for a file: that file, and no other."""
    return {"protocol_whitelist": "file", "format_whitelist": _all_but(PLAYLISTS | _SCRIPTS | _COMPANIONS)}


@lru_cache(maxsize=4)
def _all_but(unwanted: frozenset[str]) -> str:
    """The names of every format that can be read here, but for some."""
    names: set[str] = set()
    for name in av.formats_available:
        try:
            names.add(av.ContainerFormat(name, "r").name)
        except ValueError:  # one that is only written
            continue
    return ",".join(sorted(name for name in names if not unwanted & set(name.split(","))))


def is_playlist(head: bytes) -> bool:
    """Whether a file that begins like this names where pictures are, instead of holding them."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith((b"#EXTM3U", b"ffconcat version", b"v=0", b"[playlist]")) or b"<MPD" in head
