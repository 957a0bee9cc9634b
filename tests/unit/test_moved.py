"""Deprecated names of public modules work."""

import sys
from importlib import import_module

import pytest

from clipseg_live._moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_a_deprecated_module_forwards_its_names(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to "):
        alias = import_module(old)
    for new in map(import_module, MOVED[old]):
        names = {name for name in vars(new) if not name.startswith("_")}
        assert names and all(getattr(alias, name) is getattr(new, name) for name in names)


def test_other_names_are_unknown() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("clipseg_live.core.nothing")
