"""Registries of named parts: those of this package, and those that installed packages add by entry points."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)

INTERFACE_VERSION = 1
"""Version of the interface between this package and parts of other packages."""
_LEFT_OUT = "The %s %s of %s is left out: %s"

Part = TypeVar("Part")


class PluginError(ValueError):
    """A part of another package that cannot be used. The text says why."""


class Registry(Generic[Part]):
    """Named parts of one kind, such as effects.

    Nothing is imported until it is needed: entry points are listed when somebody asks for a name that this package does
    not have, or for all parts, and a part of another package is imported when it is asked for. A part that cannot be
    used is logged once and left out. Threads may share a registry.

    Args:
        group: Group of the entry points. The name of an entry point is the name of the part.
        noun: What a part is called in messages, such as "effect".
        own: Parts of this package by name. Other packages cannot replace them.
        accept: Returns the part for a name and the object of its entry point. It raises an error whose text says why
            the object is not such a part.
    """

    def __init__(self, group: str, noun: str, own: Mapping[str, Part], accept: Callable[[str, object], Part]) -> None:
        self.group, self.noun, self.own = group, noun, own
        self._accept = accept
        self._lock = threading.RLock()  # a package may use the registry while it is imported
        self._entries: dict[str, EntryPoint] | None = None
        self._loaded: dict[str, Part] = {}
        self._problems: dict[str, str] = {}

    def get(self, name: str) -> Part | None:
        """Return the part of a name; None if there is none or if it cannot be used."""
        if name in self.own:
            return self.own[name]
        with self._lock:
            if name not in self._loaded and name not in self._problems and name in self._listed():
                self._load(name, self._listed()[name])
            return self._loaded.get(name)

    def names(self) -> tuple[str, ...]:
        """Return all names, first those of this package. Parts that turned out to be unusable are left out."""
        with self._lock:
            return (*self.own, *(name for name in self._listed() if name not in self._problems))

    def all(self) -> dict[str, Part]:
        """Return all parts that can be used, by name. Imports the parts of other packages."""
        return {name: part for name in self.names() if (part := self.get(name)) is not None}

    def problem(self, name: str) -> str:
        """Return why the part of another package cannot be used, as the end of a sentence; "" if nothing is known."""
        with self._lock:
            return f"{self._problems[name]} (the log has more)" if name in self._problems else ""

    def refusal(self, name: str, offer: str = "use one of") -> str:
        """Return why there is no part of a name, as the end of a sentence.

        Args:
            name: The name.
            offer: Words before the names that there are.
        """
        return self.problem(name) or f"{offer} {', '.join(self.names())}"

    def _listed(self) -> dict[str, "EntryPoint"]:
        """Return the entry points of other packages by name."""
        if self._entries is None:
            self._entries = {}
            for entry in self._found():
                if entry.name in self.own:
                    reason = f"this {self.noun} is part of clipseg-live"
                elif entry.name in self._entries:
                    reason = f"{_package_of(self._entries[entry.name])} has one of the same name"
                else:
                    self._entries[entry.name] = entry
                    continue
                logger.warning(_LEFT_OUT, self.noun, entry.name, _package_of(entry), reason)
        return self._entries

    def _found(self) -> Iterator["EntryPoint"]:
        from importlib.metadata import entry_points  # not needed by most runs

        try:
            yield from sorted(entry_points(group=self.group), key=lambda entry: (entry.name, _package_of(entry)))
        except Exception:  # damaged metadata of any installed package
            logger.warning("The entry points %s cannot be listed", self.group, exc_info=True)

    def _load(self, name: str, entry: "EntryPoint") -> None:
        try:
            part = self._accept(name, entry.load())
        except (Exception, SystemExit) as error:  # the package of somebody else
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            logger.warning(_LEFT_OUT, self.noun, name, _package_of(entry), reason, exc_info=True)
            self._problems[name] = f"that of {_package_of(entry)} cannot be used, {' '.join(reason.split())}"
        else:
            self._loaded[name] = part
            logger.info("Loaded the %s %s of %s", self.noun, name, _package_of(entry))


def check_interface(version: int) -> None:
    """Check the version of the interface that a part is made for.

    Raises:
        PluginError: If this package has another one.
    """
    if version != INTERFACE_VERSION:
        raise PluginError(f"it is made for interface {version}, and this clipseg-live has {INTERFACE_VERSION}")


def _package_of(entry: "EntryPoint") -> str:
    return entry.value if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
