"""Property test: after any edits and faults, no output shows what privacy effects hide."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.privacy_rig import Rig
from tests.helpers.privacy_sequences import STEPS, run, settings_with_texts

STARTS = (
    settings_with_texts("red circle"),
    settings_with_texts("red circle", "blue star"),
    settings_with_texts(""),
    settings_with_texts(),
    settings_with_texts("red circle", effects=()),
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.booleans(), STEPS)
def test_no_sequence_of_edits_and_faults_shows_hidden_pixels(tmp_path: Path, start, always, steps) -> None:  # type: ignore[no-untyped-def]
    rig = Rig(start, tmp_path, always)
    try:
        run(rig, steps)
    finally:
        rig.close()
