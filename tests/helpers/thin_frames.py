"""Process mattes, effects and data of one thin frame in this process, and print the peak of memory in MB."""

import resource
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, MatteRequest, Mattes
from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.core.settings.effects import KINDS, Effect
from clipseg_live.core.settings.rendering import MatteSettings, RenderSettings
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from clipseg_live.rendering.renderer import EffectRenderer
from tests.helpers.matting import causal
from tests.helpers.rendered import rendered

DATA = ("jsonl:m.jsonl", "png:png", "indexed:indexed", "npz:npz", "alpha-png:alpha",
        "sheet:sheet.png")  # fmt: skip


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def report(step: str, *more: str) -> None:
    sys.stdout.write(" ".join((step, str(peak()), *more)) + "\n")
    sys.stdout.flush()


def mattes_of(frame: Frame, maps: np.ndarray, **shape: float) -> Mattes:
    style = PromptStyle(shape=MatteShape(**shape))
    request = MatteRequest(keys=(0,), ids=(0,), styles=(style,), settings=MatteSettings(), cautious=False)
    sequence = causal(request)
    done = [*sequence.feed(frame, maps), *sequence.finish()]
    return done[0][1]


def main(width: int, height: int, folder: Path) -> None:
    pixels = np.full((height, width, 3), 90, np.uint8)
    maps = np.zeros((1, 88, 88), np.float32)
    # A border along the whole length, and one across.
    if width > height:
        pixels[:, : width // 2] = (220, 30, 30)
        maps[0, :, :44] = 1
    else:
        pixels[: height // 2] = (220, 30, 30)
        maps[0, :44] = 1
    frame = Frame(pixels, 0, Fraction(0), Fraction(1, 25))
    report("frame")
    mattes = mattes_of(frame, maps)
    inside = (pixels == (220, 30, 30)).all(axis=2)
    wrong = float(((mattes.each[0].alpha >= 128) != inside).mean())
    report("mattes", f"{wrong:.3f}")
    mattes_of(frame, maps, grow=2, feather=2, min_area=1, fill_holes=1)
    report("shapes")
    style = PromptStyle()
    for name, kind in KINDS.items():
        effect: Effect = kind()
        composer = EffectRenderer(RenderSettings(effects=(effect,), styles=(style,), names=("a",)))
        composer.compose(pixels, mattes, frame.time)
        composer.close()
        report(name)
    info = SourceInfo("thin", width, height, Fraction(25), Fraction(1, 25), 1)
    for each in DATA:
        form, _, path = each.partition(":")
        sink = open_data_sink(form, folder / path, DataOptions({}, (Label("a", 0.5),)))
        sink.open(info)
        sink.write(rendered(frame, mattes, (Label("a", 0.5),)))
        sink.finish()
        report(form)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
