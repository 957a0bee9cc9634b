"""Compare methods that refine the edges of coarse maps, on photographs, composites and drawn scenes.

    python scripts/bench_edges.py --photographs FOLDER               # photographs, composites and drawn scenes
    python scripts/bench_edges.py --noise 0.12 --only guided fast best
    python scripts/bench_edges.py --tuning                           # the composites and scenes for choosing constants

FOLDER holds photographs with masks of the same names: images/**/NAME.jpg and masks/**/NAME.png, as FSS-1000 has them.
They are enlarged to 896×896. Composites and scenes are those of ``bench_quality.py``.

A map is the true mask, averaged over 22×22 tokens and raised to 352×352, as the oracle of ``bench_quality.py`` gives
it; --noise, --misses, --blobs and --blur disturb it. "plain" raises the map to the frame and cuts it at 0.5. A method's
mask is where its matte is at least 128. The measures are:

- error share: the mean of 1 − IoU, as a share of that of plain;
- worst: the smallest IoU minus that of plain, in points;
- F: boundary F within 4 pixels;
- matte: mean absolute error of the matte, times 1000, and that of plain in brackets;
- ms: processor time of one thread at 1920×1080, for one prompt, with the last step to the size of the frame.

All methods but plain and "linear" end with the same step: the second pass of the guided filter. Some need scipy
or scikit-image and are left out without them. Set OMP_NUM_THREADS=1, so that times are those of one thread.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import quality_clips as clips
from numpy.typing import NDArray
from quality_measures import boundary_f, iou
from quality_methods import GRID, Oracle

from clipseg_live.core.frame import Pixels
from clipseg_live.matting.edges.colour_model import colour_cells, colour_evidence, fit_colours
from clipseg_live.matting.edges.full_size import BorderFilter
from clipseg_live.matting.edges.guided_filter import GuidedFilter, apply_coefficients
from clipseg_live.matting.edges.refiner import EdgeRefiner, Level
from clipseg_live.matting.edges.token_grid import TokenGrid
from clipseg_live.matting.working_grid import DownscaledFrame

Plane = NDArray[np.float32]
SIDE = 896
"""Side of the photographs in pixels."""
TOLERANCE = 4
HALF = np.float32(0.5)
SURE = 0.8
"""Probability above which a pixel is a sure object in a trimap; one minus this is the same for the background."""


@dataclass(eq=False)
class Case:
    """A picture, its true matte, and the map.

    Attributes:
        name: Name of the picture.
        pixels: uint8 (height, width, 3).
        matte: float32 (height, width), the true matte.
        map: float32 (352, 352).
    """

    name: str
    pixels: Pixels
    matte: Plane
    map: Plane
    small: DownscaledFrame = field(init=False)
    probability: Plane = field(init=False)

    def __post_init__(self) -> None:
        self.small = DownscaledFrame.of(self.pixels)
        self.picture = self.small.picture
        on_grid = self.small.on_grid(self.map[None])
        self.probability = np.ascontiguousarray(on_grid.reshape(self.picture.shape[:2]))
        height, width = self.matte.shape
        self.extent = height / self.small.factor, width / self.small.factor

    def plain(self) -> NDArray[np.uint8]:
        size = self.matte.shape[::-1]
        return (cv2.resize(self.map, size, interpolation=cv2.INTER_LINEAR) >= HALF) * np.uint8(255)

    def enlarged(self, coverage: Plane) -> NDArray[np.uint8]:
        """Return coverage on the working grid at the size of the frame, by the last pass of the guided filter."""
        border = BorderFilter(self.picture).matte(np.ascontiguousarray(coverage, np.float32))
        return border.alpha(self.pixels, self.small.factor)[0]


Method = Callable[[Case], NDArray[np.uint8]]


# ---- pictures


def photographs(folder: Path) -> Iterator[tuple[str, Pixels, Plane]]:
    """Yield the photographs of a folder with their masks, enlarged."""
    for path in sorted((folder / "images").rglob("*.jpg")):
        mask_path = folder / "masks" / path.relative_to(folder / "images").with_suffix(".png")
        pixels, mask = cv2.imread(str(path)), cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
        if pixels is None or mask is None:
            raise FileNotFoundError(f"{path} or {mask_path} does not exist or cannot be read.")
        large = cv2.resize(pixels[..., ::-1], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        filled = cv2.resize((mask > 127).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) >= HALF
        yield path.stem, np.ascontiguousarray(large), filled.astype(np.float32)


def composites(tuning: bool) -> Iterator[tuple[str, Pixels, Plane]]:
    for name in clips.PHOTOGRAPHS:
        shot = next(clips.pasted(name, 1, tuning=tuning))
        yield name, shot.pixels, shot.mattes[0]


def scenes(tuning: bool) -> Iterator[tuple[str, Pixels, Plane]]:
    for name in ("still", "small", "noise", "occlusion"):
        for seed in clips.TUNING_SEEDS[:2] if tuning else clips.REPORTED_SEEDS:
            shot = next(clips.drawn(name, seed, 1))
            for matte in shot.mattes:
                yield name, shot.pixels, matte


# ---- methods


def two_passes(case: Case, plane: Plane) -> Plane:
    """Return the coverage by a guided filter over the radius of a token, as the program did before."""
    height, width = plane.shape
    half = width // 2, height // 2
    picture, small = _resized(case.picture, half), _resized(plane, half)
    radius = max(round(max(half) / 22), 1)
    coefficients, explained = GuidedFilter(picture, radius, 6e-4).fit_with_share(small)
    low = apply_coefficients(coefficients, picture)
    rest = (1 - np.clip((explained - 0.1) / 0.4, 0, 1)) * (small - low)
    low = np.clip(low + rest, 0, 1)
    window, size = np.ones((2 * radius + 1,) * 2, np.uint8), (2 * radius + 1,) * 2
    near = cv2.dilate((_resized((plane >= HALF).astype(np.float32), half) > 0).astype(np.float32), window)
    maximum, minimum = cv2.blur(cv2.dilate(low, window), size), cv2.blur(cv2.erode(low, window), size)
    contrast = np.clip(maximum - minimum, 0.15, 1)
    border = np.minimum(0.5, minimum + 1.25 * 0.5 * contrast)
    coefficients, rest, border, contrast, near = (
        _resized(one, (width, height)) for one in (coefficients, rest, border, contrast, near)
    )
    steep = (apply_coefficients(coefficients, case.picture) + rest - border) * (4 / contrast) + HALF
    return np.clip(steep * near, 0, 1)


def guided(case: Case) -> NDArray[np.uint8]:
    """Return the matte by two passes of the guided filter, as the program did before."""
    return case.enlarged(two_passes(case, case.probability))


def refined(level: Level) -> Method:
    def draw(case: Case) -> NDArray[np.uint8]:
        return case.enlarged(EdgeRefiner(case.picture, case.extent).refine(case.probability, HALF, level).alpha)

    return draw


def linear(case: Case) -> NDArray[np.uint8]:
    """Refine with "best", then enlarge bilinearly."""
    alpha = EdgeRefiner(case.picture, case.extent).refine(case.probability, HALF, "best").alpha
    height, width = alpha.shape
    large = cv2.resize(alpha, (width * case.small.factor, height * case.small.factor), interpolation=cv2.INTER_LINEAR)
    rows, columns = case.matte.shape
    return np.rint(255 * np.clip(large[:rows, :columns], 0, 1)).astype(np.uint8)


def tokens_only(case: Case) -> NDArray[np.uint8]:
    """Correct the map until its mask agrees with the tokens, without the picture."""
    grid, plane = TokenGrid(case.picture.shape[:2], case.extent), case.probability
    tokens = grid.fitted(plane)
    for _ in range(6):
        plane = plane + grid.interpolated(tokens - grid.means(_steep(plane, 4)))
    return case.enlarged(_steep(plane, 4))


def projected(case: Case) -> NDArray[np.uint8]:
    """Repeat the guided filter; add the difference of the tokens before each pass, without a limit for noise."""
    plane = case.probability
    grid = TokenGrid(case.picture.shape[:2], case.extent)
    tokens = grid.fitted(plane)
    for _ in range(3):
        plane = plane + grid.interpolated(tokens - grid.means(two_passes(case, plane)))
    return case.enlarged(two_passes(case, plane))


def grab_cut(case: Case) -> NDArray[np.uint8]:
    """Run OpenCV's GrabCut on the working grid, with a trimap from the map."""
    probability = case.probability
    mask = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[probability > SURE] = cv2.GC_FGD
    mask[probability < 1 - SURE] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(np.rint(case.picture * 255).astype(np.uint8), mask, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # no pixel of one side
        return case.plain()
    return case.enlarged((mask & 1).astype(np.float32))


def _resized(plane: Plane, size: tuple[int, int]) -> Plane:
    interpolation = cv2.INTER_AREA if size[0] < plane.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.asarray(plane, np.float32), size, interpolation=interpolation), np.float32)


def _steep(plane: Plane, factor: float) -> Plane:
    return np.clip((plane - HALF) * np.float32(factor) + HALF, 0, 1).astype(np.float32)


def _logit(probability: Plane) -> Plane:
    inner = np.clip(probability, 0.02, 0.98)
    return np.asarray(np.log(inner / (1 - inner)), np.float32)


def _fused(case: Case, evidence: Plane) -> NDArray[np.uint8]:
    """Return the matte of a map as a prior times the evidence of a colour model, smoothed by a guided filter."""
    posterior = (1 / (1 + np.exp(-_logit(case.probability) - evidence))).astype(np.float32)
    smooth = GuidedFilter(case.picture, 4, 1e-3).coefficients(posterior)
    mask = _steep(apply_coefficients(smooth, case.picture), 2)
    return case.enlarged(np.where(case.probability > 0.9, 1, np.where(case.probability < 0.1, 0, mask)))


def local_colours(case: Case) -> NDArray[np.uint8]:
    """Fuse histograms of colour near each position with the map."""
    cells = colour_cells(case.picture)
    return _fused(case, colour_evidence(fit_colours(cells, case.probability), cells))


def global_colours(case: Case) -> NDArray[np.uint8]:
    """Fuse two histograms of colour of the whole picture with the map."""
    from scipy.ndimage import gaussian_filter

    bins = (case.picture * np.float32(31)).astype(np.intp) @ (1024, 32, 1)
    densities = []
    for mask in (case.probability > SURE, case.probability < 1 - SURE):
        counts = np.bincount(bins[mask], minlength=32**3).reshape(32, 32, 32) / max(np.count_nonzero(mask), 1)
        densities.append(gaussian_filter(counts, 1.0).ravel()[bins] + 1e-4)
    return _fused(case, np.log(densities[0] / densities[1]).astype(np.float32))


def mean_field(case: Case) -> NDArray[np.uint8]:
    """Run four mean-field steps of a dense CRF (Krähenbühl and Koltun, NIPS 2011) over local histograms of colour."""
    cells, mask = colour_cells(case.picture), case.probability
    unary = _logit(mask)
    for _ in range(4):
        evidence = colour_evidence(fit_colours(cells, mask), cells)
        pairwise = 2 * evidence + 2 * cv2.GaussianBlur(2 * mask - 1, (0, 0), 2)
        mask = (1 / (1 + np.exp(-unary - pairwise))).astype(np.float32)
    return case.enlarged(_steep(mask, 2))


def random_walk(case: Case) -> NDArray[np.uint8]:
    """Run a random walker (Grady, PAMI 2006) on a trimap from the map."""
    from skimage.segmentation import random_walker

    labels = np.where(case.probability > SURE, 1, np.where(case.probability < 1 - SURE, 2, 0))
    if len(np.unique(labels)) < 3:
        return case.plain()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = random_walker(case.picture, labels, beta=300, mode="cg_j", channel_axis=-1, return_full_prob=True)
    return case.enlarged(_steep(found[0].astype(np.float32), 3))


def closed_form(case: Case) -> NDArray[np.uint8]:
    """Run closed-form matting (Levin et al., PAMI 2008) at half the working grid, with the map as a weak prior."""
    import scipy.sparse
    from scipy.sparse.linalg import cg

    height, width = case.probability.shape
    size = width // 2, height // 2
    picture = cv2.resize(case.picture, size, interpolation=cv2.INTER_AREA).astype(float)
    probability = cv2.resize(case.probability, size, interpolation=cv2.INTER_AREA)
    numbers = np.arange(probability.size).reshape(probability.shape)
    unsure = cv2.dilate(((probability > 0.2) & (probability < 0.8)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    windows = np.lib.stride_tricks.sliding_window_view(numbers, (3, 3)).reshape(-1, 9)
    windows = windows[unsure.ravel()[windows].any(axis=1)]
    colours = picture.reshape(-1, 3)[windows]
    centred = colours - colours.mean(axis=1, keepdims=True)
    covariance = np.einsum("nij,nik->njk", centred, centred) / 9 + 1e-4 / 9 * np.eye(3)
    affinity = (1 + np.einsum("nij,njk,nlk->nil", centred, np.linalg.inv(covariance), centred)) / 9
    entries = (np.eye(9) - affinity).ravel()
    places = np.repeat(windows, 9, axis=1).ravel(), np.tile(windows, (1, 9)).ravel()
    laplacian = scipy.sparse.coo_matrix((entries, places), shape=(numbers.size,) * 2).tocsr()
    weights = np.where(unsure, 0.02, 100).ravel()
    wanted = weights * np.where(unsure, probability, probability > 0.5).ravel()
    alpha, _ = cg(laplacian + scipy.sparse.diags(weights), wanted, x0=probability.ravel(), maxiter=200, rtol=1e-4)
    large = cv2.resize(alpha.reshape(size[::-1]).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return case.enlarged(_steep(large, 2))


METHODS: dict[str, Method] = {
    "plain": Case.plain, "guided": guided, "grab_cut": grab_cut, "global_colours": global_colours,
    "local_colours": local_colours, "mean_field": mean_field, "random_walk": random_walk, "closed_form": closed_form,
    "tokens_only": tokens_only, "projected": projected, "fast": refined("fast"), "best": refined("best"),
    "linear": linear,
}  # fmt: skip


# ---- measurement


@dataclass(frozen=True)
class Figures:
    """Values of a method over some pictures; see the head of this file. ``error`` is the mean of 1 − IoU."""

    error: float
    share: float
    worst: float
    boundary: float
    matte: float
    plain_matte: float

    def __str__(self) -> str:
        return f"{self.share:.3f} | {self.worst:+.2f} | {self.boundary:.3f} | {self.matte:.2f} ({self.plain_matte:.2f})"


def measure(cases: Sequence[Case], method: Method) -> Figures:
    rows = []
    for case in cases:
        true, plain, alpha = case.matte >= HALF, case.plain(), method(case)
        overlaps = iou(alpha >= 128, true), iou(plain >= 128, true)
        errors = (float(np.abs(one / 255.0 - case.matte).mean() * 1000) for one in (alpha, plain))
        rows.append((*overlaps, boundary_f(alpha >= 128, true, TOLERANCE), *errors))
    ours, plain_iou, boundary, matte, plain_matte = np.array(rows).T
    share = float((1 - ours).mean() / max((1 - plain_iou).mean(), 1e-9))
    return Figures(
        float((1 - ours).mean()),
        share,
        float((ours - plain_iou).min() * 100),
        boundary.mean(),
        matte.mean(),
        plain_matte.mean(),
    )


def milliseconds(case: Case, method: Method, rounds: int) -> float:
    times = []
    for _ in range(rounds + 1):
        start = time.thread_time()
        method(case)
        times.append(time.thread_time() - start)
    return 1000 * float(np.median(times[1:]))


def cases_of(pictures: Iterator[tuple[str, Pixels, Plane]], options: argparse.Namespace) -> list[Case]:
    cases = []
    for number, (name, pixels, matte) in enumerate(pictures):
        coarse = Oracle(number, options.noise, options.misses, options.blobs)(pixels, matte[None])[0]
        if options.blur:
            grid = TokenGrid((GRID, GRID), (GRID, GRID))
            coarse = grid.interpolated(cv2.GaussianBlur(grid.fitted(coarse), (0, 0), options.blur))
        cases.append(Case(name, pixels, matte, coarse))
    return cases


def timed_case(options: argparse.Namespace) -> Case:
    _, pixels, matte = next(composites(options.tuning))
    large, true = (cv2.resize(one, (1920, 1080), interpolation=cv2.INTER_LINEAR) for one in (pixels, matte))
    return cases_of(iter([("1080", np.asarray(large, np.uint8), np.asarray(true, np.float32))]), options)[0]


def print_photographs(folder: Path) -> None:
    """Print the errors on photographs with clean maps, and with noise, misses and blobs."""
    cv2.setNumThreads(1)
    pictures = list(photographs(folder))
    print("| method | error share | worst, points | boundary F |\n|---|---|---|---|")
    for name in ("plain", "guided", "fast", "best"):
        cases = cases_of(iter(pictures), argparse.Namespace(noise=0, misses=0, blobs=0, blur=0))
        figures = measure(cases, METHODS[name])
        print(f"| {name} | {figures.share:.3f} | {figures.worst:+.2f} | {figures.boundary:.3f} |", flush=True)
    print("\n| noise of a token | plain | guided | fast | best |\n|---|---|---|---|---|")
    for noise in (0.0, 0.06, 0.12, 0.2):
        cases = cases_of(iter(pictures), argparse.Namespace(noise=noise, misses=0.05, blobs=0.05, blur=0))
        errors = [measure(cases, METHODS[name]).error for name in ("plain", "guided", "fast", "best")]
        print(f"| {noise} | " + " | ".join(f"{100 * value:.2f}" for value in errors) + " |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, metavar="FOLDER", help="photographs with masks")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of the noise of a token")
    parser.add_argument("--misses", type=float, default=0.0, help="probability that a map is weakened to 0.3")
    parser.add_argument("--blobs", type=float, default=0.0, help="probability of a false positive")
    parser.add_argument("--blur", type=float, default=0.0, help="deviation of a blur of the maps in tokens")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--tuning", action="store_true", help="use the pictures on which constants were chosen")
    parser.add_argument("--each", action="store_true", help="also print the share of each photograph")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each time; 0 measures no time")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    groups = {
        "composites": cases_of(composites(options.tuning), options),
        "scenes": cases_of(scenes(options.tuning), options),
    }
    if options.photographs:
        groups = {"photographs": cases_of(photographs(options.photographs), options), **groups}
    timed = timed_case(options)
    print("| method | pictures | error share | worst | F | matte (plain) | ms |\n|---|---|---|---|---|---|---|")
    for name in options.only:
        method = METHODS[name]
        try:
            time_text = f"{milliseconds(timed, method, options.rounds):.0f}" if options.rounds else ""
            for group, cases in groups.items():
                print(f"| {name} | {group} | {measure(cases, method)} | {time_text} |", flush=True)
                if options.each and group == "photographs":
                    print(" ".join(f"{case.name}: {measure([case], method).share:.2f}" for case in cases), flush=True)
        except ModuleNotFoundError as error:
            print(f"{name} was left out: {error}")


if __name__ == "__main__":
    main()
