"""Pictures as prompts: from files, the clipboard, boxes and drops, and onto the screen."""

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QFileDialog

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.gui.prompts.thumbnails import (
    LONGEST_SIDE,
    clipboard_image,
    preview_html,
    prompt_image,
    read_prompt_image,
    square_thumbnail,
    to_qimage,
)
from clipseg_live.media.images.reader import read_image
from tests.helpers.gui.panel_tools import (
    a_picture,
    card,
    choose,
    click,
    drag_enter,
    item,
    make_panel,
    texts,
    top_level,
    wait_closed,
)
from tests.helpers.paths import DATA

P3 = DATA / "p3.png"
CONTROL = Qt.KeyboardModifier.ControlModifier


def an_image(width=40, height=20, colour="#c81e3c") -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(colour))
    return image


def a_file(folder, name="mug.png", image=None):
    path = folder / name
    assert (image or an_image()).save(str(path))
    return path


@pytest.fixture
def clipboard():
    """Put something into it; it is emptied afterwards."""
    clipboard = QGuiApplication.clipboard()
    yield clipboard
    clipboard.clear()


# ---- where they come from


def test_a_picture_from_a_file_by_the_rows_menu(qtbot, tmp_path):
    panel = make_panel(qtbot, "mug")
    assert not card(panel, 0).thumbnail.isVisible() and not card(panel, 0).image_weight.isVisible()
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Use image from file")
    take_file(qtbot, a_file(tmp_path))
    picture = panel.store.settings.rows[0].image
    assert (picture.width, picture.height) == (40, 20)
    assert card(panel, 0).thumbnail.isVisible() and card(panel, 0).image_weight.isVisible()


def test_a_picture_from_a_file_as_a_new_row(qtbot, tmp_path):
    panel = make_panel(qtbot, "mug")
    click(qtbot, panel.picture)
    choose(qtbot, "Use image from file")
    take_file(qtbot, a_file(tmp_path))
    assert texts(panel) == ["mug", ""]
    assert panel.store.settings.rows[1].image.width == 40
    assert not card(panel, 1).image_weight.isVisible()  # nothing to mix it with
    card(panel, 1).field.setFocus()
    qtbot.keyClicks(card(panel, 1).field, "cup")
    qtbot.keyClick(card(panel, 1).field, Qt.Key.Key_Return)
    assert card(panel, 1).image_weight.isVisible()


def take_file(qtbot, path):
    dialog = top_level(qtbot, QFileDialog)
    dialog.selectFile(str(path))
    dialog.accept()
    wait_closed(qtbot, dialog)


def test_a_file_that_is_no_picture_is_one_quiet_sentence(qtbot, tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    panel = make_panel(qtbot, "mug")
    card(panel, 0).field.setFocus()
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Use image from file")
    take_file(qtbot, path)
    assert panel.store.settings.rows[0].image is None
    assert panel.problem.isVisible() and panel.problem.text().startswith("notes.png is not an image")
    qtbot.keyClicks(card(panel, 0).field, "s")
    card(panel, 0).field.flush()
    assert not panel.problem.isVisible()


@pytest.mark.parametrize("row", [0, None])
def test_a_picture_from_the_clipboard(qtbot, clipboard, row):
    panel = make_panel(qtbot, "mug")
    clipboard.setImage(an_image(30, 50))
    click(qtbot, panel.picture if row is None else card(panel, 0).menu_button)
    choose(qtbot, "Use image from clipboard")
    picture = panel.store.settings.rows[-1].image
    assert (picture.width, picture.height) == (30, 50)
    assert len(panel.store.settings.rows) == (2 if row is None else 1)
    assert tuple(picture.pixels[0, 0]) == (200, 30, 60)


def test_an_empty_clipboard_is_said(qtbot, clipboard):
    panel = make_panel(qtbot, "mug")
    clipboard.clear()
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Use image from clipboard")
    assert panel.problem.text() == "The clipboard contains no image. Copy one first."
    assert panel.store.settings.rows[0].image is None


def test_pasting_a_picture_into_a_text_makes_it_the_rows(qtbot, clipboard):
    panel = make_panel(qtbot, "mug")
    clipboard.setImage(an_image())
    for field in (card(panel, 0).field, panel.field):
        field.setFocus()
        qtbot.keyClick(field, Qt.Key.Key_V, CONTROL)
    assert [row.image is not None for row in panel.store.settings.rows] == [True, True]
    clipboard.setText("cup")
    qtbot.keyClick(panel.field, Qt.Key.Key_V, CONTROL)
    assert panel.field.text() == "cup"


def test_a_box_is_asked_of_the_window(qtbot):
    panel = make_panel(qtbot, "a", "b")
    with qtbot.waitSignal(panel.box_requested) as requested:
        click(qtbot, card(panel, 1).menu_button)
        choose(qtbot, "Select object")
    assert requested.args == [1]
    panel.set_image(1, a_picture())
    assert panel.store.settings.rows[1].image == a_picture()
    with qtbot.waitSignal(panel.box_requested) as requested:
        click(qtbot, panel.picture)
        choose(qtbot, "Select object")
    assert requested.args == [None]
    panel.set_image(None, a_picture((1, 2, 3)))
    assert panel.store.settings.rows[2].image == a_picture((1, 2, 3))
    panel.set_image(77, a_picture())  # its row was deleted meanwhile
    assert len(panel.store.settings.rows) == 3


def test_the_thumbnail_opens_the_menu_and_a_picture_is_removed(qtbot):
    panel = make_panel(qtbot, "a")
    assert not item(card(panel, 0).menu(), "Remove image").isEnabled()
    panel.set_image(0, a_picture())
    click(qtbot, card(panel, 0).thumbnail)
    choose(qtbot, "Remove image")
    assert panel.store.settings.rows[0].image is None and not card(panel, 0).thumbnail.isVisible()
    panel.store.undo()
    assert panel.store.settings.rows[0].image == a_picture()


def test_the_thumbnail_shows_the_picture(qtbot):
    panel = make_panel(qtbot, "a")
    panel.set_image(0, a_picture((10, 200, 30)))
    middle = card(panel, 0).thumbnail.grab().toImage().pixelColor(13, 13)
    assert middle.getRgb()[:3] == (10, 200, 30)
    assert "data:image/png;base64," in card(panel, 0).thumbnail.toolTip()


# ---- drops


def drop(target, content: QMimeData) -> bool:
    """What Qt sends when it is dragged onto the widget and let go; whether the widget takes it."""
    index = QPoint(20, 10)
    enter = drag_enter(index, content)
    QApplication.sendEvent(target, enter)
    if enter.isAccepted():
        assert target.property("target")
        QApplication.sendEvent(
            target,
            QDropEvent(QPointF(index), enter.dropAction(), content, enter.buttons(), enter.modifiers()),
        )
    assert not target.property("target")
    return enter.isAccepted()


@pytest.mark.slow
def test_a_picture_file_is_dropped_onto_a_row_and_onto_the_new_row(qtbot, tmp_path):
    panel = make_panel(qtbot, "mug")
    content = QMimeData()
    content.setUrls([QUrl.fromLocalFile(str(a_file(tmp_path, "Mug.PNG")))])
    assert drop(card(panel, 0), content) and drop(panel.new_row, content)
    assert [row.image.width for row in panel.store.settings.rows] == [40, 40]
    assert texts(panel) == ["mug", ""]


def test_what_is_no_picture_is_left_to_others(qtbot):
    panel = make_panel(qtbot, "mug")
    video, words = QMimeData(), QMimeData()
    video.setUrls([QUrl.fromLocalFile("/clips/cat.mp4"), QUrl("https://example.org/cat.png")])
    words.setText("cup")
    assert not drop(card(panel, 0), video) and not drop(card(panel, 0), words)
    assert not panel.store.can_undo


def test_a_drag_that_goes_on_leaves_no_mark(qtbot):
    panel = make_panel(qtbot, "mug")
    content = QMimeData()
    content.setImageData(an_image())
    row = card(panel, 0)
    QApplication.sendEvent(row, drag_enter(QPoint(5, 5), content))
    assert row.property("target")
    QApplication.sendEvent(row, QDragLeaveEvent())
    assert not row.property("target")


# ---- images and pictures


def test_an_image_comes_back_as_it_was():
    pixels = np.random.default_rng(3).integers(0, 256, (7, 5, 3), np.uint8)  # rows that Qt pads
    image = QImage(5, 7, QImage.Format.Format_RGB32)
    for y in range(7):
        for x in range(5):
            image.setPixelColor(x, y, QColor(*(int(value) for value in pixels[y, x])))
    picture = prompt_image(image)
    assert np.array_equal(picture.pixels, pixels)
    assert to_qimage(picture).convertToFormat(QImage.Format.Format_RGB32) == image


def test_a_large_image_is_made_smaller_in_its_shape(tmp_path):
    picture = prompt_image(an_image(1536, 400))
    assert (picture.width, picture.height) == (LONGEST_SIDE, 200)
    picture = read_prompt_image(a_file(tmp_path, "tall.jpg", an_image(500, 2000)))
    assert (picture.width, picture.height) == (192, LONGEST_SIDE)
    assert (prompt_image(an_image(5000, 1)).width, prompt_image(an_image(5000, 1)).height) == (LONGEST_SIDE, 1)


def test_transparent_parts_lie_over_black():
    image = QImage(2, 1, QImage.Format.Format_ARGB32)
    image.setPixelColor(0, 0, QColor(255, 255, 255, 0))
    image.setPixelColor(1, 0, QColor(200, 100, 0, 128))
    left, right = prompt_image(image).pixels[0].astype(int)
    assert tuple(left) == (0, 0, 0)
    assert np.abs(right - (100, 50, 0)).max() <= 2


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    image = QImage(60, 30, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    for x in range(30):
        for y in range(30):
            image.setPixelColor(x, y, QColor("blue"))  # on the left: on top once it is turned clockwise
    path = a_file(tmp_path, "photo.jpg", image)
    data = path.read_bytes()
    exif = (
        b"Exif\0\0" + b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    )  # one entry: orientation 6, a quarter turn clockwise
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    picture = read_prompt_image(path)
    assert (picture.width, picture.height) == (30, 60)
    top, bottom = picture.pixels[10, 15], picture.pixels[50, 15]
    assert top[2] > 200 > top[0] and bottom[0] > 200 > bottom[2]


def test_what_cannot_be_a_picture_is_one_sentence(tmp_path):
    with pytest.raises(Failure, match=r"There is no file .*gone\.png\."):
        read_prompt_image(tmp_path / "gone.png")
    (tmp_path / "cut.png").write_bytes(a_file(tmp_path).read_bytes()[:60])
    with pytest.raises(Failure, match=r"cut\.png is not an image that can be read\."):
        read_prompt_image(tmp_path / "cut.png")
    with pytest.raises(UsageError, match="The image is empty"):
        prompt_image(QImage())
    with pytest.raises(UsageError, match="clipboard contains no image"):
        clipboard_image(None)


def test_a_file_copied_in_a_file_manager_is_a_picture(tmp_path):
    content = QMimeData()
    content.setUrls([QUrl.fromLocalFile(str(a_file(tmp_path)))])
    assert clipboard_image(content).width == 40


def test_profiles_are_converted_in_files_and_in_the_clipboard():
    """Display P3 to sRGB, as the same image is read everywhere else."""
    wanted = read_image(P3)
    from_file = read_prompt_image(P3)
    assert np.array_equal(from_file.pixels, wanted)
    from_clipboard = prompt_image(QImage(str(P3)))
    assert np.abs(from_clipboard.pixels.astype(int) - wanted).mean() < 1


def test_a_square_is_the_middle_and_a_preview_is_small():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (0, 255, 0)
    picture = prompt_image(QImage(pixels.tobytes(), 30, 10, 90, QImage.Format.Format_RGB888))
    square = square_thumbnail(picture, 24)
    assert (square.width(), square.height()) == (24, 24)
    assert square.pixelColor(1, 12).green() > 250 and square.pixelColor(22, 12).green() > 250
    assert 'width="192" height="96"' in preview_html(prompt_image(an_image(600, 300)))


def test_a_drawing_that_refers_to_other_files_is_refused(tmp_path):
    """Qt's own reader would draw them, whatever the drawing is called."""
    secret = QImage(8, 8, QImage.Format.Format_RGB32)
    secret.save(str(tmp_path / "secret.png"))
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    image = f'<image xlink:href="{tmp_path}/secret.png" width="8" height="8"/>'
    for name in ("x.svg", "x.png"):
        (tmp_path / name).write_text(f'<svg {names} width="8" height="8">{image}</svg>')
        with pytest.raises(Failure, match="is not an image that can be read"):
            read_prompt_image(tmp_path / name)
