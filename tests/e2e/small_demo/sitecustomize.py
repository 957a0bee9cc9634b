"""Demo scenes with a quarter of their sides, for commands whose tests do not depend on the size of the picture."""

from clipseg_live.demo.source import DemoSource

_named = DemoSource.named


def _smaller(name: str, width: int = 1280, height: int = 720, *others: object, **options: object) -> DemoSource:
    return _named(name, width // 4, height // 4, *others, **options)  # type: ignore[arg-type]


DemoSource.named = staticmethod(_smaller)  # type: ignore[assignment,method-assign]
