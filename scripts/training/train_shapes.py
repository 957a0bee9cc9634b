"""Train the shapes model: a small CLIPSeg that knows coloured shapes, on pictures drawn while it trains.

    python scripts/training/train_shapes.py RUN                      # about an hour on two CPU cores
    python scripts/training/train_shapes.py RUN --resume             # go on after an interruption
    python scripts/training/train_shapes.py RUN --export FOLDER      # write the averaged weights in the hub's format

RUN gets curve.csv, the tokenizer, and checkpoint.pt every few minutes. The vision encoder sees each picture once; the
decoder answers many questions about it, texts and images alike, in one conditional space. Pictures grow over the run
from 128 to 224 pixels. Loss: binary cross-entropy and Dice (Milletari et al., arXiv:1606.04797), half at first. Hints,
linear classifiers that are not kept, make the encoders learn sooner: each patch names the colours and shapes in it,
each prompt the colour, shape, size and kind it means.
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

from scripts.training.drawn_images import draw_grid, draw_image
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES
from scripts.training.phrases import Meaning
from scripts.training.shapes_data import MIXTURE, PRESENT, Question, ask, ask_by_image
from scripts.training.shapes_model import (
    build,
    by_patch,
    configuration,
    decode,
    load_tokenizer,
    read,
    see,
    write_folder,
    write_tokenizer,
)

LONGEST = 24
"""Tokens a phrase may have in training; the language's longest has fewer."""
MOST_THINGS = 17
"""Objects a picture may have, and its background."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run, up to the share ``until`` of its steps.

    sizes: of the pictures, one drawn for each batch. smallest, largest: bounds of the objects' shares of a picture.
    dice: weight of the Dice loss. grids: share of orderly pictures. eyes_alone: only the vision encoder learns, by the
    hints of its patches.
    """

    until: float
    sizes: tuple[tuple[int, int], ...]
    pictures: int
    smallest: float
    largest: float
    dice: float
    grids: float
    eyes_alone: bool = False


STAGES = (
    Stage(0.3, ((144, 144),), 20, 0.015, 0.4, 0.5, grids=1.0, eyes_alone=True),
    Stage(0.7, ((144, 144),), 18, 0.012, 0.4, 0.5, grids=0.5),
    Stage(1.0, ((224, 224),) * 8 + ((176, 272), (256, 192)), 12, 0.002, 0.3, 0.7, grids=0.25),
)
"""Large objects in order first: a shape is learnt where many patches show it, and then carries over to small ones."""
QUESTIONS = 6
IMAGE_SHARE = 0.4
"""How many pictures of a batch get one question asked by an image."""


KINDS = ("objects", "everything", "background", "nothing")
SIZES = ("small", "large", "smallest", "biggest")
HINTS = {"colour": len(NAMED_COLOURS) + 2, "shape": len(SHAPE_NAMES) + 2, "size": len(SIZES) + 1, "kind": len(KINDS)}
"""Classes of each hint; of a colour or shape, 0 is none (the background) and 1 any that has no name."""


class Hints(nn.Module):
    """Linear classifiers on patches and on conditional embeddings, which serve the training alone."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__()
        self.patch = nn.ModuleDict({name: nn.Linear(width, HINTS[name]) for name in ("colour", "shape")})
        self.prompt = nn.ModuleDict({name: nn.Linear(projection, classes) for name, classes in HINTS.items()})

    def on_patches(self, tokens: Tensor, looks: Tensor, owners: Tensor) -> Tensor:
        """tokens: (pictures, 1 + patches, width). looks: (pictures, things, 2), each thing's colour and shape.
        owners: whose each pixel is, by patch. Cross-entropy against the shares of a patch's pixels."""
        tokens = functional.layer_norm(tokens[:, 1:], tokens.shape[-1:])
        pixels = owners.flatten(2).long()
        loss = tokens.new_zeros((), dtype=torch.float32)
        for i, (name, head) in enumerate(self.patch.items()):
            labels = torch.stack([table[owner] for table, owner in zip(looks[..., i], pixels, strict=True)])
            shares = labels.new_zeros((*labels.shape[:2], HINTS[name]), dtype=torch.float32)
            shares.scatter_add_(2, labels, torch.ones_like(labels, dtype=torch.float32)).div_(labels.shape[2])
            shares[..., 0] *= 0.3  # most of a picture is background
            scores = functional.log_softmax(head(tokens).float(), -1)
            loss = loss - (2.0 if name == "shape" else 1.0) * (shares * scores).sum(-1).mean()
        return loss

    def on_prompts(self, embeddings: Tensor, meanings: Tensor) -> Tensor:
        """embeddings: (prompts, projection). meanings: (prompts, 4) class numbers in the order of HINTS."""
        scores = [
            functional.cross_entropy(h(embeddings).float(), meanings[:, i]) for i, h in enumerate(self.prompt.values())
        ]
        return torch.stack(scores).sum()


def classes_of(meaning: Meaning) -> tuple[int, int, int, int]:
    """A meaning as class numbers in the order of HINTS."""
    return (
        NAMED_COLOURS.index(meaning.colour) + 2 if meaning.colour else 1,
        SHAPE_NAMES.index(meaning.shape) + 2 if meaning.shape else 1,
        SIZES.index(meaning.size) + 1 if meaning.size else 0,
        KINDS.index(meaning.kind),
    )


class Batches(IterableDataset[dict[str, Tensor]]):
    """Drawn batches, each a pure function of (seed, step), so that a resumed run goes on as it would have."""

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
        pictures = max(2, round(stage.pictures * self._scale))
        pixels, owners, prompts, slots = [], [], [], []
        phrases: list[str] = []
        meanings: dict[str, tuple[int, int, int, int]] = {}
        looks = np.zeros((pictures, MOST_THINGS, 2), dtype=np.int64)
        answers = np.zeros((pictures, QUESTIONS, MOST_THINGS), dtype=bool)
        for row in range(pictures):
            if rng.random() < stage.grids:
                variety = min(1.0, step / (0.8 * STAGES[0].until * self._steps))
                picture = draw_grid(rng, height, width, variety=variety)
            else:
                picture = draw_image(rng, height, width, smallest=stage.smallest, largest=stage.largest)
            pixels.append(picture.pixels)
            owners.append(picture.owner)
            for number, thing in enumerate(picture.things, start=1):
                looks[row, number] = classes_of(Meaning(colour=thing.colour, shape=thing.shape))[:2]
            by_image = row < IMAGE_SHARE * pictures
            for column, question in enumerate(_questions(picture, rng, side if by_image else 0)):
                answers[row, column, : len(question.answer)] = question.answer
                phrases.append(question.phrase)
                meanings[question.phrase] = classes_of(question.meaning)
                if question.picture is not None:
                    prompts.append(question.picture)
                    slots.append(row * QUESTIONS + column)
        unique = sorted(set(phrases))
        ids = self._tokenizer(unique, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt").input_ids
        order = {phrase: i for i, phrase in enumerate(unique)}
        return {
            "pixels": torch.from_numpy(np.stack(pixels)),
            "owners": torch.from_numpy(np.stack(owners)),
            "answers": torch.from_numpy(answers),
            "looks": torch.from_numpy(looks),
            "meanings": torch.tensor([meanings[phrase] for phrase in unique]),
            "ids": ids,
            "phrase": torch.tensor([order[p] for p in phrases]),
            "prompts": torch.from_numpy(np.stack(prompts))
            if prompts
            else torch.zeros((0, side, side, 3), dtype=torch.uint8),
            "slots": torch.tensor(slots, dtype=torch.long),
        }


def _questions(picture: Any, rng: np.random.Generator, image_size: int) -> list[Question]:
    names, weights = list(MIXTURE), np.array(list(MIXTURE.values()))
    found: list[Question] = []
    if image_size:
        question = ask_by_image(picture, rng, image_size)
        found += [question] if question else []
    while len(found) < QUESTIONS:
        question = ask(picture, str(rng.choice(names, p=weights / weights.sum())), rng)
        found += [question] if question else []
    return found


def answer(
    model: Any, batch: dict[str, Tensor], blend: Tensor | None = None, hints: Hints | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and truth by patch, and (with ``hints``) the loss of what helps: the classifiers', and how far the image
    prompts' embeddings are from their phrases'.

    blend: share of the image in each image prompt's embedding; None for the image alone."""
    pixels, prompts = batch["pixels"], batch["prompts"]
    count, height, width = pixels.shape[:3]
    if len(prompts) and prompts.shape[1:3] == pixels.shape[1:3]:
        activations, images = see(model, torch.cat([pixels, prompts]))
        activations, images = [a[:count] for a in activations], images[count:]
    else:
        activations, _ = see(model, pixels)
        images = see(model, prompts)[1] if len(prompts) else activations[0].new_zeros((0, 1))
    read_phrases = read(model, batch["ids"])
    embeddings = read_phrases[batch["phrase"]]
    owners = by_patch(batch["owners"])
    helping = embeddings.new_zeros((), dtype=torch.float32)
    if hints is not None:
        helping = 0.3 * hints.on_patches(activations[0], batch["looks"], owners)
        helping = helping + 0.05 * hints.on_prompts(read_phrases, batch["meanings"])
    if len(prompts):
        texts = embeddings[batch["slots"]]
        if hints is not None:
            target = texts.detach().float()
            helping = helping + 0.1 * functional.mse_loss(images.float(), target) / target.var().clamp_min(1e-3)
            helping = helping + 0.15 * hints.on_prompts(images, batch["meanings"][batch["phrase"][batch["slots"]]])
        share = torch.ones(len(prompts)) if blend is None else blend
        mixed = share[:, None] * images + (1 - share[:, None]) * texts
        embeddings = embeddings.index_put((batch["slots"],), mixed.to(embeddings.dtype))
    logits = decode(model, activations, embeddings, (height // 16, width // 16))
    truth = torch.cat([table[:, owner.long()] for table, owner in zip(batch["answers"], owners, strict=True)])
    return logits, truth, helping


def loss_of(logits: Tensor, truth: Tensor, dice_weight: float) -> Tensor:
    logits, truth = logits.float().flatten(1), truth.float().flatten(1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    found = logits.sigmoid()
    overlap = (found * truth).sum(1)
    dice = 1 - (2 * overlap + 1) / (found.sum(1) + truth.sum(1) + 1)
    return entropy + dice_weight * dice.mean()


def measure(model: Any, tokenizer: Any, size: int, count: int, device: torch.device) -> dict[str, float]:
    """Mean intersection over union per category on fixed pictures; for absent ones the share of pixels fired."""
    rng = np.random.default_rng(999)
    found: dict[str, list[float]] = defaultdict(list)
    model.eval()
    for _ in range(count):
        picture = draw_image(rng, size, size)
        asked = [q for name in MIXTURE if (q := ask(picture, name, rng)) is not None]
        asked += [q for _ in range(1) if (q := ask_by_image(picture, rng, size)) is not None]
        answers = np.zeros((1, len(asked), MOST_THINGS), dtype=bool)
        for i, question in enumerate(asked):
            answers[0, i, : len(question.answer)] = question.answer
        images = [(i, q.picture) for i, q in enumerate(asked) if q.picture is not None]
        batch = {
            "pixels": torch.from_numpy(picture.pixels)[None],
            "owners": torch.from_numpy(picture.owner)[None],
            "answers": torch.from_numpy(answers),
            "ids": tokenizer([q.phrase for q in asked], padding=True, return_tensors="pt").input_ids,
            "phrase": torch.arange(len(asked)),
            "prompts": torch.from_numpy(np.stack([p for _, p in images])) if images else torch.zeros(0, size, size, 3),
            "slots": torch.tensor([i for i, _ in images], dtype=torch.long),
        }
        batch = {name: values.to(device) for name, values in batch.items()}
        with torch.no_grad(), _precision(device):
            logits, truth, _ = answer(model, batch)
        fired = logits.float().flatten(1) > 0
        truth = truth.flatten(1)
        for i, question in enumerate(asked):
            if question.category in (*PRESENT, "image"):
                union = (fired[i] | truth[i]).sum()
                found[question.category].append(float((fired[i] & truth[i]).sum() / union.clamp_min(1)))
            else:
                found[question.category].append(float(fired[i].float().mean()))
    model.train()
    return {name: float(np.mean(values)) for name, values in found.items()}


def _precision(device: torch.device) -> Any:
    return torch.autocast(device.type, dtype=torch.bfloat16)


def rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 300 steps (or a tenth), then a cosine down to 1 % of the peak."""
    warm = min(300, max(1, steps // 10))
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


class Run:
    """A training run in its folder: model, optimiser, averaged weights and the step it has reached."""

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
        """One optimisation step; returns its loss."""
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
            if stage.eyes_alone:
                tokens = see(self.model, batch["pixels"])[0][0]
                loss = self.hints.on_patches(tokens, batch["looks"], by_patch(batch["owners"]))
                helping = torch.zeros_like(loss)
            else:
                logits, truth, helping = answer(self.model, batch, blend, self.hints)
                loss = loss_of(logits, truth, stage.dice)
        (loss + helping).backward()
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
    parser.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint.pt")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="only write RUN/checkpoint.pt's averaged weights")
    parser.add_argument("--rate", type=float, default=5e-4, help="peak learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw (%(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--measure-every", type=int, default=400, metavar="STEPS")
    parser.add_argument("--save-minutes", type=float, default=4.0, metavar="MINUTES")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the pictures in a batch (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="a far smaller network, to try the program")
    given = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    given.run.mkdir(parents=True, exist_ok=True)
    run = Run(given.run, torch.device(given.device), given.rate, tiny=given.tiny)
    if given.resume or given.export:
        run.load()
    if given.export:
        run.export(given.export)
        return
    train(run, given.steps, given.seed, given.workers, given.measure_every, given.save_minutes, given.scale)


if __name__ == "__main__":
    main()
