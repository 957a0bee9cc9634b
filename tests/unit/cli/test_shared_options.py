"""Shared options are the same in all commands, and reach the settings of each command."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given as given_values
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel
from typer.main import get_command

from clipseg_live.cli import main
from clipseg_live.cli.record import RecordOptions
from clipseg_live.cli.settings import change_settings, prompted_settings, session_settings
from clipseg_live.cli.shared_options import (
    AnnotationOptions,
    EngineOptions,
    FramingOptions,
    InputOptions,
    MatteOptions,
    PromptOptions,
    SegmentationOptions,
    ShapeOptions,
    StyleOptions,
)
from clipseg_live.core.errors import UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.base import EngineSettings, MatteShape, PromptStyle
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, BlackOut, Blur, Tint
from clipseg_live.core.settings.live import Comparison, FrameTransform, LiveSettings, PromptRow, SourceSpec, Variant
from clipseg_live.core.settings.presets import PRESETS
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import PLAIN_MATTES, MatteSettings
from tests.unit.cli.conftest import SEGMENTING, CommandSettings, normalised
from tests.unit.core.test_session_file import sessions

Segment = Callable[..., CommandSettings]


def command(name: str) -> Any:
    root: Any = get_command(main.app)
    return root.get_command(None, name)


def type_of(name: str, option: str) -> Any:
    functions: Any = type(get_command(main.app)).functions  # type: ignore[attr-defined]
    return get_args(inspect.signature(functions[name]).parameters[option].annotation)[0]


def options_of(name: str) -> dict[str, Any]:
    return {option.name: option for option in command(name).params if option.param_type_name == "option"}


def names_in(group: type) -> list[str]:
    kinds = get_type_hints(group)
    return [
        name
        for each in fields(group)
        for name in (names_in(kinds[each.name]) if is_dataclass(kinds[each.name]) else [each.name])
    ]


# ---- definitions


@pytest.mark.parametrize("name", [name for name in SEGMENTING if name != "export"])
def test_every_command_has_the_shared_options_of_export(name: str) -> None:
    own, exported = options_of(name), options_of("export")
    shared = [*names_in(SegmentationOptions), *names_in(InputOptions), "log_level"]
    assert len(shared) > 35
    for each in shared:
        one, other = own[each], exported[each]
        assert (one.opts, one.secondary_opts, one.help, one.metavar) == (
            other.opts, other.secondary_opts, other.help, other.metavar
        )  # fmt: skip
        assert (one.is_flag, one.multiple, one.default, one.rich_help_panel) == (
            other.is_flag, other.multiple, other.default, other.rich_help_panel
        )  # fmt: skip
        assert type_of(name, each) == type_of("export", each)


SETTINGS: list[tuple[type, type[BaseModel], set[str]]] = [
    (EngineOptions, EngineSettings, {"reuse"}),
    (MatteOptions, MatteSettings, set()),
    (ShapeOptions, MatteShape, set()),
    (FramingOptions, FrameTransform, set()),
    (StyleOptions, PromptStyle, {"shape", "role", "targets"}),
    (AnnotationOptions, AnnotationSettings, {"split", "seed"}),
]


@pytest.mark.parametrize(("group", "settings", "others"), SETTINGS)
def test_every_field_of_the_settings_has_an_option(group: type, settings: type[BaseModel], others: set[str]) -> None:
    assert {each.name for each in fields(group)} == set(settings.model_fields) - others


def kinds_of(annotation: Any) -> set[type]:
    """Return the plain types in an annotation. Choices and parts of tuples are text."""
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    if isinstance(annotation, type) or get_origin(annotation) is tuple:
        return {str} if get_origin(annotation) is tuple or annotation is tuple else {annotation}
    return {kind for each in get_args(annotation) for kind in kinds_of(each)} - {NoneType}


@pytest.mark.parametrize(("group", "settings", "others"), SETTINGS)
def test_an_option_has_the_type_of_its_field(group: type, settings: type[BaseModel], others: set[str]) -> None:
    declared = get_type_hints(group)
    for name in {each.name for each in fields(group)}:
        (kind,) = kinds_of(declared[name])
        inner = get_args(declared[name])[0]
        kind = get_args(inner)[0] if get_origin(inner) is list else kind
        assert {kind} == kinds_of(Union[settings.model_fields[name].annotation, None]), name  # noqa: UP007


@pytest.mark.parametrize("name", ["record", "export"])
def test_help_shows_the_actual_defaults(name: str) -> None:
    words = {True: "yes", False: "no", 90: "90"}
    options, seen = options_of(name), 0
    for _, settings, others in SETTINGS:
        for field, value in settings().model_dump().items():
            told = options[field].show_default if field not in others else None
            if field in others or field in ("model", "colour") or value is None:
                continue
            expected = words[value] if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
            assert told == str(expected), field
            seen += 1
    assert seen == 22
    assert options["effect"].show_default == "+".join(effect.kind for effect in DEFAULT_EFFECTS)


def test_live_sessions_alone_have_an_option_for_reuse() -> None:
    assert {name for name in SEGMENTING if "reuse" in options_of(name)} == {"live", "record", "virtual-camera"}
    assert options_of("record")["reuse"].show_default == EngineSettings().reuse


def test_watch_has_unsmoothed_masks_by_default() -> None:
    options = options_of("watch")
    assert [options[name].show_default for name in ("smoothing", "motion_tracking", "edges")] == [
        "0",
        "no",
        "off",
    ]
    assert MatteSettings(smoothing=0, motion_tracking=False, edges="off") == PLAIN_MATTES


def test_recordings_have_an_option_for_each_field() -> None:
    others = {"annotations", "replay_seconds", "part_seconds", "part_bytes"}
    assert set(names_in(RecordOptions)) - {"part_minutes", "part_size"} == set(RecordingSettings.model_fields) - others
    options = options_of("record")
    for name, value in RecordingSettings().model_dump(exclude={*others, "data", "microphone"}).items():
        assert options[name].show_default == (value[0] if isinstance(value, tuple) else str(value))


# ---- effects of the options

CASES: list[tuple[list[object], Callable[[CommandSettings], object], object]] = [
    (["--model", "rd16"], lambda found: found.engine.model, "rd16"),
    (["--device", "cpu"], lambda found: found.engine.device, "cpu"),
    (["--dtype", "bfloat16"], lambda found: found.engine.dtype, "bfloat16"),
    (["--size", 224], lambda found: found.engine.size, 224),
    (["--resize-mode", "aspect"], lambda found: found.engine.resize_mode, "aspect"),
    (["--detail", "tiles"], lambda found: found.engine.detail, "tiles"),
    (["--engine", "torch"], lambda found: found.engine.engine, "torch"),
    (["--smoothing", 0.9], lambda found: found.matte.smoothing, 0.9),
    (["--motion-tracking"], lambda found: found.matte.motion_tracking, True),
    (["--no-motion-tracking"], lambda found: found.matte.motion_tracking, False),
    (["--edges", "best"], lambda found: found.matte.edges, "best"),
    (["--no-edges"], lambda found: found.matte.edges, "off"),
    (["--overlap", "exclusive"], lambda found: found.matte.overlap, "exclusive"),
    (["--background-threshold", 0.2], lambda found: found.matte.background_threshold, 0.2),
    (["--auto-hide"], lambda found: found.matte.auto_hide, True),
    (["--presence-threshold", 0.6], lambda found: found.matte.presence_threshold, 0.6),
    (["--preset", "privacy"], lambda found: (found.effects, found.matte), PRESETS["privacy"]),
    (["--preset", "inspect", "--smoothing", 0.3], lambda found: found.matte.smoothing, 0.3),
    (["--effect", "blackout+tint"], lambda found: found.effects, (BlackOut(), Tint())),
    (["--preset", "privacy", "--effect", "blur"], lambda found: found.effects, (Blur(),)),
    (["--mirror"], lambda found: found.framing.mirror, True),
    (["--rotate", 270], lambda found: found.framing.turn, 270),
    (["--crop", "0.25,0,0.5,1"], lambda found: found.framing.crop, (0.25, 0.0, 0.5, 1.0)),
    (["--threshold", 0.3], lambda found: [style.threshold for style in found.styles], [0.3, 0.3]),
    (["--threshold", 0.3, "--threshold", 0.6], lambda found: [style.threshold for style in found.styles], [0.3, 0.6]),
    (["--colour", "#00ff00"], lambda found: [style.colour for style in found.styles], [(0, 255, 0)] * 2),
    (["--color", "#010203"], lambda found: found.styles[1].colour, (1, 2, 3)),
    (["--opacity", 0.2], lambda found: [style.opacity for style in found.styles], [0.2, 0.2]),
    (["--grow", 1, "--grow", -2], lambda found: [style.shape.grow for style in found.styles], [1.0, -2.0]),
    (["--feather", 0.5], lambda found: found.styles[0].shape.feather, 0.5),
    (["--min-area", 0.1], lambda found: found.styles[0].shape.min_area, 0.1),
    (["--fill-holes", 2], lambda found: found.styles[1].shape.fill_holes, 2.0),
    (
        ["--negative", "hand"],
        lambda found: [style.role for style in found.styles],
        ["positive", "positive", "negative"],
    ),
    (
        ["--contrast", "hand"],
        lambda found: [style.role for style in found.styles],
        ["positive", "positive", "contrast"],
    ),
    (["--contrast", "hand"], lambda found: found.prompts[2:], (Prompt.text("hand"),)),
    (["--template", "a {}"], lambda found: found.prompts[0], Prompt.text("red mug", ("a {}",))),
]


def _case_id(value: object) -> str:
    """Return an id that is the same in every process."""
    return "value" if callable(value) else str(value)[:60]


@pytest.mark.parametrize("name", SEGMENTING)
@pytest.mark.parametrize(("arguments", "value_of", "expected"), CASES, ids=_case_id)
def test_an_option_sets_its_field(
    run_settings: Segment,
    name: str,
    arguments: list[object],
    value_of: Callable[[CommandSettings], object],
    expected: object,
) -> None:
    found = run_settings(name, "-p", "red  mug", "-p", "hair", *arguments)
    assert value_of(found) == expected
    assert [prompt.label for prompt in found.prompts[:2]] == ["red mug", "hair"]


@pytest.mark.parametrize(("arguments", "value_of", "expected"), CASES, ids=_case_id)
def test_cases_differ_from_defaults(
    arguments: list[object], value_of: Callable[[CommandSettings], object], expected: object
) -> None:
    options = SegmentationOptions(prompts=PromptOptions(prompt=["red mug", "hair"]))
    for base in (LiveSettings(), LiveSettings(matte=PLAIN_MATTES)):
        if value_of(normalised(change_settings(options, base))) != expected:
            return
    raise AssertionError(f"{arguments} are the defaults")


def test_every_shared_option_is_in_the_table() -> None:
    options = options_of("export")
    given = {each for arguments, _, _ in CASES for each in arguments if str(each).startswith("--")}
    others = {"prompt", "prompt_image", "prompt_embedding", "session", "trust_session"}  # in the tests below
    for name in set(names_in(SegmentationOptions)) - others:
        assert given & {*options[name].opts}, name


@pytest.mark.parametrize("name", SEGMENTING)
def test_images_and_embeddings_are_prompts(run_settings: Segment, name: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my mug.png")
    values = np.random.default_rng(1).normal(size=512).astype(np.float32)
    np.save(tmp_path / "a hand.npy", values)
    files = ["--prompt-image", tmp_path / "my mug.png", "--prompt-embedding", tmp_path / "a hand.npy"]
    found = run_settings(name, *files, "-p", "hair", "--threshold", 0.1, "--threshold", 0.2, "--threshold", 0.3)
    expected = (Prompt.text("hair"), Prompt.image(pixels, label="my mug"), Prompt.embedding(values, label="a hand"))
    assert found.prompts == expected
    assert [style.threshold for style in found.styles] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("name", ["live", "record", "virtual-camera"])
def test_a_large_image_is_scaled_down_for_a_session(run_settings: Segment, name: str, tmp_path: Path) -> None:
    Image.new("RGB", (6000, 30)).save(tmp_path / "wide.png")
    (prompt,) = run_settings(name, "--prompt-image", tmp_path / "wide.png").prompts
    assert prompt.pixels.shape[1] == 768  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["record", "virtual-camera", "watch", "export"])
def test_a_demo_scene_has_its_model(run_settings: Segment, name: str) -> None:
    assert run_settings(name, "-p", "mug", source="demo:3").engine.model == "shapes"
    assert run_settings(name, "-p", "mug", "--model", "rd16", source="demo:3").engine.model == "rd16"
    assert run_settings(name, "-p", "mug").engine.model == EngineSettings().model


@pytest.mark.parametrize("name", ["live", "watch", "virtual-camera", "record"])
def test_source_options_reach_the_source(recorded_calls: list[tuple[Any, ...]], name: str, tmp_path: Path) -> None:
    options = ["--sequence", "--rate", "30000/1001", "--deinterlace", "off", "--rtsp-transport", "tcp", "--insecure"]
    assert main.run([name, str(tmp_path), "-p", "mug", *options]) == 0
    ((*values,),) = recorded_calls
    spec = values[0]["source"] if name == "live" else values[0] if name == "watch" else values[1]
    assert isinstance(spec, SourceSpec)
    assert (spec.sequence, spec.deinterlace, spec.rtsp_transport, spec.insecure) == (
        pytest.approx(29.97, abs=1e-3), "off", "tcp", True
    )  # fmt: skip


# ---- session files


@pytest.fixture
def session(tmp_path: Path) -> Path:
    rows = (
        PromptRow(id=5, text="mug", style=PromptStyle(colour=(1, 2, 3), threshold=0.4)),
        PromptRow(id=2, text="hair", visible=False),
        PromptRow(id=8, text="hand", style=PromptStyle(role="negative", targets=(5,))),
    )
    settings = LiveSettings(
        rows=rows, effects=(Blur(),), matte=MatteSettings(smoothing=0.1), engine=EngineSettings(model="rd16")
    )
    save_session(tmp_path / "a.clipseg.json", settings)
    return tmp_path / "a.clipseg.json"


@pytest.mark.parametrize("name", SEGMENTING)
def test_options_change_the_settings_of_a_session(run_settings: Segment, name: str, session: Path) -> None:
    found = run_settings(name, "--session", session, "--device", "cpu", "--smoothing", 0.7, "--mirror")
    assert [prompt.label for prompt in found.prompts] == ["mug", "hand"] and found.effects == (Blur(),)
    assert found.styles[1] == PromptStyle(role="negative", targets=(0,)) and found.styles[0].threshold == 0.4
    assert (found.engine, found.matte) == (EngineSettings(model="rd16", device="cpu"), MatteSettings(smoothing=0.7))
    assert found.framing == FrameTransform(mirror=True)


@pytest.mark.parametrize("name", ["record", "virtual-camera", "export"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "x"], ["--prompt-image", "x.png"], ["--prompt-embedding", "x.npy"], ["--template", "a {}"],
        ["--negative", "x"], ["--contrast", "x"], ["--threshold", "0.4"], ["--colour", "red"], ["--opacity", "1"],
        ["--grow", "1"], ["--feather", "1"], ["--min-area", "1"], ["--fill-holes", "1"], ["--effect", "blur"],
        ["--preset", "inspect"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_session_has_its_own_prompts_and_effects(
    name: str, arguments: list[str], session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-o", "out.mp4"] if name == "export" else []
    assert main.run([name, "walk.mp4", "--session", str(session), *arguments, *more]) == 2
    option = "--prompt" if arguments[0] == "-p" else arguments[0]
    expected = "The session file has its own prompts, styles and effects: give --session or {}, not both."
    assert capsys.readouterr().err == f"clipseg-live: {expected.format(option)}\n"


@pytest.mark.parametrize("name", ["live", "watch"])
def test_options_replace_prompts_and_styles_of_a_session(run_settings: Segment, name: str, session: Path) -> None:
    found = run_settings(name, "--session", session, "-p", "cup", "--effect", "tint")
    assert found.prompts == (Prompt.text("cup"),) and found.effects == (Tint(),)
    assert found.matte.smoothing == 0.1 and found.engine.model == "rd16"
    found = run_settings(name, "--session", session, "--threshold", 0.9, "--template", "a {}", "--contrast", "cup")
    assert found.prompts == (Prompt.text("mug", ("a {}",)), Prompt.text("hand"), Prompt.text("cup", ("a {}",)))
    assert [style.threshold for style in found.styles] == [0.9, 0.5, 0.5]
    assert [style.role for style in found.styles] == ["positive", "negative", "contrast"]


@pytest.mark.parametrize("name", [name for name in SEGMENTING if name != "live"])
@pytest.mark.parametrize("arguments", [[], ["--negative", "hand"], ["--contrast", "hand"]], ids=" ".join)
def test_a_prompt_is_needed(name: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    more = ["-o", "out.mp4"] if name == "export" else []
    assert main.run([name, "walk.mp4", *arguments, *more]) == 2
    assert "There is no prompt: say what to segment" in capsys.readouterr().err


def test_a_session_without_a_prompt_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_session(tmp_path / "empty.json", LiveSettings(rows=(PromptRow(id=0, text=" "),)))
    for name in ("record", "virtual-camera", "watch"):
        assert main.run([name, "walk.mp4", "--session", str(tmp_path / "empty.json")]) == 2
        assert "shows no prompt" in capsys.readouterr().err


def test_sessions_are_limited_to_sixteen_prompts_and_streams_are_not(
    run_settings: Segment, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [word for number in range(17) for word in ("-p", f"mug {number}")]
    assert len(run_settings("watch", *many).prompts) == len(run_settings("export", *many).prompts) == 17
    assert main.run(["record", "walk.mp4", *many]) == 2
    assert "There are 17 prompts, but a live session supports at most 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threshold", "2"], "2.0 is not a valid threshold"),
        (["--threshold", "0.1", "--threshold", "0.2"], "2 values of threshold for 1 prompts"),
        (["--grow", "1", "--grow", "2", "--grow", "3"], "3 values of grow for 1 prompts"),
        (["--colour", "sparkle"], "'sparkle' is not a colour"),
        (["--opacity", "-1"], "opacity"),
        (["--smoothing", "1.5"], "1.5 is not a valid smoothing"),
        (["--resize-mode", "cut"], "'cut' is not a valid resize_mode"),
        (["--size", "5"], "5 is not a valid size"),
        (["--overlap", "none"], "'none' is not a valid overlap"),
        (["--preset", "sparkle"], "There is no preset 'sparkle'"),
        (["--crop", "1,2"], "'1,2' is not a crop"),
        (["--crop", "0,0,2,1"], "not a valid crop"),
        (["--rotate", "45"], "45 is not a valid turn"),
        (["--template", "a photo"], "has no {}"),
        (["--rate", "5"], "give --sequence as well"),
        (["--deinterlace", "smoke"], "'smoke' is not a valid deinterlace"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.parametrize("name", ["watch", "record", "export"])
def test_an_invalid_value_gives_a_one_sentence_error(
    name: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-o", "out.mp4"] if name == "export" else []
    assert main.run([name, "walk.mp4", "-p", "mug", *arguments, *more]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


# ---- properties of the builder


def test_sessions_without_a_window_render_no_variants(tmp_path: Path) -> None:
    others = (Variant(rows=(PromptRow(id=0, text="mug"),)),)
    settings = LiveSettings(rows=(PromptRow(id=0, text="cup"),), comparison=Comparison(others=others))
    save_session(tmp_path / "a.clipseg.json", settings)
    options = SegmentationOptions(prompts=PromptOptions(session=tmp_path / "a.clipseg.json"))
    found = session_settings(options, demo=False)
    assert found == settings.model_copy(update={"comparison": None})


def test_new_prompts_end_a_comparison() -> None:
    others = (Variant(rows=(PromptRow(id=0, text="mug"),)),)
    settings = LiveSettings(rows=(PromptRow(id=0, text="cup"),), comparison=Comparison(others=others))
    assert change_settings(SegmentationOptions(), settings) == settings
    changed = change_settings(SegmentationOptions(prompts=PromptOptions(prompt=["jug"])), settings)
    assert changed.comparison is None and [row.text for row in changed.rows] == ["jug"]


@pytest.mark.slow
@given_values(base=sessions)
def test_no_options_keep_the_session(base: LiveSettings) -> None:
    assert change_settings(SegmentationOptions(), base) == base


@pytest.mark.slow
@given_values(
    texts=st.lists(st.sampled_from(["mug", "hair", "red cup"]), min_size=1, max_size=5),
    negative=st.lists(st.sampled_from(["hand", "sky"]), max_size=2),
    contrast=st.lists(st.sampled_from(["sea"]), max_size=2),
    templates=st.sampled_from([None, ["a photo of a {}"], ["a {}", "the {}"]]),
    thresholds=st.lists(st.floats(0, 1), max_size=5),
    grow=st.lists(st.floats(-10, 10), max_size=5),
)
def test_a_session_and_an_export_have_the_same_matte_settings(
    texts: list[str],
    negative: list[str],
    contrast: list[str],
    templates: list[str] | None,
    thresholds: list[float],
    grow: list[float],
) -> None:
    options = SegmentationOptions(
        prompts=PromptOptions(prompt=texts, negative=negative, contrast=contrast, template=templates),
        style=StyleOptions(threshold=thresholds or None),
        shape=ShapeOptions(grow=grow or None),
    )
    if any(values and len(values) not in (1, len(texts)) for values in (thresholds, grow)):
        with pytest.raises(UsageError, match=rf"for {len(texts)} prompts"):
            session_settings(options, demo=False)
        return
    found = prompted_settings(options, demo=False)
    prompts, look = session_settings(options, demo=False).prompts()
    assert prompts == found.prompts and look.styles == found.look.styles
    assert [style.role for style in look.styles] == [
        *["positive"] * len(texts), *["negative"] * len(negative), *["contrast"] * len(contrast)
    ]  # fmt: skip
    for values, field in ((thresholds, "threshold"), (grow, "grow")):
        own = [getattr(style if field == "threshold" else style.shape, field) for style in look.styles[: len(texts)]]
        assert not values or own == (values if len(values) > 1 else values * len(texts))
