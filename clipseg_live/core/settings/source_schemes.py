"""Sources with a scheme, such as ``demo:``. ``media.sources`` opens files, cameras and addresses."""

import logging
import re
from dataclasses import dataclass
from fractions import Fraction
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from clipseg_live.core.addresses import SCHEMES, redact
from clipseg_live.core.errors import ClipsegLiveError, SourceError, UsageError
from clipseg_live.core.settings.plugins import PluginError, Registry, check_interface

if TYPE_CHECKING:
    from clipseg_live.core.protocols import FrameSource

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z][a-z0-9-]+")
_SCHEME = re.compile(rf"({_NAME.pattern}):(?!//)")
_RESERVED = frozenset({"camera", "screen", *SCHEMES})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """A source that is to be opened.

    Attributes:
        name: Name with its scheme, such as "demo:7".
        start: Time in seconds of the first frame; None for the start of the source. A source without a timeline
            ignores it.
        end: Time in seconds before which the frames end; None for the end of the source.
        endless: The source may go on for ever, as in a live session. If False, it is exported and must end.
        width: Width in pixels that is asked for; None leaves it to the source.
        height: Height in pixels that is asked for; None leaves it to the source.
        rate: Frames per second that are asked for; None leaves them to the source.
    """

    name: str
    start: Fraction | None = None
    end: Fraction | None = None
    endless: bool = False
    width: int | None = None
    height: int | None = None
    rate: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceScheme:
    """A kind of source with a scheme of its own.

    Attributes:
        name: The scheme without its colon.
        opener: "module:function" that takes a ``SourceRequest`` and returns a source that is not open yet. A
            ``core.protocols.FrameSource`` can be exported and seeks by being opened again with another start; its times
            must not depend on the start. A ``LiveSource`` with ``live = True`` is for live sessions only. The function
            raises UsageError for a name that is invalid.
        interface: Version of the interface that the scheme is made for.
    """

    name: str
    opener: str
    interface: int = 1


def _accept(name: str, part: object) -> SourceScheme:
    if not isinstance(part, SourceScheme):
        raise PluginError(f"its entry point is {type(part).__name__}, not a SourceScheme")
    check_interface(part.interface)
    if part.name != name or not _NAME.fullmatch(name):
        raise PluginError(f"{part.name!r} and {name!r} must be the same name, of small letters, digits and hyphens")
    if name in _RESERVED:
        raise PluginError(f"{name}: is opened by clipseg-live itself")
    return part


SOURCE_SCHEMES = Registry(
    "clipseg_live.sources",
    "source",
    {"demo": SourceScheme(name="demo", opener="clipseg_live.demo.source:open_demo")},
    _accept,
)
"""All schemes by name, with those of installed packages."""


def find_scheme(name: str) -> SourceScheme | None:
    """Return the scheme of a source; None for files, devices and addresses.

    Raises:
        UsageError: If the scheme is that of another package and cannot be used.
    """
    match = _SCHEME.match(name)
    if match is None or match[1] in _RESERVED:
        return None
    scheme = SOURCE_SCHEMES.get(match[1])
    if scheme is None and (problem := SOURCE_SCHEMES.problem(match[1])):
        raise UsageError(f"The source {match[1]}: cannot be opened: {problem}.")
    return scheme


def open_by_scheme(scheme: SourceScheme, request: SourceRequest) -> "FrameSource":
    """Return the source of a request, not opened yet.

    Raises:
        UsageError: If its name is invalid.
        SourceError: If the function that opens it fails.
    """
    try:
        source: FrameSource = resolve_name(scheme.opener)(request)
    except ClipsegLiveError:
        raise
    except Exception as error:  # the package of somebody else
        logger.exception("The source %s: could not be made", scheme.name)
        reason = redact(f"{type(error).__name__}, {error}")
        raise SourceError(f"The source {scheme.name}: cannot be opened: {reason}.") from error
    return source
