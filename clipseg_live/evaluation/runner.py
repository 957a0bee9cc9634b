"""Run an engine over a data set with ground truth, and count the pixels of every target."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import Failure
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Engine, Maps
from clipseg_live.core.segmentation import is_usable
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.rendering import PLAIN_MATTES
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueMask, TrueSet
from clipseg_live.evaluation.prompt_table import ClassPrompt, PromptVariant
from clipseg_live.evaluation.scores import Counts, count_levels
from clipseg_live.evaluation.stability import StabilityMeter, boundary_f, boundary_tolerance
from clipseg_live.evaluation.sums_file import StoredSums, SumsFile
from clipseg_live.evaluation.truths import AbsentTruth, file_identity
from clipseg_live.imaging.corners import resize_corners
from clipseg_live.imaging.resize import resize_map
from clipseg_live.matting.prompt_interaction import resolve_overlaps
from clipseg_live.media.images.reader import read_image


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """Rules of the comparison of maps with ground truth.

    Attributes:
        threshold: Threshold of masks, for the boundary.
        side: Side of the square in which both are compared, in pixels: the truth is resized to it by nearest
            neighbours and the map with aligned corners. None: both are compared at the image's size, to which the map
            is resized as for drawing.
        key: Text with everything else that the sums depend on: the model, its precision and its settings.
    """

    threshold: float
    side: int | None
    key: str


@dataclass(frozen=True, slots=True)
class TargetScore:
    """Result of one target: its image, its class, its sums, and the number of its image in the data set."""

    image: str
    category: str
    sums: StoredSums
    number: int


@dataclass(frozen=True, slots=True)
class _Question:
    """A target with the prompt of one set, and the key of its sums."""

    target: Target
    position: int
    prompt: ClassPrompt
    key: str


def score_images(
    engine: Engine,
    data: TrueSet,
    sets: Sequence[PromptVariant],
    rules: ScoringRules,
    sums: SumsFile,
    on_image: Callable[[int], None] = lambda done: None,
) -> list[list[TargetScore]]:
    """Return the results of every target for each set of prompts, in the order of the data set.

    Images whose sums are known are not segmented again. Frames of a video are only left out together, because flicker
    needs the frame before.

    Args:
        engine: Segments images.
        data: The data set.
        sets: Variants of prompts. All of them are segmented at once.
        rules: How maps are compared.
        sums: Known sums. New ones are added, and kept in its file.
        on_image: Called with the number of finished images.

    Raises:
        Failure: An image or a mask cannot be read, or the model gives no usable maps.
    """
    examples = Examples(data)
    results: list[list[TargetScore]] = [[] for _ in sets]
    done = 0
    try:
        for _, group in groupby(enumerate(data.images), key=lambda each: each[1].sequence or each[0]):
            members = list(group)
            questions = [list(_questions(number, image, sets, rules, examples)) for number, image in members]
            meters: dict[tuple[int, str], StabilityMeter] = {}
            known = all(sums.find(each.key) is not None for own in questions for each in own)
            for (number, image), own in zip(members, questions, strict=True):
                if not known and own:
                    _score_image(engine, image, own, rules, sums, meters)
                for each in own:
                    stored = sums.find(each.key)
                    assert stored is not None
                    results[each.position].append(TargetScore(image.name, each.target.category, stored, number))
                sums.save_if_due()
                done += 1
                on_image(done)
    finally:
        sums.save()
    return results


def _questions(
    number: int, image: TrueImage, sets: Sequence[PromptVariant], rules: ScoringRules, examples: "Examples"
) -> Iterator[_Question]:
    """Yield the targets of an image for each set that has a prompt for them."""
    wanted = [
        (position, each, target)
        for position, each in enumerate(sets)
        for target in image.targets
        if target.category in each.by_class
    ]
    if not wanted:
        return
    own = file_identity(image.file)
    for position, each, target in wanted:
        prompt = examples.prompt_of(each, number, target.category)
        keys = (prompt.prompt.key, *(negative.key for negative in prompt.negatives))
        text = [rules.key, rules.side, rules.threshold, own, image.sequence, target.truth.identity(), keys]
        yield _Question(target, position, prompt, hashlib.sha256(repr(text).encode()).hexdigest()[:32])


def _score_image(
    engine: Engine,
    image: TrueImage,
    questions: Sequence[_Question],
    rules: ScoringRules,
    sums: SumsFile,
    meters: dict[tuple[int, str], StabilityMeter],
) -> None:
    pixels = read_image(image.file)
    truths: dict[int, TrueMask] = {}
    maps = segment_prompts(engine, pixels, [each.prompt for each in questions], image.name)
    for question, plane in zip(questions, maps, strict=True):
        target = question.target
        if id(target) not in truths:
            truths[id(target)] = target.truth.read(*pixels.shape[:2])
        truth = truths[id(target)]
        flicker = delay = None
        if image.sequence:
            meter = meters.setdefault((question.position, target.category), StabilityMeter())
            flicker, delay = meter.add(plane, truth.object)
        counts, boundary = compare(plane, truth, rules)
        share = float(truth.object.mean())
        rows: list[list[int]] = counts.tolist()
        sums.add(
            question.key,
            StoredSums(
                background=tuple(rows[0]), object=tuple(rows[1]), boundary=boundary, share=share, flicker=flicker,
                delay=delay,
            ),
        )  # fmt: skip


def segment_prompts(
    engine: Engine, pixels: Pixels, prompts: Sequence[ClassPrompt], name: str
) -> list[NDArray[np.float32]]:
    """Return the map of each prompt, with its negatives subtracted as in the program.

    Args:
        engine: Segments images.
        pixels: uint8 (height, width, 3).
        prompts: Prompts; equal ones are segmented once.
        name: Name of the image, for errors.

    Raises:
        Failure: The maps are not finite.
    """
    different: dict[str, Prompt] = {}
    for each in prompts:
        for prompt in (each.prompt, *each.negatives):
            different.setdefault(prompt.key, prompt)
    maps = engine.segment(pixels, tuple(different.values())).probabilities
    if not is_usable(maps, len(different)):
        raise Failure(f"The model gives no usable prediction for {name}: choose another model, device or dtype.")
    places = {key: place for place, key in enumerate(different)}
    return [_without_negatives(maps, each, places) for each in prompts]


def _without_negatives(maps: Maps, prompt: ClassPrompt, places: dict[str, int]) -> NDArray[np.float32]:
    own: NDArray[np.float32] = maps[places[prompt.prompt.key]]
    if not prompt.negatives:
        return own
    chosen = maps[[places[each.key] for each in (prompt.prompt, *prompt.negatives)]]
    styles = [PromptStyle(), *(PromptStyle(role="negative") for _ in prompt.negatives)]
    (lowered,) = resolve_overlaps(chosen, styles, range(len(styles)), PLAIN_MATTES)[0]
    return np.asarray(lowered)


def compare(plane: NDArray[np.float32], truth: TrueMask, rules: ScoringRules) -> tuple[Counts, float]:
    """Return the counts of a map against the ground truth, and the boundary F-measure of its mask.

    Args:
        plane: Map on the model's grid, float32 (rows, columns).
        truth: Ground truth at the image's size.
        rules: How they are compared.
    """
    true, valid = truth
    if rules.side is not None:
        true = nearest(true, rules.side)
        valid = None if valid is None else nearest(valid, rules.side)
        resized = resize_corners(plane, rules.side, rules.side)
    else:
        resized = resize_map(plane, *true.shape)
    mask = resized > np.float32(rules.threshold)
    if valid is not None:
        mask = mask & valid
        true = true & valid
    return count_levels(resized, true, valid), boundary_f(mask, true, boundary_tolerance(*true.shape))


def nearest(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Resize a mask to a square by nearest neighbours, as torch does with the mode "nearest"."""
    rows, columns = (
        np.minimum(np.floor(np.arange(side, dtype=np.float32) * np.float32(length / side)), length - 1).astype(np.intp)
        for length in mask.shape
    )
    return np.asarray(mask[rows[:, None], columns])


class Examples:
    """Prompts of targets. By example, it is the next image in which the class is, with its mask."""

    def __init__(self, data: TrueSet) -> None:
        self._data = data
        self._numbers: dict[str, list[int]] = {}
        self._prompts: dict[tuple[int, str], Prompt | None] = {}
        for number, image in enumerate(data.images):
            for target in image.targets:
                if not isinstance(target.truth, AbsentTruth):
                    self._numbers.setdefault(target.category, []).append(number)

    def prompt_of(self, prompts: PromptVariant, number: int, category: str) -> ClassPrompt:
        """Return the prompt of a class for the image with this number.

        Raises:
            Failure: An example is needed, but no other image has the class.
        """
        prompt = prompts.by_class[category]
        if not prompts.by_example:
            return prompt
        return ClassPrompt(self._example(number, category), prompt.negatives)

    def _example(self, number: int, category: str) -> Prompt:
        """Return the example of a class for the image with this number.

        Raises:
            Failure: No other image has the class.
        """
        numbers = self._numbers.get(category, [])
        later = [each for each in numbers if each > number] + [each for each in numbers if each < number]
        for other in later:
            prompt = self._prompt_of(other, category)
            if prompt is not None:
                return prompt
        raise Failure(f"{category!r} is in fewer than two images, so no other image can be its example.")

    def _prompt_of(self, number: int, category: str) -> Prompt | None:
        key = number, category
        if key not in self._prompts:
            if len(self._prompts) > 16:
                self._prompts.clear()
            image = self._data.images[number]
            truth = next(each.truth for each in image.targets if each.category == category)
            pixels = read_image(image.file)
            mask = truth.read(*pixels.shape[:2]).object
            self._prompts[key] = Prompt.image(pixels, mask=mask, label=category) if mask.any() else None
        return self._prompts[key]
