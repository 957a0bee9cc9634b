"""``clipseg-live search``."""
