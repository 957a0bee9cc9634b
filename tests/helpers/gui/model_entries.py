"""Known models in every state on disk, without looking at the disk."""

from collections.abc import Sequence
from pathlib import Path

from clipseg_live.core.settings.base import DEFAULT_MODEL
from clipseg_live.model.store.catalogue import CatalogueEntry

RD64, RD16 = "CIDAS/clipseg-rd64", "CIDAS/clipseg-rd16"


def catalogue_entries() -> Sequence[CatalogueEntry]:
    """Return the default model and rd16 not installed, rd64 installed, and the built-in model."""
    folder = Path("/models")
    return (
        CatalogueEntry(
            DEFAULT_MODEL, ("rd64-refined",), "Best quality.", True, False, None, 0, False, None,
            download_bytes=600_000_000,
        ),
        CatalogueEntry(
            RD64, ("rd64",), "64 channels.", False, False, folder, 603_000_000, True, None, download_bytes=600_000_000
        ),
        CatalogueEntry(
            RD16, ("rd16",), "16 channels.", False, False, folder, 90_000_000, False, "Its weights are cut short.",
            download_bytes=600_000_000,
        ),
        CatalogueEntry("shapes", (), "Coloured shapes only.", False, True, folder, 10_700_000, True, None),
    )  # fmt: skip
