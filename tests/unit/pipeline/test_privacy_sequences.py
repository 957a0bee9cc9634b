"""Property test: whatever is edited and whatever fails, no output shows what hiding effects hide."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipseg_live.core.effects import BlackOut
from tests.privacy_rig import Rig
from tests.privacy_sequences import STEPS, run, starting

STARTS = (
    starting("red circle"),
    starting("red circle", "blue star"),
    starting(""),
    starting(),
    starting("red circle", effects=()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.booleans(), st.lists(STEPS, min_size=5, max_size=25))
def test_no_sequence_of_edits_and_faults_shows_what_is_hidden(tmp_path: Path, start, always, steps) -> None:  # type: ignore[no-untyped-def]
    rig = Rig(start, tmp_path, always)
    try:
        run(rig, [("predict", 2), *steps, ("hide", BlackOut()), ("predict", 3)])
    finally:
        rig.close()
