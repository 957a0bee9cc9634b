"""Messages to and from the inference process are transferred unchanged, and all types are handled."""

import inspect
import pickle
from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.status import PromptSet
from clipseg_live.runtime.inference import messages
from clipseg_live.runtime.inference.client import InferenceClient
from clipseg_live.runtime.inference.server import _InferenceServer

VALUES = {
    "int": 3, "bool": True, "str": "a cup", "tuple[int, ...]": (1, 2), "tuple[int, int, int]": (2, 4, 4),
    "tuple[str, ...]": ("a notice",), "dict[str, float]": {"decoder": 1.5}, "PromptSet": PromptSet(2, (1,)),
    "EngineSettings": EngineSettings(model="fake"), "float | None": 0.5,
}  # fmt: skip
KINDS = (*get_args(messages.ToWorker), *get_args(messages.ToApplication))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not messages.LogSent])
def test_a_message_is_transferred_unchanged(kind: type) -> None:
    names = {each.name: each.type if isinstance(each.type, str) else None for each in fields(kind)}
    types = {name: text or inspect.formatannotation(kind.__annotations__[name]) for name, text in names.items()}
    sent = kind(**{name: VALUES[text.rsplit(".", 1)[-1] if "[" not in text else text] for name, text in types.items()})
    assert pickle.loads(pickle.dumps(sent)) == sent


def test_every_message_is_frozen_and_handled() -> None:
    listening = inspect.getsource(InferenceClient)
    serving = inspect.getsource(_InferenceServer)
    for kind in KINDS:
        assert is_dataclass(kind) and kind.__dataclass_params__.frozen
    for kind in get_args(messages.ToApplication):
        assert f"messages.{kind.__name__}" in listening and f"messages.{kind.__name__}(" in serving
    for kind in get_args(messages.ToWorker):
        assert f"case messages.{kind.__name__}(" in serving
