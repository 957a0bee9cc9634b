"""docs/effects.md has every effect with an image."""

import pytest

from clipseg_live.core.settings.effects import KINDS
from tests.helpers.paths import ROOT


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_effect_has_an_image(kind: str) -> None:
    assert (ROOT / "docs" / "pictures" / "effects" / f"{kind}.webp").is_file()
