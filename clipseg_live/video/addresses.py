"""Check which addresses of streams can be opened."""

from clipseg_live.core.addresses import SCHEMES, safe_name
from clipseg_live.core.errors import UsageError

__all__ = ["SCHEMES", "check_address", "safe_name"]


def check_address(address: str) -> str:
    """Return the address without blanks around it. Raises UsageError for one that cannot be a stream's."""
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


def _listed() -> str:
    return ", ".join(f"{scheme}://" for scheme in SCHEMES[:-1]) + f" or {SCHEMES[-1]}://"
