"""Every format in which transformers saves a CLIPSeg model loads and gives the same maps as transformers."""

import json
import pickle
import shutil
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import regex
import torch
from huggingface_hub import save_torch_state_dict
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import CLIPConfig, CLIPModel, CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.errors import ModelError
from clipseg_live.model.store import loading
from clipseg_live.model.store.layout import WEIGHTS, missing_file
from tests.helpers.tolerances import SAME_MAPS
from tests.unit.model.conftest import tiny_configuration

PHRASES = ("a red circle", "The Smallest  HEART", "ça, déjà vu!")
SHARD_BYTES = 200_000

Save = Callable[[CLIPSegForImageSegmentation, Path], None]


def save_safetensors(network: CLIPSegForImageSegmentation, folder: Path) -> None:
    network.save_pretrained(folder)


def save_safetensors_shards(network: CLIPSegForImageSegmentation, folder: Path) -> None:
    network.save_pretrained(folder, max_shard_size=SHARD_BYTES)


def save_half_precision(network: CLIPSegForImageSegmentation, folder: Path) -> None:
    state = network.state_dict()
    network.config.save_pretrained(folder)
    save_torch_state_dict({name: values.half() for name, values in state.items()}, folder)


def save_bin(network: CLIPSegForImageSegmentation, folder: Path) -> None:
    network.config.save_pretrained(folder)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")


def save_older_bin(network: CLIPSegForImageSegmentation, folder: Path) -> None:
    network.config.save_pretrained(folder)
    torch.save(network.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def save_bin_shards(network: CLIPSegForImageSegmentation, folder: Path) -> None:
    network.config.save_pretrained(folder)
    pattern = "pytorch_model{suffix}.bin"
    save_torch_state_dict(
        network.state_dict(), folder, filename_pattern=pattern, max_shard_size=SHARD_BYTES, safe_serialization=False
    )


WEIGHT_FORMATS: dict[str, tuple[Save, str]] = {
    "safetensors": (save_safetensors, "model.safetensors"),
    "safetensors shards": (save_safetensors_shards, "model.safetensors.index.json"),
    "float16": (save_half_precision, "model.safetensors"),
    "bin": (save_bin, "pytorch_model.bin"),
    "older bin": (save_older_bin, "pytorch_model.bin"),
    "bin shards": (save_bin_shards, "pytorch_model.bin.index.json"),
}


@pytest.fixture(scope="session")
def network(tiny_folder: Path) -> CLIPSegForImageSegmentation:
    return CLIPSegForImageSegmentation.from_pretrained(tiny_folder).eval()


@pytest.fixture(scope="session")
def processor(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CLIPSegProcessor:
    """Return a processor with the size of the tiny model."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("models") / "sized")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": {"height": 64, "width": 64}}))
    return CLIPSegProcessor.from_pretrained(folder)


def save_new_processor(processor: CLIPSegProcessor, folder: Path) -> None:
    """Save like transformers 5: processor_config.json and tokenizer.json."""
    processor.save_pretrained(folder)
    assert not {"vocab.json", "merges.txt", "preprocessor_config.json"} & {path.name for path in folder.iterdir()}


def save_old_processor(processor: CLIPSegProcessor, folder: Path) -> None:
    """Save like transformers 4: preprocessor_config.json, vocab.json and merges.txt."""
    (folder / "preprocessor_config.json").write_text(processor.image_processor.to_json_string())
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "CLIPSegProcessor"}))
    saved = json.loads(processor.tokenizer.backend_tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in saved["merges"]]
    (folder / "vocab.json").write_text(json.dumps(saved["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


PROCESSOR_FORMATS = {"transformers 5": save_new_processor, "transformers 4": save_old_processor}


def reference_maps(folder: Path, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the maps of transformers' processor and forward pass, from the same folder."""
    model = CLIPSegForImageSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = CLIPSegProcessor.from_pretrained(folder)(
        text=list(PHRASES), images=[picture] * len(PHRASES), padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        maps: NDArray[np.float32] = model(**inputs).logits.sigmoid().numpy()
    return maps


def our_maps(folder: Path, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    segmenter = Segmenter.load(str(folder), device="cpu")
    return segmenter.segment(picture, [Prompt.text(phrase) for phrase in PHRASES]).probabilities


@pytest.fixture
def square() -> NDArray[np.uint8]:
    """Return an image of the model's size, so that both read the same pixels."""
    return np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)


def save(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, folder: Path, weights: str, files: str
) -> Path:
    folder.mkdir()
    WEIGHT_FORMATS[weights][0](network, folder)
    PROCESSOR_FORMATS[files](processor, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("files", PROCESSOR_FORMATS)
@pytest.mark.parametrize("weights", WEIGHT_FORMATS)
def test_maps_equal_those_of_transformers(
    network: CLIPSegForImageSegmentation,
    processor: CLIPSegProcessor,
    square: NDArray[np.uint8],
    tmp_path: Path,
    weights: str,
    files: str,
) -> None:
    folder = save(network, processor, tmp_path / "model", weights, files)
    found = loading.find_model_files(str(folder))
    assert found.weights.name == WEIGHT_FORMATS[weights][1]
    assert len(found.shards) > 1 or "shards" not in weights
    expected = reference_maps(folder, square)
    assert expected.std() > 0.05
    np.testing.assert_allclose(our_maps(folder, square), expected, rtol=0, atol=SAME_MAPS)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"do_normalize": False}, {"do_rescale": False}, {"rescale_factor": 1 / 127.5}])
def test_options_of_the_image_processor_are_applied(
    network: CLIPSegForImageSegmentation,
    processor: CLIPSegProcessor,
    square: NDArray[np.uint8],
    tmp_path: Path,
    changes: dict[str, object],
) -> None:
    folder = save(network, processor, tmp_path / "model", "safetensors", "transformers 5")
    path = folder / "processor_config.json"
    values = json.loads(path.read_text())
    values["image_processor"].update(changes)
    path.write_text(json.dumps(values))
    dark = square // 128  # values that stay moderate without a scale
    np.testing.assert_allclose(our_maps(folder, dark), reference_maps(folder, dark), rtol=0, atol=SAME_MAPS)


@pytest.mark.slow
def test_safetensors_are_preferred(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, tmp_path: Path
) -> None:
    folder = save(network, processor, tmp_path / "model", "safetensors shards", "transformers 5")
    (folder / "pytorch_model.bin").write_bytes(b"not read")
    assert loading.find_model_files(str(folder)).weights.name == "model.safetensors.index.json"
    Segmenter.load(str(folder), device="cpu")


def test_the_digest_covers_every_shard(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, tmp_path: Path
) -> None:
    folder = save(network, processor, tmp_path / "model", "safetensors shards", "transformers 5")
    digests = {loading.find_model_files(str(folder)).digest()}
    for shard in loading.find_model_files(str(folder)).shards:
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1
        shard.write_bytes(content)
        digests.add(loading.find_model_files(str(folder)).digest())
    assert len(digests) == 1 + len(loading.find_model_files(str(folder)).shards)


# --- tokenizers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[CLIPTokenizer, CLIPTokenizer, "ReferenceTokenizer"]:
    """Return tokenizers of the built-in model: from vocab.json, from tokenizer.json, and in plain Python."""
    source = loading.find_model_files("shapes").folder
    slow_files = CLIPTokenizer.from_pretrained(source)
    folder = tmp_path_factory.mktemp("tokenizer")
    slow_files.save_pretrained(folder)
    (folder / "config.json").write_text((source / "config.json").read_text())
    assert (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").exists()
    return slow_files, CLIPTokenizer.from_pretrained(folder), ReferenceTokenizer(source)


class ReferenceTokenizer:
    """CLIP's byte-pair encoding as OpenAI published it (simple_tokenizer.py), from vocab.json and merges.txt."""

    PATTERN = regex.compile(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    )

    def __init__(self, folder: Path) -> None:
        self.ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
        self.ranks = {tuple(line.split()): rank for rank, line in enumerate(lines) if line}
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [value for value in range(256) if value not in printable]
        self.letters = {value: chr(value) for value in printable}
        self.letters |= {value: chr(256 + number) for number, value in enumerate(others)}

    def __call__(self, text: str) -> list[int]:
        text = regex.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).lower()
        found = [self.ids["<|startoftext|>"]]
        for word in self.PATTERN.findall(text):
            found += [self.ids[part] for part in self.merge("".join(self.letters[byte] for byte in word.encode()))]
        return [*found, self.ids["<|endoftext|>"]]

    def merge(self, word: str) -> list[str]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pairs = [(self.ranks.get(pair, len(self.ranks)), at) for at, pair in enumerate(pairwise(parts))]
            rank, at = min(pairs)
            if rank == len(self.ranks):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return parts


WORDS = st.sampled_from(["the smallest", "Hearts", "orange diamond's", "shape", "größe", "赤い丸", "🟥", "don't", "x2"])
ALPHABET = (
    "abcdexyzABCÀÉßñøéё赤丸ありक한🟥🙂👩‍🚀0123456789½.,:;!?'\"-_+%&()# \t\n\N{NO-BREAK SPACE}\N{COMBINING ACUTE ACCENT}"
)
"""Characters with the same class in every version of Unicode."""
TEXTS = st.lists(WORDS | st.text(st.sampled_from(ALPHABET), max_size=6), max_size=6)


@pytest.mark.slow
@given(TEXTS.map(" ".join))
def test_both_kinds_of_tokenizer_files_give_the_same_ids(
    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer, ReferenceTokenizer], text: str
) -> None:
    old, new, reference = tokenizers
    assert old(text)["input_ids"] == new(text)["input_ids"] == reference(text)


# --- damaged folders ------------------------------------------------------------------------------------------------


def drop_a_shard(folder: Path) -> None:
    next(folder.glob("*-00002-of-*")).unlink()


def cut_a_shard(folder: Path) -> None:
    shard = next(folder.glob("*-00002-of-*"))
    shard.write_bytes(shard.read_bytes()[:-50])


def edit_index(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    path = next(folder.glob("*.index.json"))
    values = json.loads(path.read_text())
    change(values["weight_map"])
    path.write_text(json.dumps(values))


def name_a_missing_tensor(folder: Path) -> None:
    edit_index(folder, lambda names: names.update({"no.such.tensor": next(iter(names.values()))}))


def move_a_tensor(folder: Path) -> None:
    def change(names: dict[str, str]) -> None:
        name, place = next(iter(names.items()))
        names[name] = next(other for other in names.values() if other != place)

    edit_index(folder, change)


def forget_a_tensor(folder: Path) -> None:
    edit_index(folder, lambda names: names.pop(next(iter(names))))


def leave_the_folder(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_index(folder, lambda names: names.update(dict.fromkeys(names, name)))


def replace_index(content: str) -> Callable[[Path], None]:
    return lambda folder: next(folder.glob("*.index.json")).write_text(content)  # type: ignore[return-value]


@pytest.mark.parametrize("weights", ["safetensors shards", "bin shards"])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (drop_a_shard, r"has no .*-00002-of-.*which .*index\.json lists"),
        (cut_a_shard, r"-00002-of-.* damaged"),
        (name_a_missing_tensor, r"do not contain 'no\.such\.tensor'"),
        (move_a_tensor, r"do not contain"),
        (forget_a_tensor, r"lack"),
        (leave_the_folder("../other/model.safetensors"), "not a .* file in the model's own folder"),
        (leave_the_folder("/etc/passwd"), "not a .* file in the model's own folder"),
        (leave_the_folder("C:\\weights.safetensors"), "not a .* file in the model's own folder"),
        (leave_the_folder("sub/weights.bin"), "not a .* file in the model's own folder"),
        (leave_the_folder("config.json"), "not a .* file in the model's own folder"),
        (leave_the_folder(""), "not a .* file in the model's own folder"),
        (leave_the_folder(".."), "not a .* file in the model's own folder"),
        (replace_index("{}"), "no weight_map"),
        (replace_index('{"weight_map": {}}'), "no weight_map"),
        (replace_index('{"weight_map": {"a": 3}}'), "no weight_map"),
        (replace_index("[]"), "damaged"),
        (replace_index("{"), "damaged"),
        (replace_index("[" * 5000), "damaged"),
    ],
)
def test_damaged_shards_give_a_one_sentence_error(
    network: CLIPSegForImageSegmentation,
    processor: CLIPSegProcessor,
    tmp_path: Path,
    weights: str,
    damage: Callable[[Path], None],
    sentence: str,
) -> None:
    folder = save(network, processor, tmp_path / "model", weights, "transformers 5")
    damage(folder)
    assert_one_sentence(folder, sentence)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("older", [False, True])
def test_code_in_a_shard_is_not_executed(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, tmp_path: Path, older: bool
) -> None:
    folder = save(network, processor, tmp_path / "model", "bin shards", "transformers 5")
    ran = tmp_path / "ran"
    if older:
        next(folder.glob("*-00002-of-*")).write_bytes(pickle.dumps(Malicious(ran)))
    else:
        torch.save({"clip.logit_scale": Malicious(ran)}, next(folder.glob("*-00002-of-*")))
    assert_one_sentence(folder, "-00002-of-.*objects other than tensors")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"PK\3\4", "damaged"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_files_that_are_not_weights_give_a_one_sentence_error(
    network: CLIPSegForImageSegmentation,
    processor: CLIPSegProcessor,
    tmp_path: Path,
    name: str,
    content: bytes,
    sentence: str,
) -> None:
    folder = save(network, processor, tmp_path / "model", "safetensors", "transformers 5")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    assert_one_sentence(folder, sentence)


def test_a_plain_clip_model_is_rejected(processor: CLIPSegProcessor, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny = tiny_configuration()
    config = CLIPConfig(
        text_config={**tiny.text_config.to_dict(), "model_type": "clip_text_model"},
        vision_config={**tiny.vision_config.to_dict(), "model_type": "clip_vision_model"},
    )
    CLIPModel(config).save_pretrained(folder)
    save_new_processor(processor, folder)
    assert_one_sentence(folder, "not a CLIPSeg model: its config.json says 'clip'")


def test_a_model_without_a_decoder_is_rejected(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    network.clip.save_pretrained(folder)
    save_new_processor(processor, folder)
    assert_one_sentence(folder, "lack")


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {}}', "[" * 5000])
def test_a_damaged_tokenizer_is_named(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, tmp_path: Path, content: str
) -> None:
    folder = save(network, processor, tmp_path / "model", "safetensors", "transformers 5")
    (folder / "tokenizer.json").write_text(content)
    assert_one_sentence(folder, "tokenizer")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"image_processor": null}', '{"image_processor": {"size": 3}}']
)
def test_a_damaged_processor_is_named(
    network: CLIPSegForImageSegmentation, processor: CLIPSegProcessor, tmp_path: Path, content: str
) -> None:
    folder = save(network, processor, tmp_path / "model", "safetensors", "transformers 5")
    (folder / "processor_config.json").write_text(content)
    assert_one_sentence(folder, r"processor_config\.json")


SMALL = {"config.json", "processor_config.json", "tokenizer.json", *WEIGHTS[:1]}


@pytest.mark.slow
@given(st.sets(st.sampled_from(sorted({*SMALL, *WEIGHTS, "preprocessor_config.json", "vocab.json", "merges.txt"}))))
def test_a_model_is_complete_with_one_file_of_each_kind(names: set[str]) -> None:
    has_tokenizer = "tokenizer.json" in names or {"vocab.json", "merges.txt"} <= names
    has_processor = "processor_config.json" in names or "preprocessor_config.json" in names
    is_complete = "config.json" in names and has_tokenizer and has_processor and bool(names & set(WEIGHTS))
    assert (missing_file(names) is None) == is_complete


def assert_one_sentence(folder: Path, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        Segmenter.load(str(folder), device="cpu")
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500 and text.endswith(".")
