"""Tables of detections: JSON lines with a line for each annotation, CSV with a row for each frame and prompt."""

import csv
import io
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TextIO

from clipseg_live.core.errors import ClipsegLiveError, SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.annotations import DEFAULT_ANNOTATIONS, InstanceRule
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.datasets.instances import annotations_of, empty_annotation
from clipseg_live.exporters.folder import check_labels, to_json, write_error
from clipseg_live.exporters.naming import FrameNames
from clipseg_live.media.atomic_output import AtomicOutput

logger = logging.getLogger(__name__)

HEADER_SUFFIX = ".header.json"
"""Suffix appended to the name of a table: the file that says how the table was made."""
CSV_COLUMNS = (
    "file", "frame", "time", "prompt", "threshold", "present", "presence", "probability", "area", "share", "components",
    "x", "y", "width", "height",
)  # fmt: skip
_BLOCK = 1 << 16


class TableSink(ABC):
    """Text file with the same columns, of the same types, in every line.

    The ``header`` (how the masks are made) would break the table. It is written to a separate file,
    ``NAME.jsonl.header.json``. A recording has no such file, because its header has no settings.
    """

    _preamble: ClassVar[str] = ""
    """Text before the first line."""

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, Any],
        overwrite: bool = False,
        live: bool = False,
        rule: InstanceRule = DEFAULT_ANNOTATIONS.instances,
    ) -> None:
        """Check the path.

        Args:
            path: the file.
            header: how the masks are made.
            overwrite: replace an existing file.
            live: see ``DataOptions``.
            rule: see ``AnnotationSettings.instances``.

        Raises:
            UsageError: if the path exists.
            SinkError: if its folder does not exist.
        """
        self.path = Path(path)
        self.notices: list[str] = []
        self._header, self._live, self._rule = dict(header), live, rule
        self._output = AtomicOutput(path, overwrite, visible=live)
        self._output.check()
        self._file: TextIO | None = None
        self._names = FrameNames()
        self._source = ""

    @classmethod
    def create(cls, path: Path, options: DataOptions) -> Self:
        """Return the exporter of a table, not yet opened."""
        return cls(path, options.header, options.overwrite, options.live, options.annotations.instances)

    def open(self, info: SourceInfo) -> None:
        """Start the file under a temporary name.

        Raises:
            SinkError: if the file cannot be started.
        """
        working = self._output.begin()
        self._names, self._source = FrameNames(), info.name
        try:
            self._file = working.open("w", encoding="utf-8", newline="", buffering=1 if self._live else -1)
            self._put(self._preamble)
        except OSError as error:
            raise write_error(self.path, error) from error

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame with its mattes, one for each label.

        Raises:
            SinkError: if the frame cannot be written.
        """
        frame, mattes, labels = rendered.frame, rendered.mattes, rendered.labels
        check_labels(self.path, mattes, labels)
        if self._file is None:
            raise SinkError(f"{self.path.name} is not open.")
        file = self._names.file(frame, self._source)
        try:
            for line in self._lines(file, frame, mattes, labels):
                self._put(line)
        except OSError as error:
            raise write_error(self.path, error) from error

    def finish(self) -> None:
        """Complete the file and move it to its path.

        Raises:
            SinkError: if the file cannot be completed.
        """
        if self._file is None:
            raise SinkError(f"{self.path.name} is not open.")
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self.path, error) from error
        self._output.commit()
        self._file = None
        if self._header and not self._live:
            self._write_header()

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop and delete the file, or keep it as ``NAME.partial.SUFFIX``. Never raises."""
        file, self._file = self._file, None
        kept = None
        if file is not None:
            try:
                file.close()
                kept = self._output.keep_partial() if keep_partial else None
            except OSError:
                logger.warning("A table could not be kept", exc_info=True)
                kept = None
        self._output.discard()
        return kept

    @abstractmethod
    def _lines(self, file: str, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> Iterator[str]:
        """Yield the lines of a frame, with their line breaks."""

    def _put(self, text: str) -> None:
        if self._file is None:
            raise SinkError(f"{self.path.name} is not open.")
        self._file.write(text)

    def _write_header(self) -> None:
        path = self.path.with_name(self.path.name + HEADER_SUFFIX)
        output = AtomicOutput(path, overwrite=True)
        try:
            output.begin().write_text(to_json(self._header, indent=1) + "\n", encoding="utf-8")
            output.commit()
        except (OSError, ClipsegLiveError):
            logger.warning("The header of a table could not be written", exc_info=True)
            self.notices.append(f"{path.name}, which describes how {self.path.name} was made, could not be written.")
        finally:
            output.discard()


class JsonLinesMaskSink(TableSink):
    """JSON lines: one object for each annotation, and one for each prompt that was not detected in a frame.

    Each object has these fields:

    file: name of the photo, or of the source.
    frame: index of the frame.
    time: time of the frame in seconds.
    prompt: name of the prompt.
    instance: number of the annotation within its frame and prompt, from 1; 0 if the prompt was not detected.
    threshold: threshold of the prompt.
    rle: ``{"size": [height, width], "counts": "..."}`` in COCO's compressed form.
    area: pixels of the mask.
    box: [x, y, width, height] of the mask.
    probability: mean probability inside the mask.
    presence: confidence that the prompt is in the frame, 0 to 1.

    Area, box and probability are 0 if the prompt was not detected. A pixel belongs to the mask where the matte is at
    least one half.
    """

    def _lines(self, file: str, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> Iterator[str]:
        for number, label in enumerate(labels):
            annotations = annotations_of(frame, mattes, number, self._rule)
            for instance, annotation in enumerate(
                annotations or [empty_annotation(frame, mattes, number)], start=bool(annotations)
            ):
                entry = {
                    "file": file,
                    "frame": frame.index,
                    "time": float(frame.time),
                    "prompt": label.name,
                    "instance": instance,
                    "threshold": float(label.threshold),
                    "rle": annotation.rle(),
                    "area": annotation.area,
                    "box": list(annotation.box),
                    "probability": annotation.probability,
                    "presence": annotation.presence,
                }
                yield to_json(entry) + "\n"


class CsvSink(TableSink):
    """CSV (RFC 4180, UTF-8) with a row for each frame and prompt, and the columns of ``CSV_COLUMNS``.

    Other columns than these are the same as in JSON lines:

    present: true if the mask is not empty.
    area: pixels of the mask.
    share: area as a share of the frame, 0 to 1.
    components: number of connected components of the mask.
    x, y, width, height: box of the mask.
    """

    _preamble = ",".join(CSV_COLUMNS) + "\r\n"

    def _lines(self, file: str, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> Iterator[str]:
        for number, label in enumerate(labels):
            parts = len(annotations_of(frame, mattes, number, "component"))
            masks = annotations_of(frame, mattes, number, "prompt")
            annotation = masks[0] if masks else empty_annotation(frame, mattes, number)
            share = annotation.area / (frame.width * frame.height)
            yield _row(
                file, frame.index, float(frame.time), label.name, float(label.threshold), "true" if masks else "false",
                annotation.presence, annotation.probability, annotation.area, f"{share:.8f}", parts, *annotation.box,
            )  # fmt: skip


def cut_to_whole_rows(path: Path) -> bool:
    """Remove an incomplete last row from a CSV file; return False if nothing is left.

    Quoted fields may contain line breaks.

    Raises:
        OSError: if the file cannot be read or changed.
    """
    with path.open("rb+") as file:
        position = end = 0
        in_quotes = False
        while block := file.read(_BLOCK):
            for number, text in enumerate(block.split(b'"')):
                if number:
                    in_quotes = not in_quotes
                    position += 1
                if not in_quotes and b"\n" in text:
                    end = position + text.rindex(b"\n") + 1
                position += len(text)
        file.truncate(end)
        return file.seek(0, os.SEEK_END) > 0


def _row(*values: object) -> str:
    memory = io.StringIO()
    csv.writer(memory).writerow(values)
    return memory.getvalue()
