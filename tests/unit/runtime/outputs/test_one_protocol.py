"""All outputs have the methods of one protocol."""

import inspect

import pytest

from clipseg_live.core.protocols import Output
from clipseg_live.exporters.alpha_video import WriterSink
from clipseg_live.exporters.animation import AnimationSink
from clipseg_live.exporters.contact_sheet import ContactSheetSink
from clipseg_live.exporters.folder import FolderSink
from clipseg_live.exporters.mask_video import MaskVideoFolder
from clipseg_live.exporters.registry import SelectedFrames
from clipseg_live.exporters.tables import TableSink
from clipseg_live.media.images.photo_writer import PhotoWriter
from clipseg_live.media.images.writers import ImageWriter
from clipseg_live.media.virtual_camera import VirtualCamera
from clipseg_live.media.writers.recording import RecordingWriter
from clipseg_live.media.writers.replay_buffer import ReplayBuffer
from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.fakes import FakeOutput, FakeReplaySink, FakeSink, FakeTrack

OUTPUTS = (
    VideoWriter, ImageWriter, PhotoWriter, RecordingWriter, ReplayBuffer, VirtualCamera, TableSink, FolderSink,
    MaskVideoFolder, WriterSink, AnimationSink, ContactSheetSink, SelectedFrames, FakeSink, FakeTrack, FakeReplaySink,
    FakeOutput,
)  # fmt: skip


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("name", ["open", "write", "finish", "abort"])
def test_every_output_has_the_methods_of_the_protocol(kind: type, name: str) -> None:
    asked, given = (inspect.signature(getattr(one, name)).parameters.values() for one in (Output, kind))
    assert [(each.name, each.default) for each in given] == [(each.name, each.default) for each in asked]
