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


def track_pixels(track: Track, shot: RenderedFrame) -> Pixels:
    """Return the image of a track, uint8 (height, width, 3).

    Mattes are white on black, the largest of all prompts at each pixel.
    """
    if track == "composed":
        return shot.composed
    if track == "camera":
        return shot.original
    mattes = shot.mattes
    alpha = np.zeros((shot.height, shot.width), np.uint8) if mattes is None else union_of(mattes).alpha
    return np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB))


def fit_frame(shot: RenderedFrame, width: int, height: int) -> RenderedFrame:
    """Return the frame fitted to another size, centred, with black bars (empty ones in mattes)."""
    mattes = shot.mattes
    fitted = tuple(Matte(letterbox(matte.alpha, width, height), ((0, 0, width, height),)) for matte in mattes.each)
    maps = tuple(letterbox(part, width, height) for part in mattes.maps)
    mattes = replace(mattes, height=height, width=width, each=fitted, maps=np.stack(maps) if maps else mattes.maps)
    composed = letterbox(shot.composed, width, height)
    original = composed if shot.original is shot.composed else letterbox(shot.original, width, height)
    frame = replace(shot.frame, pixels=original, file=None)  # the file has other pixels
    return replace(shot, frame=frame, composed=composed, mattes=mattes)
