"""The assembly of a live session: names of sources, and the replacement of a missing model."""

import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from clipseg_live.app import devices
from clipseg_live.app.engine import make_engine, make_exact_engine
from clipseg_live.app.session import make_renderer, open_session_source, session_tools
from clipseg_live.core.errors import ModelError, SinkError, UsageError
from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Matte, MatteRequest, Mattes
from clipseg_live.core.metrics import Budget
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import DEFAULT_MODEL, EngineSettings, PromptStyle, Reuse
from clipseg_live.core.settings.effects import BlackOut, Glow, Outline, Tint
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.model.openvino import library
from clipseg_live.runtime.session import Session
from tests.helpers.live_engine import make_fake_engine
from tests.helpers.matting import causal

pytestmark = pytest.mark.usefixtures("quick_workers")
HEAVY = ("torch", "transformers", "openvino", "cv2", "av", "PIL", "huggingface_hub")


@pytest.mark.slow
@pytest.mark.parametrize("module", ["clipseg_live.app.session", "clipseg_live.app.devices"])
def test_importing_the_assembly_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert output.stdout.strip() == "[]"


def test_only_installed_engines_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    for installed, offered in ((True, ("auto", "torch", "openvino")), (False, ("auto", "torch"))):
        monkeypatch.setattr(library, "is_installed", lambda installed=installed: installed)
        assert devices.installed_engines() == offered


def test_the_demo_can_be_sought() -> None:
    source = open_session_source(SourceSpec(name="demo:3", width=64, height=36, rate=10))
    info = source.open()
    assert (info.width, info.height, source.live) == (64, 36, False)
    first = source.read()
    source.seek(Fraction(2))
    later = source.read()
    assert first is not None and later is not None and (first.time, later.time) == (0, 2)
    source.seek(Fraction(0))
    again = source.read()
    assert again is not None and np.array_equal(again.pixels, first.pixels)
    source.close()
    with pytest.raises(UsageError, match="not a demo scene"):
        open_session_source(SourceSpec(name="demo:nothing"))


@pytest.mark.slow
def test_the_small_model_replaces_a_missing_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    notices: list[str] = []
    engine = make_engine(EngineSettings(model=DEFAULT_MODEL, size=352), lambda words: None, notices.append)
    assert engine.name == "shapes"
    assert len(notices) == 1 and "check the network" in notices[0] and "demo model shapes is used" in notices[0]
    assert engine.segment(np.zeros((8, 8, 3), np.uint8), [Prompt.text("x")]).probabilities.shape[0] == 1
    with pytest.raises(ModelError, match="could not be downloaded"):
        make_engine(EngineSettings(model="rd16"), lambda words: None, notices.append)
    with pytest.raises(ModelError, match="could not be downloaded"):  # used by commands
        make_exact_engine(EngineSettings(model=DEFAULT_MODEL), lambda words: None, notices.append)
    assert len(notices) == 1


@pytest.mark.slow
def test_the_engine_size_changes_without_loading() -> None:
    told: list[str] = []
    engine = make_engine(EngineSettings(model="shapes", device="cpu"), told.append, told.append)
    assert [words.split()[1] for words in told] == ["shapes"]
    picture = np.zeros((60, 80, 3), np.uint8)
    before = engine.segment(picture, [Prompt.text("x")]).probabilities.shape
    engine.configure(112, "letterbox", "off", False)
    after = engine.segment(picture, [Prompt.text("x")]).probabilities.shape
    assert (before, after) == ((1, 224, 224), (1, 84, 112))
    with pytest.raises(UsageError, match="multiple of 16"):
        engine.configure(100, "stretch", "off", False)


@pytest.mark.slow
@pytest.mark.skipif(not library.is_installed(), reason="needs OpenVINO")
@pytest.mark.parametrize("reuse", ["auto", "on", "off"])
def test_the_engine_of_the_worker_reuses_tokens_if_it_is_told_to(reuse: Reuse) -> None:
    settings = EngineSettings(model="shapes", device="cpu", engine="openvino", reuse=reuse)
    engine = make_exact_engine(settings, lambda words: None, lambda words: None)
    frame = np.zeros((224, 224, 3), np.uint8)
    engine.segment(frame, [Prompt.text("x")])
    frame[:16, :16] = 20
    share = engine.segment(frame, [Prompt.text("x")]).recomputed
    assert share == (pytest.approx(32 / 197) if reuse == "on" else None)
    assert engine.approximate == (reuse == "on")
    engine.forget()
    assert engine.segment(frame, [Prompt.text("x")]).recomputed == (1 if reuse == "on" else None)


def picture(**values: object) -> RenderedFrame:
    original, composed = np.full((6, 8, 3), 5, np.uint8), np.full((6, 8, 3), 9, np.uint8)
    maps = np.zeros((2, 3, 4), np.float32)
    maps[0, :, 2:] = 1
    alpha = np.repeat(np.array([[0, 0, 0, 0, 90, 255, 255, 255]], np.uint8), 6, axis=0)
    mattes = Mattes(6, 8, (Matte(alpha, ((4, 0, 8, 6),)),), maps[:1], (1.0,))
    given = {"maps": maps, "ids": (4, 7), "mattes": mattes, "drawn_ids": (4,), **values}
    return RenderedFrame(Frame(original, 0, Fraction(0)), composed, **given)  # type: ignore[arg-type]


def test_a_snapshot_has_the_shown_frame_and_masks(tmp_path: Path) -> None:
    from PIL import Image

    rows = (
        PromptRow(id=4, text="Red / circle", style=PromptStyle(threshold=0.5)),
        PromptRow(id=7, text="hidden", visible=False),
    )
    saved = devices.save_snapshot(tmp_path / "new", picture(), LiveSettings(rows=rows))
    assert saved.original is not None
    paths = (saved.rendered, saved.original, *saved.masks)
    assert sorted(paths) == sorted((tmp_path / "new").iterdir()) and len(paths) == 3
    composed, original, mask = (np.asarray(Image.open(path)) for path in paths)
    assert (composed == 9).all() and (original == 5).all()
    assert b"sRGB" in saved.rendered.read_bytes()
    assert "red-circle" in saved.masks[0].name and saved.original.name.endswith(" original.png")
    assert set(np.unique(mask)) == {0, 90, 255} and mask[0, -1] == 255 and mask[0, 0] == 0
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="could not be saved"):
        devices.save_snapshot(tmp_path / "file", picture(), LiveSettings())


def test_a_snapshot_with_a_privacy_effect_leaves_out_the_original_frame(tmp_path: Path) -> None:
    settings = LiveSettings(effects=(BlackOut(),))
    saved = devices.save_snapshot(tmp_path, picture(settings=settings), settings)
    assert saved.original is None and list(tmp_path.iterdir()) == [saved.rendered]


@pytest.mark.slow
def test_a_causal_export_equals_a_locked_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same frames and predictions give the same pixels in an export and in the threads of a session."""
    monkeypatch.setattr(Budget, "spent", lambda *args: None)  # a busy machine would reduce the effort for edges
    rows = (PromptRow(id=5, text="red"), PromptRow(id=2, text="green"))
    settings = LiveSettings(rows=rows, mode="locked", effects=(Tint(), Glow(), Outline()))
    session = Session(settings, session_tools(make_fake_engine))
    shown, enough = [], threading.Event()

    def keep() -> None:
        picture = session.picture()
        if picture is not None and picture.own:
            shown.append(picture)
        if len(shown) >= 12 and any(one.mattes.each[0].alpha.any() for one in shown):
            enough.set()

    session.on_picture = keep
    session.start()
    session.open(SourceSpec(name="demo:", width=320, height=180))
    assert enough.wait(20)
    assert session.stop() == ()
    styles = tuple(row.style for row in rows)
    exported = causal(MatteRequest((0, 1), (5, 2), styles, settings.matte))
    composer = make_renderer(settings.look(rows))
    for picture in shown:
        frame = Frame(picture.original, picture.index, picture.time, epoch=picture.epoch)
        ((_, mattes),) = exported.feed(frame, picture.maps)
        np.testing.assert_array_equal(composer.compose(frame.pixels, mattes, frame.time), picture.composed)


def spot(folder: Path, name: str, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    image = Image.new("RGB", size, (20, 30, 20))
    image.paste((240, 10, 10), box)
    image.save(folder / name)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["locked", "smooth"])
def test_each_photo_of_a_folder_is_independent(tmp_path: Path, mode: Literal["locked", "smooth"]) -> None:
    """After any earlier photos and edits, a photo equals its separate export."""
    places = {"IMG_2.png": (64, 48), "IMG_10.png": (64, 48), "z.jpg": (40, 60)}
    for number, (name, size) in enumerate(places.items()):
        spot(tmp_path, name, size, (8 * number, 8, 8 * number + 24, 32))
    (tmp_path / "notes.txt").write_text("")
    settings = LiveSettings(rows=(PromptRow(id=5, text="red"),), mode=mode, effects=(Tint(), Outline()))
    session = Session(settings, session_tools(make_fake_engine))
    changed, said = threading.Condition(), []

    def notify() -> None:
        with changed:
            changed.notify_all()

    def seen(name: str, rows: int) -> RenderedFrame:
        """Wait for a photo with the masks of the current prompts."""

        def ready() -> bool:
            one = session.picture()
            return one is not None and one.file == tmp_path / name and one.own and len(one.drawn_ids) == rows

        with changed:
            assert changed.wait_for(ready, 20), session.status()
        picture = session.picture()
        assert picture is not None
        return picture

    def check(picture: RenderedFrame, settings: LiveSettings) -> None:
        rows = settings.rows
        request = MatteRequest(
            tuple(range(len(rows))), tuple(row.id for row in rows), tuple(row.style for row in rows), settings.matte
        )
        alone = Frame(picture.original, 0, Fraction(0))
        ((_, mattes),) = causal(request).feed(alone, picture.maps)
        composer = make_renderer(settings.look(rows))
        np.testing.assert_array_equal(composer.compose(alone.pixels, mattes), picture.composed)
        composer.close()

    session.on_picture, session.on_message = notify, said.append
    session.start()
    session.open(SourceSpec(name=str(tmp_path)))
    try:
        for step, name in ((0, "IMG_2.png"), (1, "IMG_10.png"), (1, "z.jpg"), (-1, "IMG_10.png")):
            session.step(step)
            picture = seen(name, 1)
            check(picture, settings)
            status = session.status()
            assert (status.source.photos, status.source.file) == (3, name) and status.effort == "full"
        edited = settings.model_copy(update={"rows": (PromptRow(id=5, text="red"), PromptRow(id=6, text="green"))})
        session.apply(edited)  # the same photo is segmented again
        check(seen("IMG_10.png", 2), edited)
        saved = devices.save_snapshot(tmp_path / "kept", seen("IMG_10.png", 2), edited)
        assert saved.original is not None
        paths = (saved.rendered, saved.original, *saved.masks)
        assert all(path.name.startswith("IMG_10 clipseg-live ") for path in paths) and len(paths) == 4
    finally:
        assert session.stop() == ()
    assert any("1 file was skipped" in message.text for message in said)
