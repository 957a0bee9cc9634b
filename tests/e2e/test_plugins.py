"""The example packages of docs/how-to, and broken packages, with the command line as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.e2e.conftest import Completed, environment, start
from tests.helpers.packages import install, install_example
from tests.helpers.paths import ROOT

PAGES = ("add-an-effect", "add-a-data-format", "add-a-source")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Return a folder of packages on the path of all processes."""
    folder = tmp_path / "packages"
    for page in PAGES:
        install_example(folder, page)
    small_demo = (Path(__file__).parent / "small_demo" / "sitecustomize.py").read_text("utf-8")
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.path.insert(0, {str(folder)!r})\n{small_demo}", "utf-8")
    return folder


def variables(packages: Path) -> dict[str, str]:
    return {**environment(), "PYTHONPATH": os.pathsep.join((str(packages), str(ROOT)))}


@pytest.fixture
def run(packages: Path, tmp_path: Path) -> Callable[..., Completed]:
    def run(*arguments: object) -> Completed:
        with start(arguments, tmp_path, variables=variables(packages)) as process:
            out, err = process.communicate(timeout=170)
        return Completed(process.returncode, out, err)

    return run


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.slow
def test_packages_add_an_effect_a_format_and_a_source(run: Callable[..., Completed], tmp_path: Path) -> None:
    prompt = ("-p", "red circle", "--model", "shapes", "--to", "0.2")
    result = run(
        "export", "demo:", *prompt, "--effect", "scanlines(spacing=2,strength=1)", "--data", "areas:out.txt", "-o",
        "out.mkv", "--codec", "ffv1",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    lines = (tmp_path / "out.txt").read_text("utf-8").splitlines()
    assert len(lines) == 6 and lines[0].startswith("0.000: red circle 0.")
    first = frames_of(tmp_path / "out.mkv")[0]
    black = (first < 24).all(axis=2).mean(axis=1) > 0.7  # of 180 rows; the circle is unchanged
    assert np.flatnonzero(black).tolist() == list(range(0, 180, 4)), "a line for each 2 % of the height"

    result = run(
        "export", "gradient:1", "gradient:9", *prompt, "--into", "many", "--jobs", "2", "--effect", "scanlines",
        "--data", "areas",
    )  # fmt: skip
    assert result.code == 0 and "2 of 2" in result.err, "worker processes know the packages too"
    names = {"gradient-1.mp4", "gradient-9.mp4", "gradient-1-mp4-areas.txt", "gradient-9-mp4-areas.txt"}
    assert names <= {path.name for path in (tmp_path / "many").iterdir()}
    assert len(frames_of(tmp_path / "many" / "gradient-1.mp4")) == 5


@pytest.mark.slow
def test_unusable_packages_are_omitted_and_named(run: Callable[..., Completed], packages: Path, tmp_path: Path) -> None:
    broken = {
        "clipseg_live.effects": {"sparkle": "broken_package:Sparkle", "tint": "broken_package:Tint"},
        "clipseg_live.exporters": {"bad-data": "broken_package:DATA"},
        "clipseg_live.sources": {"badsource": "broken_package:SOURCE"},
    }
    install(packages, "broken-package", broken, "import a_module_that_is_missing\n")
    export = ("export", "demo:", "-p", "red circle", "--model", "shapes", "--to", "0.1")
    for arguments, said in (
        (
            ("--effect", "sparkle", "-o", "a.mp4"),
            "'sparkle' is not an effect: that of broken-package 1.0 cannot be used, ",
        ),
        (("--data", "bad-data:x"), "There is no data format 'bad-data': that of broken-package 1.0 cannot be used, "),
        (("--effect", "glitter", "-o", "a.mp4"), "'glitter' is not an effect: use one of tint, outline"),
    ):
        result = run(*export, *arguments)
        assert result.code == 2 and said in result.err and len(result.err.splitlines()) == 1, result.err
    result = run("watch", "badsource:", "-p", "red circle", "--model", "shapes", "--log-level", "warning")
    assert (
        result.code == 2 and "The source badsource: cannot be opened: that of broken-package 1.0 cannot" in result.err
    )
    assert result.err.count("The source badsource of broken-package 1.0 is left out: ModuleNotFoundError") == 1
    assert "import a_module_that_is_missing" in result.err, "a traceback"
    result = run(*export, "-o", "a.mp4", "--effect", "tint+scanlines", "--log-level", "warning")
    assert result.code == 0
    assert "The effect tint of broken-package 1.0 is left out: this effect is part of clipseg-live" in result.err
    assert "Traceback" not in result.err and "sparkle" not in result.err, "what nobody asked for is not loaded"


PROGRAM = """
import pickle, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from clipseg_live import make_mattes, LiveSettings
from clipseg_live.app.session import make_renderer, open_session_source
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.mattes import no_mattes
from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.effects import parse_effects
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings, all_paths
assert "scanlines" not in sys.modules
settings = LiveSettings(effects=parse_effects("scanlines(strength=1)+tint"))
assert "areas" not in sys.modules and "gradient" not in sys.modules, "loaded before they are needed"
save_session(Path("session.clipseg.json"), settings)
assert load_session(Path("session.clipseg.json")) == settings == pickle.loads(pickle.dumps(settings))
source = open_session_source(SourceSpec(name=SourceName("gradient:3"), width=64, height=48, rate=10))
info = source.open()
frame = source.read()
assert (info.width, info.height, frame.pixels.shape) == (64, 48, (48, 64, 3))
source.seek(Fraction(2))
assert source.read().time == 2
drawn = make_renderer(settings.look(())).compose(frame.pixels, no_mattes(48, 64, 0), frame.time)
assert (drawn[::2] == 0).all() and (drawn[1::2] == frame.pixels[1::2]).all()
recording = RecordingSettings(data=("areas",))
assert all_paths(Path(), "r", recording)[1].name == "r areas.txt" and recording.untouched == ()
"""


def test_packages_work_in_live_sessions(packages: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=variables(packages),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lost = ("export", "demo:", "--session", "session.clipseg.json", "-o", "out.mp4")
    with start(lost, tmp_path) as process:
        _, said = process.communicate(timeout=100)
    assert process.returncode == 1 and 'there is no effect "scanlines": use one of tint, outline' in said
    assert len(said.splitlines()) == 1
