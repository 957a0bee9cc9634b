"""docs/effects.md has every effect as it is defined, with a picture."""

import pytest

from clipseg_live.core.settings.effects import KINDS
from tests.helpers.paths import ROOT


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_effect_has_a_picture(kind: str) -> None:
    assert (ROOT / "docs" / "pictures" / "effects" / f"{kind}.webp").is_file()
