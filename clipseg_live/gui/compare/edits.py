"""Edits of a comparison as pure functions from settings to settings."""

from clipseg_live.core.settings.live import MOST_COMPARED, Comparison, ComparisonView, LiveSettings, Variant

LETTERS = "ABCD"
"""Names of the variants in their order."""


def variant_count(settings: LiveSettings) -> int:
    """Return the number of variants, 1 without a comparison."""
    return 1 if settings.comparison is None else len(settings.comparison.others) + 1


def with_variant(settings: LiveSettings) -> LiveSettings:
    """Return the settings with a copy of the active variant at the end, which becomes the active one.

    Without a comparison, this begins one. The settings are unchanged if there is no room for another variant.
    """
    count = variant_count(settings)
    if count >= MOST_COMPARED:
        return settings
    comparison = settings.comparison
    view = ComparisonView.RESULT if comparison is None else comparison.view
    return _with(settings, [*_variants(settings), _own(settings)], count, view)


def with_active(settings: LiveSettings, number: int) -> LiveSettings:
    """Return the settings with another active variant, from 0; unchanged if it does not exist."""
    if settings.comparison is None or not 0 <= number < variant_count(settings):
        return settings
    return _with(settings, _variants(settings), number, settings.comparison.view)


def without_active(settings: LiveSettings) -> LiveSettings:
    """Return the settings without the active variant; unchanged without a comparison.

    The variant before it becomes active. With only one left, the comparison ends.
    """
    if settings.comparison is None:
        return settings
    variants, active = _variants(settings), settings.comparison.active
    del variants[active]
    return _with(settings, variants, max(active - 1, 0), settings.comparison.view)


def with_kept(settings: LiveSettings) -> LiveSettings:
    """Return the settings of the active variant, without a comparison."""
    return settings.model_copy(update={"comparison": None})


def with_view(settings: LiveSettings, view: ComparisonView) -> LiveSettings:
    """Return the settings with another view of the variants; unchanged without a comparison."""
    if settings.comparison is None:
        return settings
    return settings.model_copy(update={"comparison": settings.comparison.model_copy(update={"view": view})})


def _own(settings: LiveSettings) -> Variant:
    return Variant(**{name: getattr(settings, name) for name in Variant.model_fields})


def _variants(settings: LiveSettings) -> list[Variant]:
    """Return all variants in order."""
    comparison = settings.comparison
    variants = [] if comparison is None else list(comparison.others)
    variants.insert(settings.active_variant, _own(settings))
    return variants


def _with(settings: LiveSettings, variants: list[Variant], active: int, view: ComparisonView) -> LiveSettings:
    chosen, others = variants[active], variants[:active] + variants[active + 1 :]
    comparison = Comparison(others=tuple(others), active=active, view=view) if others else None
    return settings.model_copy(update={**dict(chosen), "comparison": comparison})
