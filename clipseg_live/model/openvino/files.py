"""Files of a converted model."""

import json
from dataclasses import dataclass
from pathlib import Path

VISION_ENCODER = "vision.xml"
DECODER = "decoder.xml"
IMAGE_ENCODER = "image.xml"
TEXT_WEIGHTS = "text.npy"
TEXT_LAYOUT = "text.json"
POSITIONS = "positions.npy"
TOKENIZER = "tokenizer.json"
GEOMETRY = "geometry.json"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes and tokens of a converted model.

    Attributes:
        patch: side of a patch in pixels.
        scale: pixels of a probability map along one token.
        embedding_size: length of conditional embeddings.
        text_limit: largest number of tokens of a text.
        padding: id of the padding token.
    """

    patch: int
    scale: int
    embedding_size: int
    text_limit: int
    padding: int

    @staticmethod
    def read(folder: Path) -> "Geometry":
        """Read the file in a folder.

        Raises:
            Exception: any error of a damaged file.
        """
        return Geometry(**json.loads((folder / GEOMETRY).read_text(encoding="utf-8")))
