"""The prompts and the model that the demo scene starts with."""

from collections.abc import Mapping

from clipseg_live.core.settings.base import BUILT_IN_MODEL, RGB, EngineSettings
from clipseg_live.core.settings.live import MOST_ROWS, LiveSettings

DEMO_PROMPTS: Mapping[str, RGB] = {
    "red circle": (0, 216, 255),
    "blue star": (255, 122, 0),
    "yellow heart": (160, 60, 255),
}
"""Prompts with a colour for each. It differs from the colour of the object, so the mask is visible."""


def demo_settings() -> LiveSettings:
    """Return default settings with the prompts and the model of the demo."""
    return with_demo_prompts(LiveSettings(engine=EngineSettings(model=BUILT_IN_MODEL)))


def with_demo_prompts(settings: LiveSettings) -> LiveSettings:
    """Return the settings with the prompts of the demo that they lack, as far as there is room."""
    for text, colour in DEMO_PROMPTS.items():
        if len(settings.rows) < MOST_ROWS and text not in {row.text.strip().lower() for row in settings.rows}:
            row = settings.new_row(text)
            row = row.model_copy(update={"style": row.style.model_copy(update={"colour": colour})})
            settings = settings.model_copy(update={"rows": (*settings.rows, row)})
    return settings
