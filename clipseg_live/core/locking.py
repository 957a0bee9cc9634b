"""Objects that threads can share: a decorator that lets one call in at a time."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


class Locked(Protocol):
    """An object with a lock for ``one_at_a_time``."""

    @property
    def _lock(self) -> AbstractContextManager[Any]: ...


_Self = TypeVar("_Self", bound=Locked)


def one_at_a_time(
    method: Callable[Concatenate[_Self, _Given], _Result],
) -> Callable[Concatenate[_Self, _Given], _Result]:
    """Hold the object's ``_lock`` during each call of a method."""

    @wraps(method)
    def locked(self: _Self, /, *arguments: _Given.args, **options: _Given.kwargs) -> _Result:
        with self._lock:
            return method(self, *arguments, **options)

    return locked
