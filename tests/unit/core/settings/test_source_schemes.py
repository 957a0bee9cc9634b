"""Sources with a scheme: built-in ones, those of packages, and broken ones."""

import logging
import sys
from fractions import Fraction

import pytest

from clipseg_live.app.export import open_named_source
from clipseg_live.app.session import open_session_source
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.settings.plugins import PluginError
from clipseg_live.core.settings.source_schemes import (
    SOURCE_SCHEMES,
    SourceRequest,
    SourceScheme,
    find_scheme,
    open_by_scheme,
)
from clipseg_live.demo.source import DEMO_SECONDS, open_demo


class Device:
    """A live source."""

    live = True


def open_device(request: SourceRequest) -> Device:
    """Return a live source, or raise the error that the name requests."""
    if request.name.endswith("usage"):
        raise UsageError("There is no such device.")
    if request.name.endswith("fault"):
        raise RuntimeError("no answer from http://me:secret@host")
    return Device()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SourceScheme:
    scheme = SourceScheme(name="device", opener="device_package:open_device")
    monkeypatch.setitem(sys.modules, "device_package", sys.modules[__name__])
    monkeypatch.setitem(SOURCE_SCHEMES._loaded, "device", scheme)
    monkeypatch.setattr(SOURCE_SCHEMES, "_entries", {})
    return scheme


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("demo:", "demo"), ("demo:still:7", "demo"), ("device:1", "device"), ("camera:0", None), ("screen:", None),
        ("rtsp://host/demo", None), ("demo://x", None), ("C:\\film.mp4", None), ("film.mp4", None), ("other:1", None),
        ("https:x", None), ("Demo:", None),
    ],
)  # fmt: skip
def test_a_scheme_is_the_prefix_of_a_name(device: SourceScheme, name: str, scheme: str | None) -> None:
    found = find_scheme(name)
    assert (None if found is None else found.name) == scheme


def test_demo_scenes_have_an_end_only_in_exports() -> None:
    assert open_demo(SourceRequest(name="demo:", endless=True)).frame_count is None
    assert open_demo(SourceRequest(name="demo:")).frame_count == DEMO_SECONDS * 30
    part = open_demo(SourceRequest(name="demo:", start=Fraction(1), end=Fraction(3), rate=Fraction(10)))
    assert part.frame_count == 20
    assert open_named_source("demo:", end=Fraction(1)).frame_count == 30  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="--sequence needs a folder"):
        open_named_source("demo:", sequence=Fraction(25))


def test_a_live_source_cannot_be_exported(device: SourceScheme) -> None:
    assert isinstance(open_session_source(SourceSpec(name=SourceName("device:1"))), Device)
    with pytest.raises(UsageError, match="device:1 is a live source, and export reads files: record it"):
        open_named_source("device:1")


def test_errors_of_a_package_are_one_sentence(device: SourceScheme, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match=r"^There is no such device\.$"):
        open_by_scheme(device, SourceRequest(name="device:usage"))
    assert not caplog.records
    with pytest.raises(SourceError) as raised:
        open_by_scheme(device, SourceRequest(name="device:fault"))
    assert str(raised.value).startswith("The source device: cannot be opened: RuntimeError, no answer from http://")
    assert "secret" not in str(raised.value)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info is not None


@pytest.mark.parametrize(
    ("name", "part", "reason"),
    [
        ("device", 3, "not a SourceScheme"),
        ("gadget", SourceScheme(name="device", opener="a:b"), "must be the same name"),
        ("camera", SourceScheme(name="camera", opener="a:b"), "opened by clipseg-live itself"),
        ("rtsp", SourceScheme(name="rtsp", opener="a:b"), "opened by clipseg-live itself"),
        ("x", SourceScheme(name="x", opener="a:b"), "must be the same name"),
        ("device", SourceScheme(name="device", opener="a:b", interface=2), "made for interface 2"),
    ],
)
def test_a_scheme_of_a_package_is_validated(name: str, part: object, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        SOURCE_SCHEMES._accept(name, part)
