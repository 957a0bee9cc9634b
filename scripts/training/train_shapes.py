"""Train the shapes model, a small CLIPSeg for coloured shapes, on images that are drawn during training.

    python scripts/training/train_shapes.py RUN                      # about an hour on two CPU cores
    python scripts/training/train_shapes.py RUN --resume             # continue after an interruption
    python scripts/training/train_shapes.py RUN --export FOLDER      # write the averaged weights in the hub's format

RUN receives curve.csv, the tokenizer, and checkpoint.pt every few minutes. The vision encoder processes each image
once. The decoder predicts the masks of many prompts for it, texts and images, in one conditional space. The size of the
images grows from 128 to 224 pixels. The loss is binary cross-entropy and Dice (Milletari et al., arXiv:1606.04797).
Hints are linear classifiers that are not part of the model and speed up the training of the encoders: each patch
predicts the colours and shapes in it, and each prompt its colour, shape, size and kind.
"""

import argparse
import csv
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a checkout needs no installation

from clipseg_live.demo.language import Meaning
from scripts.training.drawn_images import draw_grid, draw_image
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES
from scripts.training.shapes_data import MIXTURE, PRESENT, Question, ask, ask_by_image
from scripts.training.shapes_model import (
    build,
    by_patch,
    configuration,
    decode,
    encode_images,
    encode_phrases,
    load_tokenizer,
    write_folder,
    write_tokenizer,
)

MAX_TOKENS = 24
"""Maximum number of tokens of a phrase in training. All phrases of the language are shorter."""
MAX_PARTS = 17
"""Maximum number of parts of an image: its objects and the background."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run.

    Attributes:
        until: End of the stage, as a share of all steps.
        sizes: Heights and widths of images; one is chosen for each batch.
        images: Number of images in a batch.
        smallest: Minimum share of an object.
        largest: Maximum share of an object.
        dice: Weight of the Dice loss.
        grids: Share of images with a regular grid of objects.
        vision_only: Train only the vision encoder, with the hints of its patches.
    """

    until: float
    sizes: tuple[tuple[int, int], ...]
    images: int
    smallest: float
    largest: float
    dice: float
    grids: float
    vision_only: bool = False


STAGES = (
    Stage(0.3, ((144, 144),), 20, 0.015, 0.4, 0.5, grids=1.0, vision_only=True),
    Stage(0.7, ((144, 144),), 18, 0.012, 0.4, 0.5, grids=0.5),
    Stage(1.0, ((224, 224),) * 8 + ((176, 272), (256, 192)), 12, 0.002, 0.3, 0.7, grids=0.25),
)
"""Large objects in a grid come first: shapes are learned there first, and small objects follow."""
QUESTIONS = 6
IMAGE_SHARE = 0.4
"""Share of the images of a batch with one image prompt."""


KINDS = ("objects", "everything", "background", "nothing")
SIZES = ("small", "large", "smallest", "biggest")
HINTS = {"colour": len(NAMED_COLOURS) + 2, "shape": len(SHAPE_NAMES) + 2, "size": len(SIZES) + 1, "kind": len(KINDS)}
"""Number of classes of each hint. For a colour or shape, 0 is the background and 1 is unnamed."""


class Hints(nn.Module):
    """Linear classifiers on patches and on conditional embeddings. They are used only in training."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__()
        self.patch = nn.ModuleDict({name: nn.Linear(width, HINTS[name]) for name in ("colour", "shape")})
        self.prompt = nn.ModuleDict({name: nn.Linear(projection, classes) for name, classes in HINTS.items()})

    def on_patches(self, tokens: Tensor, appearances: Tensor, owners: Tensor) -> Tensor:
        """Return the cross-entropy against the shares of the classes in each patch.

        Args:
            tokens: (images, 1 + patches, width).
            appearances: (images, objects, 2), colour and shape of each object.
            owners: Index of the object at each pixel, by patch.
        """
        tokens = functional.layer_norm(tokens[:, 1:], tokens.shape[-1:])
        pixels = owners.flatten(2).long()
        loss = tokens.new_zeros((), dtype=torch.float32)
        for i, (name, head) in enumerate(self.patch.items()):
            labels = torch.stack([table[owner] for table, owner in zip(appearances[..., i], pixels, strict=True)])
            shares = labels.new_zeros((*labels.shape[:2], HINTS[name]), dtype=torch.float32)
            shares.scatter_add_(2, labels, torch.ones_like(labels, dtype=torch.float32)).div_(labels.shape[2])
            shares[..., 0] *= 0.3  # most of an image is background
            scores = functional.log_softmax(head(tokens).float(), -1)
            loss = loss - (2.0 if name == "shape" else 1.0) * (shares * scores).sum(-1).mean()
        return loss

    def on_prompts(self, embeddings: Tensor, meanings: Tensor) -> Tensor:
        """Return the cross-entropy of the classes of prompts.

        Args:
            embeddings: (prompts, projection).
            meanings: (prompts, 4), classes in the order of HINTS.
        """
        scores = [
            functional.cross_entropy(h(embeddings).float(), meanings[:, i]) for i, h in enumerate(self.prompt.values())
        ]
        return torch.stack(scores).sum()


def classes_of(meaning: Meaning) -> tuple[int, int, int, int]:
    """Return the classes of a meaning, in the order of HINTS."""
    return (
        NAMED_COLOURS.index(meaning.colour) + 2 if meaning.colour else 1,
        SHAPE_NAMES.index(meaning.shape) + 2 if meaning.shape else 1,
        SIZES.index(meaning.size) + 1 if meaning.size else 0,
        KINDS.index(meaning.kind),
    )


class Batches(IterableDataset[dict[str, Tensor]]):
    """Batches of drawn images. Each depends only on seed and step, so a resumed run gets the same batches."""

    def __init__(self, tokenizer: Any, seed: int, start: int, steps: int, scale: float) -> None:
        self._tokenizer, self._seed, self._start, self._steps, self._scale = tokenizer, seed, start, steps, scale

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        info = torch.utils.data.get_worker_info()
        number, count = (info.id, info.num_workers) if info else (0, 1)
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        for step in range(self._start + number, self._steps, count):
            yield self._batch(step)

    def _batch(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        stage = next(s for s in STAGES if step < s.until * self._steps or s is STAGES[-1])
        height, width = stage.sizes[int(rng.integers(len(stage.sizes)))]
        side = min(height, width)
        images = max(2, round(stage.images * self._scale))
        pixels, owners, prompts, slots = [], [], [], []
        phrases: list[str] = []
        meanings: dict[str, tuple[int, int, int, int]] = {}
        appearances = np.zeros((images, MAX_PARTS, 2), dtype=np.int64)
        expected = np.zeros((images, QUESTIONS, MAX_PARTS), dtype=bool)
        for row in range(images):
            if rng.random() < stage.grids:
                variety = min(1.0, step / (0.8 * STAGES[0].until * self._steps))
                image = draw_grid(rng, height, width, variety=variety)
            else:
                image = draw_image(rng, height, width, smallest=stage.smallest, largest=stage.largest)
            pixels.append(image.pixels)
            owners.append(image.owner)
            for number, thing in enumerate(image.objects, start=1):
                appearances[row, number] = classes_of(Meaning(colour=thing.colour, shape=thing.shape))[:2]
            by_image = row < IMAGE_SHARE * images
            for column, question in enumerate(_questions(image, rng, side if by_image else 0)):
                expected[row, column, : len(question.expected)] = question.expected
                phrases.append(question.phrase)
                meanings[question.phrase] = classes_of(question.meaning)
                if question.image is not None:
                    prompts.append(question.image)
                    slots.append(row * QUESTIONS + column)
        unique = sorted(set(phrases))
        ids = self._tokenizer(
            unique, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).input_ids
        order = {phrase: i for i, phrase in enumerate(unique)}
        return {
            "pixels": torch.from_numpy(np.stack(pixels)),
            "owners": torch.from_numpy(np.stack(owners)),
            "expected": torch.from_numpy(expected),
            "appearances": torch.from_numpy(appearances),
            "meanings": torch.tensor([meanings[phrase] for phrase in unique]),
            "ids": ids,
            "phrase": torch.tensor([order[p] for p in phrases]),
            "prompts": torch.from_numpy(np.stack(prompts))
            if prompts
            else torch.zeros((0, side, side, 3), dtype=torch.uint8),
            "slots": torch.tensor(slots, dtype=torch.long),
        }


def _questions(image: Any, rng: np.random.Generator, image_size: int) -> list[Question]:
    names, weights = list(MIXTURE), np.array(list(MIXTURE.values()))
    selected: list[Question] = []
    if image_size:
        question = ask_by_image(image, rng, image_size)
        selected += [question] if question else []
    while len(selected) < QUESTIONS:
        question = ask(image, str(rng.choice(names, p=weights / weights.sum())), rng)
        selected += [question] if question else []
    return selected


def predict(
    model: Any, batch: dict[str, Tensor], blend: Tensor | None = None, hints: Hints | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Predict the masks of a batch.

    Args:
        model: The model.
        batch: A batch of ``Batches``.
        blend: Share of the image in the embedding of each image prompt; None for the image alone.
        hints: Classifiers for the auxiliary loss; None for no auxiliary loss.

    Returns:
        Logits by patch, expected masks by patch, and the auxiliary loss: that of the classifiers, and the distance of
            image prompts' embeddings from those of their phrases.
    """
    pixels, prompts = batch["pixels"], batch["prompts"]
    count, height, width = pixels.shape[:3]
    if len(prompts) and prompts.shape[1:3] == pixels.shape[1:3]:
        activations, image_embeddings = encode_images(model, torch.cat([pixels, prompts]))
        activations, image_embeddings = [a[:count] for a in activations], image_embeddings[count:]
    else:
        activations, _ = encode_images(model, pixels)
        image_embeddings = encode_images(model, prompts)[1] if len(prompts) else activations[0].new_zeros((0, 1))
    phrase_embeddings = encode_phrases(model, batch["ids"])
    embeddings = phrase_embeddings[batch["phrase"]]
    owners = by_patch(batch["owners"])
    auxiliary = embeddings.new_zeros((), dtype=torch.float32)
    if hints is not None:
        auxiliary = 0.3 * hints.on_patches(activations[0], batch["appearances"], owners)
        auxiliary = auxiliary + 0.05 * hints.on_prompts(phrase_embeddings, batch["meanings"])
    if len(prompts):
        texts = embeddings[batch["slots"]]
        if hints is not None:
            target = texts.detach().float()
            auxiliary = auxiliary + 0.1 * functional.mse_loss(
                image_embeddings.float(), target
            ) / target.var().clamp_min(1e-3)
            auxiliary = auxiliary + 0.15 * hints.on_prompts(
                image_embeddings, batch["meanings"][batch["phrase"][batch["slots"]]]
            )
        share = torch.ones(len(prompts)) if blend is None else blend
        mixed = share[:, None] * image_embeddings + (1 - share[:, None]) * texts
        embeddings = embeddings.index_put((batch["slots"],), mixed.to(embeddings.dtype))
    logits = decode(model, activations, embeddings, (height // 16, width // 16))
    truth = torch.cat([table[:, owner.long()] for table, owner in zip(batch["expected"], owners, strict=True)])
    return logits, truth, auxiliary


def loss_of(logits: Tensor, truth: Tensor, dice_weight: float) -> Tensor:
    logits, truth = logits.float().flatten(1), truth.float().flatten(1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    probabilities = logits.sigmoid()
    overlap = (probabilities * truth).sum(1)
    dice = 1 - (2 * overlap + 1) / (probabilities.sum(1) + truth.sum(1) + 1)
    return entropy + dice_weight * dice.mean()


def measure(model: Any, tokenizer: Any, size: int, count: int, device: torch.device) -> dict[str, float]:
    """Return the mean IoU per category on fixed images; for absent categories the share of masked pixels."""
    rng = np.random.default_rng(999)
    scores: dict[str, list[float]] = defaultdict(list)
    model.eval()
    for _ in range(count):
        image = draw_image(rng, size, size)
        selected = [q for name in MIXTURE if (q := ask(image, name, rng)) is not None]
        selected += [q for _ in range(1) if (q := ask_by_image(image, rng, size)) is not None]
        expected = np.zeros((1, len(selected), MAX_PARTS), dtype=bool)
        for i, question in enumerate(selected):
            expected[0, i, : len(question.expected)] = question.expected
        image_prompts = [(i, q.image) for i, q in enumerate(selected) if q.image is not None]
        batch = {
            "pixels": torch.from_numpy(image.pixels)[None],
            "owners": torch.from_numpy(image.owner)[None],
            "expected": torch.from_numpy(expected),
            "ids": tokenizer([q.phrase for q in selected], padding=True, return_tensors="pt").input_ids,
            "phrase": torch.arange(len(selected)),
            "prompts": torch.from_numpy(np.stack([p for _, p in image_prompts]))
            if image_prompts
            else torch.zeros(0, size, size, 3),
            "slots": torch.tensor([i for i, _ in image_prompts], dtype=torch.long),
        }
        batch = {name: values.to(device) for name, values in batch.items()}
        with torch.no_grad(), _precision(device):
            logits, truth, _ = predict(model, batch)
        masks = logits.float().flatten(1) > 0
        truth = truth.flatten(1)
        for i, question in enumerate(selected):
            if question.category in (*PRESENT, "image"):
                union = (masks[i] | truth[i]).sum()
                scores[question.category].append(float((masks[i] & truth[i]).sum() / union.clamp_min(1)))
            else:
                scores[question.category].append(float(masks[i].float().mean()))
    model.train()
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _precision(device: torch.device) -> Any:
    return torch.autocast(device.type, dtype=torch.bfloat16)


def rate_at(step: int, steps: int, peak: float) -> float:
    """Return the learning rate: a linear warm-up over 300 steps (or a tenth), then a cosine to 1 % of the peak."""
    warm = min(300, max(1, steps // 10))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


class Run:
    """A training run in its folder: model, optimiser, averaged weights and the current step."""

    def __init__(self, folder: Path, device: torch.device, peak: float, *, tiny: bool) -> None:
        self.folder, self.device, self.peak = folder, device, peak
        if not (folder / "tokenizer" / "vocab.json").exists():
            write_tokenizer(folder / "tokenizer")
        self.tokenizer = load_tokenizer(folder / "tokenizer")
        shape = {"width": 64, "depth": 3} if tiny else {}
        self.model = build(configuration(len(self.tokenizer), **shape)).to(device).train()
        config = self.model.config
        self.hints = Hints(config.vision_config.hidden_size, config.projection_dim).to(device)
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.03}, {"params": others, "weight_decay": 0.0}]
        groups.append({"params": list(self.hints.parameters()), "weight_decay": 0.0})
        self.optimiser = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), fused=True)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
        )
        self.step, self.seconds = 0, 0.0

    def load(self) -> None:
        saved = torch.load(self.folder / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.hints.load_state_dict(saved["hints"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.seconds = saved["step"], saved["seconds"]

    def save(self) -> None:
        saved = {
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "hints": self.hints.state_dict(), "optimiser": self.optimiser.state_dict(),
            "step": self.step, "seconds": self.seconds,
        }  # fmt: skip
        partial = self.folder / "checkpoint.partial"
        torch.save(saved, partial)
        os.replace(partial, self.folder / "checkpoint.pt")

    def advance(self, batch: dict[str, Tensor], steps: int) -> float:
        """Run one optimisation step. Return its loss."""
        batch = {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}
        stage = next(s for s in STAGES if self.step < s.until * steps or s is STAGES[-1])
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.step, steps, self.peak)
        # Half of the image prompts are interpolated with their phrase, as CLIPSeg's training does.
        draws = torch.from_numpy(
            np.random.default_rng([7, self.step]).random((2, len(batch["prompts"])), dtype=np.float32)
        )
        blend = torch.where(draws[0] < 0.5, torch.ones_like(draws[1]), draws[1]).to(self.device)
        with _precision(self.device):
            if stage.vision_only:
                tokens = encode_images(self.model, batch["pixels"])[0][0]
                loss = self.hints.on_patches(tokens, batch["appearances"], by_patch(batch["owners"]))
                auxiliary = torch.zeros_like(loss)
            else:
                logits, truth, auxiliary = predict(self.model, batch, blend, self.hints)
                loss = loss_of(logits, truth, stage.dice)
        (loss + auxiliary).backward()
        torch.nn.utils.clip_grad_norm_([*self.model.parameters(), *self.hints.parameters()], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update_parameters(self.model)
        self.step += 1
        return float(loss.detach())

    def export(self, folder: Path) -> None:
        card = folder / "README.md"
        text = (
            card.read_text("utf-8")
            if card.exists()
            else (f"# shapes\n\nA small CLIPSeg for coloured shapes on drawn scenes, after {self.step} steps.\n")
        )
        write_folder(self.average.module, self.folder / "tokenizer", folder, text)


def train(run: Run, steps: int, seed: int, workers: int, every: int, minutes: float, scale: float) -> None:
    data = Batches(run.tokenizer, seed, run.step, steps, scale)
    loader = DataLoader(
        data, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )  # fmt: skip
    path = run.folder / "curve.csv"
    fresh = not path.exists()
    names = [*MIXTURE, "image", "absent image"]
    began, saved, losses = time.monotonic() - run.seconds, time.monotonic(), []
    with path.open("a", newline="", encoding="utf-8") as file:
        curve = csv.writer(file)
        if fresh:
            curve.writerow(["step", "seconds", "loss", *names])
        for batch in loader:
            losses.append(run.advance(batch, steps))
            run.seconds = time.monotonic() - began
            if run.step % 50 == 0:
                print(f"step {run.step}/{steps}  {run.seconds:.0f} s  loss {np.mean(losses[-50:]):.4f}", flush=True)
            if run.step % every == 0 or run.step == steps:
                size = 224 if run.step > STAGES[0].until * steps else 160
                scores = measure(run.average.module, run.tokenizer, size, 40, run.device)
                mean = float(np.mean(losses))
                curve.writerow(
                    [run.step, f"{run.seconds:.0f}", f"{mean:.4f}", *(f"{scores.get(n, math.nan):.4f}" for n in names)]
                )
                file.flush()
                print(f"  at {size}: " + "  ".join(f"{n} {scores.get(n, math.nan):.3f}" for n in names), flush=True)
                losses = []
            if time.monotonic() - saved > 60 * minutes or run.step == steps:
                run.save()
                saved = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of this run")
    parser.add_argument("--steps", type=int, default=9000, help="optimisation steps of the whole run (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="continue from RUN/checkpoint.pt")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="only write RUN/checkpoint.pt's averaged weights")
    parser.add_argument("--rate", type=float, default=5e-4, help="peak learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw images (%(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--measure-every", type=int, default=400, metavar="STEPS")
    parser.add_argument("--save-minutes", type=float, default=4.0, metavar="MINUTES")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the images in a batch (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="use a much smaller network, to test the program")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.run.mkdir(parents=True, exist_ok=True)
    run = Run(options.run, torch.device(options.device), options.rate, tiny=options.tiny)
    if options.resume or options.export:
        run.load()
    if options.export:
        run.export(options.export)
        return
    train(run, options.steps, options.seed, options.workers, options.measure_every, options.save_minutes, options.scale)


if __name__ == "__main__":
    main()
