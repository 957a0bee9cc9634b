"""The shapes model: configuration, tokenizer, initial weights, forward pass for training, and model folder."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from scripts.training import phrases
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES

SIZE, PATCH = 224, 16
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY = 2048


def configuration(vocabulary: int, *, width: int = 256, depth: int = 6) -> CLIPSegConfig:
    """Return the configuration of the shapes model.

    The last two entries of the vocabulary are the start and end tokens.
    """
    ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    return CLIPSegConfig(
        text_config={
            "vocab_size": vocabulary, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3,
            "num_attention_heads": 4, "max_position_embeddings": 77, **ends,
        },
        vision_config={
            "hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": depth,
            "num_attention_heads": width // 64, "image_size": SIZE, "patch_size": PATCH,
        },
        projection_dim=128,
        extract_layers=[depth // 3 - 1, 2 * depth // 3 - 1, depth - 1],
        reduce_dim=64,
        decoder_intermediate_size=256,
        decoder_num_attention_heads=2,
        use_complex_transposed_convolution=True,
        **ends,
    )  # fmt: skip


def corpus(count: int = 20000) -> list[str]:
    """Return phrases of the demo language, from which the tokenizer learns its merges."""
    rng = np.random.default_rng(0)
    sizes = (None, None, "small", "large", "smallest", "biggest")
    lines = [*phrases.EVERYTHING, *phrases.BACKGROUND_WORDS] * 20
    for _ in range(count):
        meaning = phrases.Meaning(
            "objects" if rng.random() < 0.75 else "nothing",
            str(rng.choice(NAMED_COLOURS)) if rng.random() < 0.7 else None,
            str(rng.choice(SHAPE_NAMES)) if rng.random() < 0.7 else None,
            sizes[int(rng.integers(len(sizes)))],  # type: ignore[arg-type]
        )
        lines.append(phrases.words(meaning, rng, synonyms=0.6))
    return lines


def write_tokenizer(folder: Path, vocabulary: int = VOCABULARY) -> None:
    """Learn a byte-level BPE in CLIP's format and write its files.

    Every byte is in the vocabulary, so any text is valid.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    merge_count = vocabulary - 2 * len(symbols) - 2
    trainer = trainers.BpeTrainer(
        vocab_size=merge_count + 2 * len(symbols), initial_alphabet=symbols, end_of_word_suffix="</w>",
        continuing_subword_prefix="", show_progress=False,
    )  # fmt: skip
    learner.train_from_iterator(corpus(), trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in merges][:merge_count]
    # CLIP's order: bytes, bytes that end a word, merges, special tokens.
    tokens = [*symbols, *(s + "</w>" for s in symbols)]
    merges_kept = []
    for first, second in merges:
        if first + second not in tokens:
            merges_kept.append((first, second))
            tokens.append(first + second)
    while len(tokens) < vocabulary - 2:  # unused, rounds the size of the table
        tokens.append(f"<|unused{len(tokens)}|>")
    tokens += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges_kept), "utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", "utf-8")
    settings = {
        **special, "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def sine_positions(side: int, width: int, norm: float) -> Tensor:
    """Return position embeddings of a square grid of patches, as sines and cosines of both coordinates.

    The waves have 5 to 60 patches, so the embeddings can be interpolated to other grids.

    Args:
        side: Patches per side.
        width: Size of an embedding.
        norm: Length of each row.

    Returns:
        (side², width).
    """
    waves = 2 * math.pi / torch.logspace(math.log10(5), math.log10(60), width // 4)
    angles = torch.arange(side)[:, None] * waves
    line = torch.cat([angles.sin(), angles.cos()], 1)
    grid = torch.cat([line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)], 2)
    return grid.reshape(side * side, width) * (norm / math.sqrt(width / 2))


def initialise(model: CLIPSegForImageSegmentation) -> None:
    """Set initial weights with stable training: narrow truncated normals.

    Training diverges with the initialisation of transformers.
    """
    depth = model.config.vision_config.num_hidden_layers
    for name, parameter in model.named_parameters():
        if "norm" in name or "layrnorm" in name or name.endswith("logit_scale"):
            continue
        if parameter.ndim < 2:
            nn.init.zeros_(parameter)
            continue
        deviation = 0.03
        if name.endswith("transposed_convolution.0.weight"):
            deviation = math.sqrt(2 / (9 * parameter.shape[1]))
        elif "transposed_convolution" in name:
            deviation = math.sqrt(1 / parameter.shape[0])
        elif "projection" in name or "reduces" in name:
            deviation = 0.06
        if name.endswith(("out_proj.weight", "fc2.weight")) and "clip" in name:
            deviation /= math.sqrt(2 * depth)
        nn.init.trunc_normal_(parameter, std=deviation, a=-2 * deviation, b=2 * deviation)
    with torch.no_grad():
        embeddings = model.clip.vision_model.embeddings
        nn.init.trunc_normal_(embeddings.class_embedding, std=0.03)
        # Patch embeddings start with a norm of about 30. With much weaker positions, shapes are not learned.
        embeddings.position_embedding.weight[1:] = sine_positions(SIZE // PATCH, embeddings.embed_dim, 15.0)
        model.decoder.film_mul.bias.fill_(1.0)
        model.decoder.transposed_convolution[4].bias.fill_(-2.0)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool = False,
    **_: Any,
) -> tuple[Tensor, None]:
    """Compute attention by plain products in the precision of the inputs.

    On a CPU its backward pass is four times as fast as the fused one, and it needs half the memory of transformers'
    eager one under autocast. transformers creates no masks for it, so it applies the causal mask itself.
    """
    assert attention_mask is None
    with torch.autocast(query.device.type, enabled=False):
        value = value.to(query.dtype)
        weights = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.to(query.dtype).transpose(2, 3))
        if is_causal:
            future = torch.ones(weights.shape[-2:], dtype=torch.bool, device=weights.device).triu(1)
            weights = weights.masked_fill(future, -1e4)
        return torch.matmul(torch.softmax(weights, -1), value).transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register("plain_products", _attention)


def build(config: CLIPSegConfig) -> CLIPSegForImageSegmentation:
    """Return a model with initial weights, ready for training."""
    config._attn_implementation = "plain_products"
    model = CLIPSegForImageSegmentation(config)
    initialise(model)
    return model


def normalise(pixels: Tensor) -> Tensor:
    """Convert uint8 (n, height, width, 3) to the input of the vision encoder, float32 (n, 3, height, width)."""
    values = pixels.permute(0, 3, 1, 2).float() / 255
    return (values - values.new_tensor(MEAN).view(1, 3, 1, 1)) / values.new_tensor(DEVIATION).view(1, 3, 1, 1)


def encode_images(model: CLIPSegForImageSegmentation, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the activations of images for the decoder (last layer first), and their embeddings as image prompts."""
    output = model.clip.vision_model(normalise(pixels), output_hidden_states=True, interpolate_pos_encoding=True)
    activations = [output.hidden_states[i + 1] for i in model.config.extract_layers]
    return activations[::-1], model.clip.visual_projection(output.pooler_output)


def encode_phrases(model: CLIPSegForImageSegmentation, ids: Tensor) -> Tensor:
    """Convert token ids (n, length) to conditional embeddings (n, projection)."""
    return model.clip.text_projection(model.clip.text_model(ids).pooler_output)


def decode(
    model: CLIPSegForImageSegmentation, activations: Sequence[Tensor], embeddings: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Apply transformers' decoder to several prompts per image, on any grid of patches.

    A transposed convolution whose kernel size equals its stride is computed as a matrix product, which trains faster.

    Args:
        model: The model.
        activations: (images, 1 + patches, width) each.
        embeddings: (images × prompts, projection).
        grid: Rows and columns of patches.

    Returns:
        Logits by patch: (images × prompts, patches, 16 blocks of 4×4, 16 pixels of a block); see ``by_patch``.
    """
    decoder, output = model.decoder, None
    times = embeddings.shape[0] // activations[0].shape[0]
    for i, (activation, layer, reduce) in enumerate(zip(activations, decoder.layers, decoder.reduces, strict=True)):
        reduced = reduce(activation).repeat_interleave(times, 0)
        output = reduced if output is None else reduced + output
        if i == model.config.conditional_layer:
            output = decoder.film_mul(embeddings)[:, None] * output + decoder.film_add(embeddings)[:, None]
        output = layer(output, attention_mask=None)
    assert output is not None
    rows, patches, width = output.shape[0], output.shape[1] - 1, output.shape[2]
    smooth, _, first, _, second = decoder.transposed_convolution
    features = output[:, 1:].transpose(1, 2).reshape(rows, width, *grid).contiguous(memory_format=torch.channels_last)
    tokens = functional.relu(smooth(features)).permute(0, 2, 3, 1).reshape(rows * patches, width)
    kernel = first.weight.permute(2, 3, 1, 0).reshape(-1, width)
    blocks = functional.relu(functional.linear(tokens, kernel, first.bias.repeat(16))).view(-1, width // 2)
    logits = functional.linear(blocks, second.weight.reshape(width // 2, 16).t(), second.bias.expand(16))
    return logits.view(rows, patches, 16, 16)


def by_patch(image: Tensor) -> Tensor:
    """Rearrange (n, height, width) to (n, patches, 16, 16), in the order of ``decode``."""
    n, height, width = image.shape
    parts = image.view(n, height // 16, 4, 4, width // 16, 4, 4).permute(0, 1, 4, 2, 5, 3, 6)
    return parts.reshape(n, -1, 16, 16)


def write_folder(model: CLIPSegForImageSegmentation, tokenizer: Path, folder: Path, card: str) -> None:
    """Write the model in the hub's format: weights as float16, files of the tokenizer, and the card as README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: values.detach().to(torch.float16).contiguous() for name, values in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes a file that only its owner can read
    config = model.config.to_dict()
    config.update(architectures=["CLIPSegForImageSegmentation"], dtype="float32")
    config.pop("_attn_implementation", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    prepare = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": SIZE, "width": SIZE},
        "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": MEAN, "image_std": DEVIATION,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare, indent=2) + "\n", "utf-8")
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        if (tokenizer / name).resolve() != (folder / name).resolve():
            shutil.copyfile(tokenizer / name, folder / name)
    (folder / "README.md").write_text(card, "utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
