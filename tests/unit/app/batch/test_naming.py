"""Sources of a batch, and unique names of results."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.app.batch.naming import (
    PreviousSource,
    absolute,
    check_result_folder,
    identity_of,
    result_names,
    result_stem,
    sources_of,
    suffix_of,
)
from clipseg_live.core.errors import UsageError


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("RGB", (4, 4)).save(path)
        else:
            path.write_bytes(name.encode())


def test_a_folder_gives_its_videos_in_natural_order() -> None:
    put("takes/take10.mp4", "takes/take2.MOV", "takes/notes.txt", "takes/.hidden.mp4", "takes/deeper/x.mp4")
    assert sources_of(["takes"]).names == ("takes/take2.MOV", "takes/take10.mp4")


def test_a_folder_of_images_is_one_source() -> None:
    put("shots/1.png", "shots/2.png", "shots/notes.txt")
    assert sources_of(["shots", "shots/*.png"]).names == ("shots", "shots/*.png")


def test_images_next_to_videos_are_reported() -> None:
    put("both/1.png", "both/2.png", "both/a.mp4")
    found = sources_of(["both"])
    assert found.names == ("both/a.mp4",)
    assert len(found.notices) == 1 and "2 images were skipped" in found.notices[0]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/*.mp4", ("in/a.mp4", "in/b.mp4")),
        ("in/?.m*", ("in/a.mkv", "in/a.mp4", "in/b.mp4")),
        ("in/*.dv", ("in/c.dv",)),
        ("in/*", ("in/a.mkv", "in/a.mp4", "in/b.mp4")),
        ("in/*.nothing", ("in/*.nothing",)),
        ("demo:3", ("demo:3",)),
        ("missing.mp4", ("missing.mp4",)),
        (f"{'x' * 300}.mp4", (f"{'x' * 300}.mp4",)),
    ],
)
def test_patterns_are_expanded(pattern: str, expected: tuple[str, ...]) -> None:
    put("in/a.mp4", "in/b.mp4", "in/a.mkv", "in/c.dv", "in/d.txt")
    assert sources_of([pattern]).names == expected


def test_an_existing_file_with_a_pattern_name_is_not_expanded() -> None:
    put("in/[a].mp4", "in/a.mp4")
    assert sources_of(["in/[a].mp4"]).names == ("in/[a].mp4",)


def test_animations_become_videos_and_images_images() -> None:
    first, second = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), "red")
    for suffix in (".webp", ".png", ".gif", ".tif"):
        first.save(f"moving{suffix}", save_all=True, append_images=[second], duration=100)
        first.save(f"still{suffix}")
        assert suffix_of(f"moving{suffix}", None) == ".mp4"
        assert suffix_of(f"still{suffix}", None) == ".png"


def test_duplicate_inputs_are_removed(in_folder: Path) -> None:
    put("in/a.mp4", "in/b.mp4")
    found = sources_of(["in/a.mp4", str(in_folder / "in" / "a.mp4"), "in/*.mp4", "demo:", "demo:"])
    assert found.names == ("in/a.mp4", "in/b.mp4", "demo:")
    assert len(found.notices) == 3


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("demo:", "demo"), ("demo:7", "demo-7"), ("demo:still:7", "demo-still-7"),
        ("in/a.b.mp4", "a.b"), ("in/shot_%04d.png", "shot"),
        ("in/*.png", "in"), ("in/take 1 *_[0-9].png", "take-1"), ("in", "in"), ("日本.mp4", "日本"),
    ],
)  # fmt: skip
def test_stem_is_the_name_without_suffix(name: str, stem: str) -> None:
    put("in/x.png")
    assert result_stem(name) == stem


def named(sources: list[str], suffix: str | None, held: dict[str, PreviousSource]) -> list[str]:
    return result_names(sources, [suffix_of(source, suffix) for source in sources], held)


@pytest.mark.parametrize(
    ("sources", "suffix", "names"),
    [
        (["a.mp4", "b.mov", "c.png"], None, ["a.mp4", "b.mp4", "c.png"]),
        (["a.mp4", "c.png"], ".mkv", ["a.mkv", "c.mkv"]),
        (["x/a.mp4", "y/a.mp4", "y/b.mp4"], None, ["x-a.mp4", "y-a.mp4", "b.mp4"]),
        (["x/a.mp4", "x/a.mov"], None, ["a-mp4.mp4", "a-mov.mp4"]),
        (["x/a.mp4", "x/a.mov", "y/a.mov"], None, ["x-a-mp4.mp4", "x-a-mov.mp4", "y-a-mov.mp4"]),
        (["p/x/a.mp4", "q/x/a.mp4"], None, ["a.mp4", "a-2.mp4"]),
        (["x/A.mp4", "y/a.mp4"], None, ["x-A.mp4", "y-a.mp4"]),
        (["x/a.mp4", "y/a.mp4", "z/x-a.mp4"], None, ["x-a.mp4", "y-a.mp4", "z-x-a.mp4"]),
        (["x/a.png", "y/a.mp4"], None, ["a.png", "a.mp4"]),
        (["x/v.2.mp4", "x/v-2.mp4"], None, ["v.2.mp4", "v-2-2.mp4"]),
    ],
)
def test_results_have_different_names(sources: list[str], suffix: str | None, names: list[str]) -> None:
    assert named(sources, suffix, {}) == names


def held_by(sources: list[str], names: list[str]) -> dict[str, PreviousSource]:
    return {
        name: PreviousSource(absolute(source), identity_of(source)) for source, name in zip(sources, names, strict=True)
    }


def test_a_later_input_with_the_same_stem_keeps_the_earlier_name() -> None:
    put("x/a.mp4", "y/a.mp4")
    held = held_by(["x/a.mp4"], ["a.mp4"])
    assert named(["y/a.mp4", "x/a.mp4"], None, held) == ["y-a.mp4", "a.mp4"]
    assert named(["y/a.mp4"], None, held) == ["y-a.mp4"]


def test_moved_and_changed_sources_keep_their_names() -> None:
    put("x/a.mp4")
    held = held_by(["x/a.mp4"], ["x-a.mp4"])
    Path("x").rename("z")
    assert named(["z/a.mp4"], None, held) == ["x-a.mp4"]
    put("x/a.mp4")
    Path("x/a.mp4").write_bytes(b"another")
    assert named(["x/a.mp4"], None, held) == ["x-a.mp4"]


STEM = st.sampled_from(["a", "A", "b", "x-a", "a-2", "ä"])
SOURCES = st.lists(
    st.builds("{}/{}{}".format, st.sampled_from(["x", "y", "p/x"]), STEM, st.sampled_from([".mp4", ".mov"])),
    unique=True,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(SOURCES, st.randoms(use_true_random=False))
def test_names_are_unique_and_stable_in_later_runs(sources: list[str], random) -> None:  # type: ignore[no-untyped-def]
    names = named(sources, None, {})
    assert len({name.casefold() for name in names}) == len(names) == len(sources)
    held = {name: PreviousSource(absolute(source), ()) for source, name in zip(sources, names, strict=True)}
    again = list(sources)
    random.shuffle(again)
    again = again[: random.randint(0, len(again))]
    assert named(again, None, held) == [names[sources.index(source)] for source in again]
    new = ["n/a.mp4", *again]
    assert named(new, None, held)[0] not in names


def test_results_among_inputs_are_rejected() -> None:
    put("in/a.mp4", "in/b.mp4")
    with pytest.raises(UsageError, match=r"results.*: choose another folder"):
        check_result_folder(["in"], ["in/a.mp4"], Path("in"), ["a.mkv"])
    with pytest.raises(UsageError, match=r"results.*: choose another folder"):
        check_result_folder(["in/*.mp4"], ["in/a.mp4"], Path("in/../in"), ["a.mkv"])
    with pytest.raises(UsageError, match=r"in/b\.mp4 is also an input"):
        check_result_folder(["in/a.mp4", "in/b.mp4"], ["in/a.mp4", "in/b.mp4"], Path("in"), ["c.mp4", "b.mp4"])
    check_result_folder(["in/a.mp4"], ["in/a.mp4"], Path("in"), ["a.mkv"])
    check_result_folder(["demo:"], ["demo:"], Path("in"), ["demo.mp4"])


def test_an_input_is_identified_through_links(in_folder: Path) -> None:
    put("in/a.mp4")
    os.symlink(in_folder / "in", in_folder / "link")
    with pytest.raises(UsageError, match="is also an input"):
        check_result_folder(["in/a.mp4"], ["in/a.mp4"], Path("link"), ["a.mp4"])
