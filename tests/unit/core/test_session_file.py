"""Session files: saved settings are restored, and other files give a one-sentence error."""

import base64
import json
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.effects import KINDS, CutOut
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, PromptImage, PromptRow
from clipseg_live.core.settings.rendering import MatteSettings

rows = st.lists(
    st.builds(
        PromptRow,
        id=st.integers(0, 10**6),
        text=st.text(max_size=20),
        templates=st.sampled_from([(), ("a photo of a {}", "{}")]),
        embedding=st.lists(st.floats(-1e4, 1e4, width=32), max_size=4).map(tuple),
        image=st.none() | st.builds(
            lambda h, w, seed: PromptImage.of(np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)),
            st.integers(1, 5), st.integers(1, 5), st.integers(0, 9),
        ),
        share=st.floats(0, 1),
        style=st.builds(PromptStyle, threshold=st.floats(0, 1), opacity=st.floats(0, 1)),
        visible=st.booleans(),
        solo=st.booleans(),
    ),
    max_size=16, unique_by=lambda row: row.id,
)  # fmt: skip
sessions = st.builds(
    LiveSettings,
    rows=rows.map(tuple),
    effects=st.lists(st.sampled_from([kind() for kind in KINDS.values()]), max_size=4).map(tuple),
    matte=st.builds(MatteSettings, smoothing=st.floats(0, 1), together=st.sampled_from(["independent", "exclusive"])),
    mode=st.sampled_from(["smooth", "locked"]),
    engine=st.builds(EngineSettings, model=st.text(max_size=9), size=st.none() | st.just(224)),
    framing=st.sampled_from([FrameTransform(), FrameTransform(mirror=True, turn=90, crop=(0.1, 0.2, 0.5, 0.6))]),
)


@pytest.mark.slow
@given(settings=sessions)
def test_saved_settings_are_restored(tmp_path_factory: pytest.TempPathFactory, settings: LiveSettings) -> None:
    path = tmp_path_factory.mktemp("session") / "ünïcode 例.clipseg.json"
    save_session(path, settings)
    assert load_session(path, trusted=True) == settings
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.slow
@given(settings=sessions)
def test_shown_rows_are_visible_or_solo(settings: LiveSettings) -> None:
    shown = settings.shown()
    if any(row.solo for row in settings.rows):
        assert shown == tuple(row for row in settings.rows if row.solo)
    else:
        assert shown == tuple(row for row in settings.rows if row.visible)
    assert settings.look(shown).styles == tuple(row.style for row in shown)


def test_new_rows_have_unique_ids_and_colours_up_to_the_limit() -> None:
    settings = LiveSettings()
    while len(settings.rows) < 16:
        settings = LiveSettings(rows=(*settings.rows, settings.new_row("x")))
    assert len({row.id for row in settings.rows}) == len({row.style.colour for row in settings.rows}) == 16
    with pytest.raises(UsageError, match="16 prompts already"):
        settings.new_row()


def test_ids_stay_within_32_bits() -> None:
    most = 2**31 - 1
    settings = LiveSettings(rows=(PromptRow(id=0), PromptRow(id=most), PromptRow(id=2)))
    assert settings.new_row().id == 1
    with pytest.raises(ValidationError):
        PromptRow(id=most + 1)


@pytest.mark.parametrize("values", [{"templates": ("a photo",)}, {"embedding": (float("nan"),)}, {"embedding": (1e5,)}])
def test_invalid_templates_and_embeddings_are_rejected(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromptRow(id=0, **values)  # type: ignore[arg-type]


def test_a_text_longer_than_the_field_is_rejected() -> None:
    assert LiveSettings().new_row("x" * 1000).text == "x" * 1000
    with pytest.raises(UsageError, match="too long"):
        LiveSettings().new_row("x" * 1001)
    with pytest.raises(ValidationError):
        PromptRow(id=0, text="x" * 1001)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not contain JSON"),
        (b"\xff\xfe\x00", "does not contain JSON"),
        (b"[]", "not a session file"),
        (b'{"format": "clipseg-live session", "version": 2}', "newer clipseg-live"),
        (b'{"format": "clipseg-live session", "version": 1}', "an invalid value"),
        (b'{"format": "clipseg-live session", "version": 1, "settings": {"matte": {"smoothing": 3}}}', "smoothing"),
    ],
)
def test_other_files_are_rejected(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(Failure, match=message) as raised:
        load_session(path)
    assert "\n" not in str(raised.value)


def test_errors_quote_file_content_in_one_short_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    settings = {"effects": [{"kind": "a\nb" + "c" * 10_000}]}
    path.write_text(json.dumps({"format": "clipseg-live session", "version": 1, "settings": settings}))
    with pytest.raises(Failure, match=r"effects\.0") as raised:
        load_session(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300 + len(str(path))


def test_a_damaged_image_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    picture = PromptImage.of(np.zeros((2, 2, 3), np.uint8))
    save_session(path, LiveSettings(rows=(PromptRow(id=0, image=picture),)))
    content = json.loads(path.read_text())
    for damaged in ("!!!", "AAAA", content["settings"]["rows"][0]["image"]["data"][:-8]):
        content["settings"]["rows"][0]["image"]["data"] = damaged
        path.write_text(json.dumps(content))
        with pytest.raises(Failure, match="image"):
            load_session(path)


def test_missing_and_unwritable_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="There is no session file"):
        load_session(tmp_path / "none.json")
    with pytest.raises(Failure, match="cannot be read"):
        load_session(tmp_path)
    with pytest.raises(Failure, match="could not be saved"):
        save_session(tmp_path / "none" / "x.json", LiveSettings())


@pytest.mark.slow
def test_an_image_never_unpacks_to_more_than_its_size(tmp_path: Path) -> None:
    bomb = zlib.compressobj(9)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()  # 64 MB in 64 KB
    row = {"id": 0, "picture": {"width": 4, "height": 4, "data": base64.b64encode(packed).decode()}}
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"format": "clipseg-live session", "version": 1, "settings": {"rows": [row]}}))
    tracemalloc.start()
    try:
        with pytest.raises(Failure, match="data of an image are damaged"):
            load_session(path)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [900, 5000, 200_000])
def test_deep_nesting_is_rejected(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "x.json"
    nested = "[" * depth + "]" * depth
    path.write_text(f'{{"format": "clipseg-live session", "version": 1, "settings": {{"rows": {nested}}}}}')
    with pytest.raises(Failure):
        load_session(path)


names = st.sampled_from(
    [
        *LiveSettings.model_fields, *PromptRow.model_fields, *PromptImage.model_fields, *PromptStyle.model_fields,
        *EngineSettings.model_fields, *CutOut.model_fields, "smoothing", "x",
    ]
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@given(settings=st.dictionaries(names, anything, max_size=5))
def test_any_json_is_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, object]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    content = {"format": "clipseg-live session", "version": 1, "settings": settings}
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        found = load_session(path, trusted=True)
    except Failure as error:
        assert "\n" not in str(error)  # noqa: PT017 anything else is an error of the test
    else:
        assert LiveSettings.model_validate(found.model_dump()) == found


@pytest.mark.slow
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    for content in (data, b'{"format": "clipseg-live session", "version": 1, "settings": {"rows": ' + data):
        path.write_bytes(content)
        with pytest.raises(Failure) as raised:
            load_session(path)
        assert "\n" not in str(raised.value)
