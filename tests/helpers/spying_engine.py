"""An engine for the inference process that reports which libraries the process has imported."""

import os
import sys
from pathlib import Path
from typing import Any

from clipseg_live.app.engine import make_exact_engine
from clipseg_live.core.settings.base import EngineSettings
from tests.helpers.live_engine import Report

CACHE = "CLIPSEG_LIVE_TESTS_CONVERTED"
"""Variable with the folder of converted models."""

LIBRARIES = ("torch", "transformers", "openvino", "openvino_telemetry")


class SpyingEngine:
    """The real engine. Its notices name the imported libraries."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @property
    def notices(self) -> tuple[str, ...]:
        imported = [name for name in LIBRARIES if name in sys.modules]
        return (f"{self._engine.vision_passes} passes: {' '.join(imported)}",)


def spying(settings: EngineSettings, on_progress: Report, on_notice: Report) -> SpyingEngine:
    from clipseg_live.model.store import converted

    converted.cache_root = lambda: Path(os.environ[CACHE])
    return SpyingEngine(make_exact_engine(settings, on_progress, on_notice))
