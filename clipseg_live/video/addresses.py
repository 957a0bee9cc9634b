"""Addresses of streams: which can be opened, and how to call one without giving its password away."""

import re

from clipseg_live.core.errors import UsageError

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https")

_END_OF_HOST = re.compile(r"[/?#]")
_QUERY = re.compile(r"[?#]")


def check_address(address: str) -> str:
    """The address without blanks around it. Raises UsageError for one that cannot be a stream's."""
    address = address.strip()
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if not address:
        raise UsageError("The address is empty: write one such as rtsp://HOST/PATH or http://HOST/PATH.")
    if scheme not in SCHEMES:
        raise UsageError(f"{safe_name(address)!r} is no address of a stream: it must begin with {_listed()}.")
    host = address.partition("://")[2]
    if not host or host[0] in "/?#":
        raise UsageError(f"The address {safe_name(address)!r} names no host: write {scheme}://HOST/PATH.")
    if any(ord(character) < 32 for character in address):
        raise UsageError(f"The address {safe_name(address)!r} holds characters that cannot be part of one.")
    return address


def safe_name(address: str) -> str:
    """The address for people to read: without user name and password, wherever cameras want them.

    What stands before an ``@``, everything from ``?`` or ``#`` on, and parts of the path that hold a ``=`` (some
    cameras take ``/user=NAME&password=WORD/``) are left out.
    """
    scheme, mark, rest = address.strip().partition("://")
    if not mark:
        scheme, rest = "", scheme
    authority = _END_OF_HOST.split(rest, maxsplit=1)[0]
    if "@" in rest[len(authority) :]:  # a password may hold an unescaped "/", "?" or "#": it could begin anywhere
        return f"{scheme}{mark}…"
    shown = _QUERY.split(rest.rpartition("@")[2], maxsplit=1)[0]
    parts = ["…" if "=" in part else part for part in shown.split("/")]
    return scheme + mark + "".join(character for character in "/".join(parts) if character.isprintable())


def _listed() -> str:
    return ", ".join(f"{scheme}://" for scheme in SCHEMES[:-1]) + f" or {SCHEMES[-1]}://"
