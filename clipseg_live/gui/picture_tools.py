"""Tools of the canvas: the box of a crop or of a prompt, and the line of a wipe."""

from PySide6.QtCore import QObject, QRectF, Signal

from clipseg_live.core.frame import Pixels
from clipseg_live.core.settings.effects import Wipe, is_private
from clipseg_live.core.settings.live import PromptImage
from clipseg_live.core.status import Message
from clipseg_live.gui.canvas.toasts import FRAME_TOPIC
from clipseg_live.gui.main_layout import WindowBody
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.settings_store import Store

_CROP = "crop"
_LARGEST_PROMPT = 1024


class PictureTools(QObject):
    """Converts boxes and the line of a wipe to settings.

    Attributes:
        message: signal with a Message for the user.
    """

    message = Signal(object)

    def __init__(self, body: WindowBody, store: Store, services: Services) -> None:
        super().__init__(body)
        self._body = body
        self._store = store
        self._services = services
        body.canvas.box_tool.drawn.connect(self._use_box)
        body.canvas.wipe_tool.moved.connect(self._move_wipe)
        body.canvas.wipe_tool.released.connect(store.end_merge)
        body.framing_menu.crop_requested.connect(self.begin_crop)
        body.prompts.box_requested.connect(self.begin_prompt)

    def begin_crop(self) -> None:
        """Let the user draw a box for the crop of the source."""
        self._begin(_CROP)

    def begin_prompt(self, row_id: object = None) -> None:
        """Let the user draw a box for the image of a row; None for a new row."""
        self._begin(("prompt", row_id))

    def _begin(self, purpose: object) -> None:
        if self._body.canvas.frame is None:
            self.message.emit(Message(FRAME_TOPIC, self.tr("There is no frame to draw a box on yet."), "warning"))
        elif purpose != _CROP and is_private(self._store.settings.effects):
            text = self.tr("A box would reveal what the privacy effects hide. Remove Pixelate and Black out first.")
            self.message.emit(Message("box", text, "warning"))
        else:
            self._body.toasts.remove("box")
            self._body.canvas.box_tool.begin(purpose, on_original=purpose != _CROP)

    def _use_box(self, purpose: object, box: QRectF) -> None:
        picture = self._body.canvas.frame
        if purpose == _CROP:
            framing = self._store.settings.framing
            crop = self._services.crop_of((box.x(), box.y(), box.width(), box.height()), framing)
            self._store.update(framing=framing.model_copy(update={"crop": crop}))
        elif isinstance(purpose, tuple) and picture is not None:
            self._body.show_tab(0)
            image = crop_prompt_image(picture.original, box)
            if purpose[1] is None:
                self._body.prompts.add_crop(image)
            else:
                self._body.prompts.set_image(purpose[1], image)

    def _move_wipe(self, position: float) -> None:
        effects = self._store.settings.effects
        index = next((index for index, effect in enumerate(effects) if isinstance(effect, Wipe)), None)
        if index is not None:
            self._store.update("wipe", effects=(*effects[:index], Wipe(at=position), *effects[index + 1 :]))


def crop_prompt_image(pixels: Pixels, box: QRectF) -> PromptImage:
    """Return the part of a frame in a box as the image of a prompt.

    The image has at least one pixel. Large images are subsampled.

    Args:
        pixels: uint8 (height, width, 3).
        box: the box in shares (0 to 1) of the frame.
    """
    height, width = pixels.shape[:2]
    left, top = min(int(box.left() * width), width - 1), min(int(box.top() * height), height - 1)
    right, bottom = max(round(box.right() * width), left + 1), max(round(box.bottom() * height), top + 1)
    part = pixels[top:bottom, left:right]
    step = -(-max(part.shape[:2]) // _LARGEST_PROMPT)
    return PromptImage.of(part[::step, ::step])
