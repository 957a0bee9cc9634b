"""docs/effects.md has every effect with its options, their defaults and a picture."""

import re

import pytest

from clipseg_live.core.settings.effects import KINDS
from tests.helpers.paths import ROOT

DOCS = ROOT / "docs"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_effect_is_documented_as_it_is_defined(kind: str) -> None:
    text = (DOCS / "effects.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.split(f"\n## {kind}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    options = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \| \S.+ \|$", section, flags=re.M))
    fields = {name: str(field.default) for name, field in KINDS[kind].model_fields.items() if name != "kind"}
    assert options == fields
    assert (DOCS / "pictures" / "effects" / f"{kind}.webp").is_file() and f"(pictures/effects/{kind}.webp)" in section


def test_no_effect_is_documented_that_is_not_there() -> None:
    text = (DOCS / "effects.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+)$", text, flags=re.M)) == set(KINDS)
