"""Only allowed state transitions happen."""

from collections.abc import Mapping
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.state_machine import SESSION, SOURCE, WORKER, IllegalTransition, StateMachine

TABLES = {"session": SESSION, "source": SOURCE, "worker": WORKER}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_in_its_table_and_can_be_reached(name: str) -> None:
    table: Mapping[Enum, frozenset[Enum]] = TABLES[name]  # type: ignore[assignment]
    kind = type(next(iter(table)))
    assert set(table) == set(kind)
    first = next(iter(table))
    reached, border = {first}, {first}
    while border:
        border = {state for each in border for state in table[each]} - reached
        reached |= border
    assert reached == set(kind)


@pytest.mark.slow
@given(st.sampled_from(list(TABLES)), st.data())
def test_transitions_that_are_not_in_the_table_are_rejected(name: str, data: st.DataObject) -> None:
    table = TABLES[name]
    states = list(table)
    before, after = data.draw(st.sampled_from(states)), data.draw(st.sampled_from(states))
    machine = StateMachine(before, table)  # type: ignore[arg-type, var-annotated]
    if after is before or after in table[before]:  # type: ignore[index]
        machine.to(after)
        assert machine.state is after
    else:
        with pytest.raises(IllegalTransition, match="cannot be followed by"):
            machine.to(after)
        assert machine.state is before


def test_a_stopped_session_stays_stopped() -> None:
    assert not next(targets for state, targets in SESSION.items() if state.value == "stopped")
