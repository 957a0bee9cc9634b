"""States of the parts of a session, and the transitions that are allowed."""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Generic, TypeVar

from clipseg_live.core.status import SourceState, WorkerState

State = TypeVar("State", bound=Enum)


class SessionState(StrEnum):
    """State of a session as a whole. A session starts once and cannot be restarted."""

    NEW = "new"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class IllegalTransition(RuntimeError):
    """A transition between two states that is not allowed, which is a bug."""


class StateMachine(Generic[State]):
    """A state that changes only along ``legal`` transitions. A transition to the same state is always allowed."""

    def __init__(self, first: State, legal: Mapping[State, frozenset[State]]) -> None:
        self._state = first
        self._legal = legal

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    def to(self, state: State) -> None:
        """Change to a state.

        Raises:
            IllegalTransition: If the transition is not allowed.
        """
        if state is not self._state and state not in self._legal[self._state]:
            raise IllegalTransition(f"{self._state.value} cannot be followed by {state.value}")
        self._state = state


_S, _W = SourceState, WorkerState

SESSION: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.NEW: frozenset({SessionState.RUNNING, SessionState.STOPPED}),
    SessionState.RUNNING: frozenset({SessionState.STOPPING}),
    SessionState.STOPPING: frozenset({SessionState.STOPPED}),
    SessionState.STOPPED: frozenset(),
}

SOURCE: Mapping[SourceState, frozenset[SourceState]] = {
    _S.CLOSED: frozenset({_S.OPENING}),
    _S.OPENING: frozenset({_S.RUNNING, _S.PAUSED, _S.FAILED, _S.CLOSED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.ENDED, _S.RECONNECTING, _S.CLOSED}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.ENDED, _S.RECONNECTING, _S.CLOSED}),
    _S.ENDED: frozenset({_S.RUNNING, _S.PAUSED, _S.CLOSED}),
    _S.RECONNECTING: frozenset({_S.RUNNING, _S.PAUSED, _S.CLOSED}),
    _S.FAILED: frozenset({_S.RUNNING, _S.PAUSED, _S.CLOSED}),
}
"""FAILED is a source that never opened. A live source is still retried, at increasing intervals."""

WORKER: Mapping[WorkerState, frozenset[WorkerState]] = {
    _W.STOPPED: frozenset({_W.STARTING}),
    _W.STARTING: frozenset({_W.LOADING, _W.RESTARTING, _W.WAITING, _W.STOPPED}),
    _W.LOADING: frozenset({_W.READY, _W.RESTARTING, _W.WAITING, _W.STOPPED}),
    _W.READY: frozenset({_W.LOADING, _W.RESTARTING, _W.WAITING, _W.STOPPED}),
    _W.RESTARTING: frozenset({_W.STARTING, _W.STOPPED}),
    _W.WAITING: frozenset({_W.STARTING, _W.LOADING, _W.RESTARTING, _W.STOPPED}),
}
