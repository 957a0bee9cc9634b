"""Images of the tracks of a recording, and frames fitted to the size of a file."""

from dataclasses import replace

import cv2
import numpy as np

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Matte
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.recording import Track
from clipseg_live.imaging.letterbox import letterbox
from clipseg_live.rendering.blending import union_of


def track_pixels(track: Track, rendered: RenderedFrame) -> Pixels:
    """Return the image of a track, uint8 (height, width, 3).

    Mattes are white on black, the largest of all prompts at each pixel.
    """
    if track == "composed":
        return rendered.composed
    if track == "camera":
        return rendered.original
    mattes = rendered.mattes
    alpha = np.zeros((rendered.height, rendered.width), np.uint8) if mattes is None else union_of(mattes).alpha
    return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB))


def fit_frame(rendered: RenderedFrame, width: int, height: int) -> RenderedFrame:
    """Return the frame fitted to another size, centred, with black bars (empty ones in mattes)."""
    mattes = rendered.mattes
    fitted_mattes = tuple(
        Matte(letterbox(matte.alpha, width, height), ((0, 0, width, height),)) for matte in mattes.each
    )
    maps = tuple(letterbox(part, width, height) for part in mattes.maps)
    mattes = replace(
        mattes, height=height, width=width, each=fitted_mattes, maps=np.stack(maps) if maps else mattes.maps
    )
    composed = letterbox(rendered.composed, width, height)
    original = composed if rendered.original is rendered.composed else letterbox(rendered.original, width, height)
    frame = replace(rendered.frame, pixels=original, file=None)  # the file has other pixels
    return replace(rendered, frame=frame, composed=composed, mattes=mattes)
