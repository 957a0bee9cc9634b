"""Old names of public modules. Importing one raises a DeprecationWarning and gives the names of the moved module."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "clipseg_live.core.annotations": ("clipseg_live.core.settings.annotations",),
    "clipseg_live.core.effects": ("clipseg_live.core.settings.effects",),
    "clipseg_live.core.live": ("clipseg_live.core.settings.live", "clipseg_live.core.status"),
}
"""The modules that now have the names of an old one."""


class MovedModules(MetaPathFinder, Loader):
    """Finds modules by their old names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for an old name, None for any other name."""
        return ModuleSpec(name, self) if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module the names of the one in the new place."""
        new = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} has moved to {' and '.join(new)}.", DeprecationWarning, stacklevel=2)
        for name in new:
            vars(module).update({key: value for key, value in vars(import_module(name)).items() if key[:2] != "__"})


def install() -> None:
    """Add the old names to the import system."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
