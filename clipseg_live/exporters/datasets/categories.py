"""Numbers of prompts in exported data, assigned in the order of their first appearance."""

from collections.abc import Sequence

from clipseg_live.core.mattes import Label


class Categories:
    """Prompts of exported data, numbered from 1.

    A prompt is identified by its name. Prompts of one frame with the same name are distinguished by their order.

    Attributes:
        names: unique names of all prompts so far, in the order of their numbers, such as ``"mug (2)"``.
        labels: labels of all prompts so far, in the same order.
    """

    def __init__(self, labels: Sequence[Label] = ()) -> None:
        self.names: list[str] = []
        self.labels: list[Label] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self.numbers(labels)

    def numbers(self, labels: Sequence[Label]) -> tuple[int, ...]:
        """Return the numbers of the labels of one frame, in their order; new ones get the next number."""
        counts: dict[str, int] = {}
        numbers = []
        for label in labels:
            count = counts[label.name] = counts.get(label.name, 0) + 1
            key = label.name, count
            if key not in self._numbers:
                self._numbers[key] = len(self.names) + 1
                self.names.append(self._unique(label.name))
                self.labels.append(label)
            numbers.append(self._numbers[key])
        return tuple(numbers)

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.names:
            count += 1
            unique = f"{name} ({count})"
        return unique
