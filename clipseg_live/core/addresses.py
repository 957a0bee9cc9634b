"""Names of sources, and functions that mask the credentials in addresses.

``SourceName`` holds the true name and shows a masked one. ``redact`` masks every address in a longer text.
Neither raises an error: text that cannot be parsed is masked.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # core.errors imports this module, so it must import quickly
    from pydantic import GetCoreSchemaHandler
    from pydantic_core.core_schema import CoreSchema, SerializationInfo

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https")
"""Schemes of the addresses that can be opened."""
SECURE_PORTS = {"https": 443, "rtsps": 322, "rtmps": 443}
"""Default ports of the schemes whose servers have a certificate."""
HIDDEN_PART = "…"
REVEAL = {"reveal": True}
"""Serialization context (``model_dump(context=REVEAL)``) that writes true names into JSON."""

_SCHEME_END = re.compile(r"(?<=[A-Za-z0-9+.\-]{2}):[/\\]+")  # a single letter is a Windows drive
_NEXT_ADDRESS = re.compile(r"(?<=[\s'\"(<\[,;=])(?=[A-Za-z][A-Za-z0-9+.\-]*:[/\\]{2})")
_END_OF_AUTHORITY = re.compile(r"[/\\?#]")
_QUERY = re.compile(r"[?#]")
_HOST = re.compile(r"(\[[^\[\]@]*\]|[^:@\[\]\s]*)(:\d{1,5})?")
_PORT = re.compile(r":[0-9]{1,5}$")
_SECRET_PART = re.compile(r"[=@]|%40|%3d", re.IGNORECASE)
_NO_USER = r"(?!(?:camera|screen|demo):)"
_BARE = re.compile(
    _NO_USER + r"(?:[/\\]{2}[^\s/\\@]*:|[^\s:/\\@]:(?![/\\])|[^\s:/\\@]{2,}:).*@",
    re.DOTALL | re.IGNORECASE,
)
_BARE_IN_TEXT = re.compile(r"(?<![^\s'\"(<\[,=])" + _NO_USER + r"[^\s:/\\@'\"]{2,500}:\S{0,500}@")
_SECRET_VALUE = re.compile(
    r"((?:pass|pwd|token|secret|api_?key|auth|signature|credential)[\w\-]{0,40}=)[^\s&]+", re.IGNORECASE
)
_PUNCTUATION = "\"'`)>],;:."


class SourceName:
    """The name of a source: an address, a file, ``camera:0``, ``screen:`` or ``demo:``.

    ``str``, ``repr`` and ``format`` omit user name, password and query. ``reveal`` returns the full name.
    A source name equals the text that it was made from. It is masked in JSON, unless the serialization context is
    ``REVEAL``.
    """

    __slots__ = ("_shown", "_text")

    def __init__(self, text: "str | SourceName") -> None:
        self._text: str = text._text if isinstance(text, SourceName) else text
        self._shown = safe_name(self._text)

    def reveal(self) -> str:
        """Return the true name, with credentials. Use it only to open or to save the source."""
        return self._text

    @property
    def is_address(self) -> bool:
        """Return True if the name is an address with a scheme."""
        return "://" in self._text

    def startswith(self, prefix: str | tuple[str, ...]) -> bool:
        """Return whether the true name starts with the prefix."""
        return self._text.startswith(prefix)

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return repr(self._shown)

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SourceName):
            return self._text == other._text
        return self._text == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema

        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _serialized, info_arg=True, when_used="json", return_schema=core_schema.str_schema()
            ),
        )


def safe_name(name: str) -> str:
    """Return a name that is safe to show: addresses lose their user name, password, query and fragment.

    Parts of a path that hold a ``=`` are masked too, as some cameras take ``/user=NAME&password=WORD/``. If the
    password of an address may extend into its path, the whole address is masked. Names of files are returned unchanged.
    """
    name = "".join(character for character in name if character.isprintable())
    address = name.strip()
    found = _SCHEME_END.search(address)
    if found and not _END_OF_AUTHORITY.search(address, 0, found.start()):
        return address[: found.end()] + _safe_rest(address[found.end() :])
    return _safe_rest(address.rpartition("@")[2]) if _BARE.match(address) else redact(name)


def address_problem(address: str) -> str:
    """Return one sentence on why an address is not that of a stream; "" if it is valid."""
    address = address.strip()
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if not address:
        return "The address is empty: write one such as rtsp://HOST/PATH or http://HOST/PATH."
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES[:-1])
        return f"{safe_name(address)!r} is not a stream address: it must begin with {known} or {SCHEMES[-1]}://."
    host = address.partition("://")[2]
    if not host or host[0] in "/?#":
        return f"The address {safe_name(address)!r} has no host: write {scheme}://HOST/PATH."
    if any(ord(character) < 32 for character in address):
        return f"The address {safe_name(address)!r} contains invalid characters."
    return ""


def openable(address: str) -> str:
    """Return an address in the form that FFmpeg reads.

    Characters of a password that would end the host are percent-encoded, such as ``%2F`` for "/". An address is changed
    only if it is unambiguous: the text before the first such character is neither a host nor a host with its port.
    """
    scheme, mark, rest = address.partition("://")
    authority = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0]
    at = rest.rfind("@")
    if at < len(authority) or "@" in authority or _HOST.fullmatch(authority):
        return address
    credentials = "".join(f"%{ord(each):02X}" if each in "/\\?#" else each for each in rest[:at])
    return f"{scheme}{mark}{credentials}{rest[at:]}"


def host_and_port(address: str) -> tuple[str, int | None]:
    """Return the host of an address, without brackets, and its port; None if it has no valid port."""
    rest = address.partition("://")[2]
    authority = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0].rpartition("@")[2]
    host, _, port = authority.rpartition(":") if _PORT.search(authority) else (authority, "", "")
    return host.strip("[]"), int(port) if port else None


def redact(text: str) -> str:
    """Mask the credentials and queries of all addresses in a text.

    Everything between the scheme and the last ``@`` of a line counts as credentials, as a password may hold any
    character. Values of parameters such as ``password=`` and ``token=`` are masked as well.
    """
    if ":" not in text and "=" not in text:
        return text
    return "\n".join(_redact_line(line) for line in text.split("\n"))


def _redact_line(line: str) -> str:
    pieces = [_redact_first(piece) for piece in _NEXT_ADDRESS.split(line)]
    line = _BARE_IN_TEXT.sub(HIDDEN_PART, "".join(pieces))
    return _SECRET_VALUE.sub(rf"\1{HIDDEN_PART}", line)


def _redact_first(piece: str) -> str:
    """Mask the only address in a part of a line."""
    scheme_end = _SCHEME_END.search(piece)
    if scheme_end is None:
        return piece
    rest = piece[scheme_end.end() :]
    at = rest.rfind("@") + 1
    after = rest[at:]
    address = re.split(r"\s", after, maxsplit=1)[0]
    tail = after[len(address) :]
    kept = address.rstrip(_PUNCTUATION)
    closed = address[len(kept) :]
    return piece[: scheme_end.end()] + _safe_rest(rest[:at] + kept) + closed + tail


def _safe_rest(rest: str) -> str:
    """Mask the credentials and the query in an address without its scheme."""
    authority = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0]
    beyond = rest[len(authority) :]
    if "@" in beyond:  # a password may hold an unescaped "/", "?" or "#"
        return HIDDEN_PART
    host = authority.rpartition("@")[2]
    if not _HOST.fullmatch(host):  # a port that is not a number may be a password
        host = HIDDEN_PART
    path = _QUERY.split(beyond, maxsplit=1)[0]
    return host + "/".join(HIDDEN_PART if _SECRET_PART.search(part) else part for part in path.split("/"))


def _serialized(name: SourceName, info: "SerializationInfo") -> str:
    context = info.context
    return name.reveal() if isinstance(context, dict) and context.get("reveal") else str(name)
