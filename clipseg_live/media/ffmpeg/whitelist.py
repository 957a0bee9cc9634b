"""Protocols and formats that FFmpeg may open for an address or a file.

A playlist can name other addresses and files, and a server can send a playlist instead of a video. FFmpeg checks every
nested name against these lists.
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
"""Formats without frames, which refer to other files or addresses."""
_SCRIPTS = frozenset({"avisynth", "vapoursynth", "lavfi"})
"""Formats that run scripts."""
_COMPANIONS = frozenset({"image2", "vobsub", "rtsp", "sap", "rtp"})
"""Formats that read further files, or the network, by names derived from their own."""


def network_options(address: str) -> dict[str, str]:
    """Return options of ``av.open`` for an address: nested names stay on the network and use its protocols."""
    scheme = address.partition("://")[0].lower()
    unwanted = _SCRIPTS | {"concat", "sdp", "imf", "image2", "vobsub"}
    return {"protocol_whitelist": ",".join(_PROTOCOLS[scheme]), "format_whitelist": _all_but(unwanted)}


def without_format(options: dict[str, str], name: str) -> dict[str, str]:
    """Return the options without this format in the whitelist."""
    formats = options["format_whitelist"].split(",")
    return {**options, "format_whitelist": ",".join(form for form in formats if form != name)}


def file_options() -> dict[str, str]:
    """Return options of ``av.open`` for a file: FFmpeg opens that file and no other."""
    return {"protocol_whitelist": "file", "format_whitelist": _all_but(PLAYLISTS | _SCRIPTS | _COMPANIONS)}


@lru_cache(maxsize=4)
def _all_but(unwanted: frozenset[str]) -> str:
    """Return the names of all readable formats except the unwanted ones."""
    names: set[str] = set()
    for name in av.formats_available:
        try:
            names.add(av.ContainerFormat(name, "r").name)
        except ValueError:  # write-only formats
            continue
    return ",".join(sorted(name for name in names if not unwanted & set(name.split(","))))


def is_playlist(head: bytes) -> bool:
    """Return True if a file with this start is a playlist, which refers to videos instead of containing them."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith((b"#EXTM3U", b"ffconcat version", b"v=0", b"[playlist]")) or b"<MPD" in head
