"""Numbers of prompts in data: given out in the order of their first appearance, and kept."""

from collections.abc import Sequence

from clipseg_live.core.mattes import Label


class Categories:
    """The prompts that data tells apart, numbered from 1.

    A prompt is known by its name; where several of one frame have the same name, by its place among them. ``names``
    and ``labels`` are of all that have appeared, in their order; names are made unique, as in ``"mug (2)"``.
    """

    def __init__(self, labels: Sequence[Label] = ()) -> None:
        self.names: list[str] = []
        self.labels: list[Label] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self.numbers(labels)

    def numbers(self, labels: Sequence[Label]) -> tuple[int, ...]:
        """Of these labels of one frame, in their order; new ones get the next number."""
        seen: dict[str, int] = {}
        found = []
        for label in labels:
            place = seen[label.name] = seen.get(label.name, 0) + 1
            key = label.name, place
            if key not in self._numbers:
                self._numbers[key] = len(self.names) + 1
                self.names.append(self._unique(label.name))
                self.labels.append(label)
            found.append(self._numbers[key])
        return tuple(found)

    def _unique(self, name: str) -> str:
        unique, place = name, 1
        while unique in self.names:
            place += 1
            unique = f"{name} ({place})"
        return unique
