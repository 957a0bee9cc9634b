"""Image prompts: from files, the clipboard, boxes and drops, and their display."""

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QFileDialog

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.prompts import Prompt
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
    card,
    choose,
    click,
    drag_enter,
    item,
    make_panel,
    sample_image,
    texts,
    top_level,
    wait_closed,
)
from tests.helpers.paths import DATA

P3 = DATA / "p3.png"
CONTROL = Qt.KeyboardModifier.ControlModifier


def make_image(width=40, height=20, colour="#c81e3c") -> QImage:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(colour))
    return image


def make_file(folder, name="mug.png", image=None):
    path = folder / name
    assert (image or make_image()).save(str(path))
    return path


@pytest.fixture
def clipboard():
    """Put content into the clipboard. It is emptied afterwards."""
    clipboard = QGuiApplication.clipboard()
    yield clipboard
    clipboard.clear()


# ---- sources of images


@pytest.mark.slow
def test_an_image_file_is_added_by_the_row_menu(qtbot, tmp_path):
    panel = make_panel(qtbot, "mug")
    assert not card(panel, 0).thumbnail.isVisible() and not card(panel, 0).image_weight.isVisible()
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Use image from file")
    choose_file(qtbot, make_file(tmp_path))
    picture = panel.store.settings.rows[0].image
    assert (picture.width, picture.height) == (40, 20)
    assert card(panel, 0).thumbnail.isVisible() and card(panel, 0).image_weight.isVisible()


@pytest.mark.slow
def test_an_image_file_is_added_as_a_new_row(qtbot, tmp_path):
    panel = make_panel(qtbot, "mug")
    click(qtbot, panel.picture)
    choose(qtbot, "Use image from file")
    choose_file(qtbot, make_file(tmp_path))
    assert texts(panel) == ["mug", ""]
    assert panel.store.settings.rows[1].image.width == 40
    assert not card(panel, 1).image_weight.isVisible()  # no text to mix with
    card(panel, 1).field.setFocus()
    qtbot.keyClicks(card(panel, 1).field, "cup")
    qtbot.keyClick(card(panel, 1).field, Qt.Key.Key_Return)
    assert card(panel, 1).image_weight.isVisible()


def choose_file(qtbot, path):
    dialog = top_level(qtbot, QFileDialog)
    dialog.selectFile(str(path))
    dialog.accept()
    wait_closed(qtbot, dialog)


def test_a_file_that_is_not_an_image_gives_a_one_sentence_notice(qtbot, tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    panel = make_panel(qtbot, "mug")
    card(panel, 0).field.setFocus()
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Use image from file")
    choose_file(qtbot, path)
    assert panel.store.settings.rows[0].image is None
    assert panel.problem.isVisible() and panel.problem.text().startswith("notes.png is not an image")
    qtbot.keyClicks(card(panel, 0).field, "s")
    card(panel, 0).field.flush()
    assert not panel.problem.isVisible()


@pytest.mark.parametrize("row", [0, None])
def test_an_image_is_pasted_from_the_clipboard(qtbot, clipboard, row):
    panel = make_panel(qtbot, "mug")
    clipboard.setImage(make_image(30, 50))
    click(qtbot, panel.picture if row is None else card(panel, 0).menu_button)
    choose(qtbot, "Use image from clipboard")
    picture = panel.store.settings.rows[-1].image
    assert (picture.width, picture.height) == (30, 50)
    assert len(panel.store.settings.rows) == (2 if row is None else 1)
    assert tuple(picture.pixels[0, 0]) == (200, 30, 60)


def test_an_empty_clipboard_is_reported(qtbot, clipboard):
    panel = make_panel(qtbot, "mug")
    clipboard.clear()
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Use image from clipboard")
    assert panel.problem.text() == "The clipboard contains no image. Copy one first."
    assert panel.store.settings.rows[0].image is None


def test_pasting_an_image_into_a_field_sets_the_image_of_the_row(qtbot, clipboard):
    panel = make_panel(qtbot, "mug")
    clipboard.setImage(make_image())
    for field in (card(panel, 0).field, panel.field):
        field.setFocus()
        qtbot.keyClick(field, Qt.Key.Key_V, CONTROL)
    assert [row.image is not None for row in panel.store.settings.rows] == [True, True]
    clipboard.setText("cup")
    qtbot.keyClick(panel.field, Qt.Key.Key_V, CONTROL)
    assert panel.field.text() == "cup"


def test_a_box_is_requested_from_the_window(qtbot):
    panel = make_panel(qtbot, "a", "b")
    with qtbot.waitSignal(panel.box_requested) as requested:
        click(qtbot, card(panel, 1).menu_button)
        choose(qtbot, "Select object")
    assert requested.args == [1]
    panel.set_image(1, sample_image())
    assert panel.store.settings.rows[1].image == sample_image()
    with qtbot.waitSignal(panel.box_requested) as requested:
        click(qtbot, panel.picture)
        choose(qtbot, "Select object")
    assert requested.args == [None]
    panel.set_image(None, sample_image((1, 2, 3)))
    assert panel.store.settings.rows[2].image == sample_image((1, 2, 3))
    panel.set_image(77, sample_image())  # its row was deleted
    assert len(panel.store.settings.rows) == 3


def test_a_new_crop_has_a_name_that_is_selected_for_typing(qtbot):
    panel = make_panel(qtbot, "a", "crop 1")
    panel.add_crop(sample_image())
    row = panel.store.settings.rows[2]
    assert row.text == "crop 2" and row.image == sample_image()
    assert row.prompt.label == "crop 2" and row.prompt.key == Prompt.image(sample_image().pixels).key  # the image alone
    field = card(panel, 2).field
    qtbot.waitUntil(field.hasFocus)
    assert field.selectedText() == "crop 2"
    qtbot.keyClicks(field, "mug")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.store.settings.rows[2].text == "mug" and panel.store.settings.rows[2].prompt.key == row.prompt.key
    for _ in range(2):
        panel.store.undo()
    assert len(panel.store.settings.rows) == 2


def test_a_crop_for_a_full_list_is_refused(qtbot):
    panel = make_panel(qtbot, *(f"{number}" for number in range(16)))
    panel.add_crop(sample_image())
    assert len(panel.store.settings.rows) == 16 and panel.problem.isVisible()


def test_the_menu_of_the_thumbnail_removes_the_image(qtbot):
    panel = make_panel(qtbot, "a")
    assert not item(card(panel, 0).menu(), "Remove image").isEnabled()
    panel.set_image(0, sample_image())
    click(qtbot, card(panel, 0).thumbnail)
    choose(qtbot, "Remove image")
    assert panel.store.settings.rows[0].image is None and not card(panel, 0).thumbnail.isVisible()
    panel.store.undo()
    assert panel.store.settings.rows[0].image == sample_image()


def test_the_thumbnail_shows_the_image(qtbot):
    panel = make_panel(qtbot, "a")
    panel.set_image(0, sample_image((10, 200, 30)))
    middle = card(panel, 0).thumbnail.grab().toImage().pixelColor(13, 13)
    assert middle.getRgb()[:3] == (10, 200, 30)
    assert "data:image/png;base64," in card(panel, 0).thumbnail.toolTip()


# ---- drops


def drop(target, content: QMimeData) -> bool:
    """Send the events of a drag onto the widget and a drop. Return whether the widget accepts it."""
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
def test_image_files_can_be_dropped_onto_rows(qtbot, tmp_path):
    panel = make_panel(qtbot, "mug")
    content = QMimeData()
    content.setUrls([QUrl.fromLocalFile(str(make_file(tmp_path, "Mug.PNG")))])
    assert drop(card(panel, 0), content) and drop(panel.new_row, content)
    assert [row.image.width for row in panel.store.settings.rows] == [40, 40]
    assert texts(panel) == ["mug", ""]


def test_other_files_are_not_accepted(qtbot):
    panel = make_panel(qtbot, "mug")
    video, words = QMimeData(), QMimeData()
    video.setUrls([QUrl.fromLocalFile("/clips/cat.mp4"), QUrl("https://example.org/cat.png")])
    words.setText("cup")
    assert not drop(card(panel, 0), video) and not drop(card(panel, 0), words)
    assert not panel.store.can_undo


def test_a_drag_that_leaves_removes_the_highlight(qtbot):
    panel = make_panel(qtbot, "mug")
    content = QMimeData()
    content.setImageData(make_image())
    row = card(panel, 0)
    QApplication.sendEvent(row, drag_enter(QPoint(5, 5), content))
    assert row.property("target")
    QApplication.sendEvent(row, QDragLeaveEvent())
    assert not row.property("target")


# ---- images


def test_an_image_is_restored_exactly():
    pixels = np.random.default_rng(3).integers(0, 256, (7, 5, 3), np.uint8)  # rows with padding by Qt
    image = QImage(5, 7, QImage.Format.Format_RGB32)
    for y in range(7):
        for x in range(5):
            image.setPixelColor(x, y, QColor(*(int(value) for value in pixels[y, x])))
    picture = prompt_image(image)
    assert np.array_equal(picture.pixels, pixels)
    assert to_qimage(picture).convertToFormat(QImage.Format.Format_RGB32) == image


def test_a_large_image_is_scaled_down_with_its_aspect_ratio(tmp_path):
    picture = prompt_image(make_image(1536, 400))
    assert (picture.width, picture.height) == (LONGEST_SIDE, 200)
    picture = read_prompt_image(make_file(tmp_path, "tall.jpg", make_image(500, 2000)))
    assert (picture.width, picture.height) == (192, LONGEST_SIDE)
    assert (prompt_image(make_image(5000, 1)).width, prompt_image(make_image(5000, 1)).height) == (LONGEST_SIDE, 1)


def test_transparent_parts_are_composited_on_black():
    image = QImage(2, 1, QImage.Format.Format_ARGB32)
    image.setPixelColor(0, 0, QColor(255, 255, 255, 0))
    image.setPixelColor(1, 0, QColor(200, 100, 0, 128))
    left, right = prompt_image(image).pixels[0].astype(int)
    assert tuple(left) == (0, 0, 0)
    assert np.abs(right - (100, 50, 0)).max() <= 2


def test_the_orientation_of_a_photo_is_applied(tmp_path):
    image = QImage(60, 30, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    for x in range(30):
        for y in range(30):
            image.setPixelColor(x, y, QColor("blue"))  # on the left; on top after the clockwise rotation
    path = make_file(tmp_path, "photo.jpg", image)
    data = path.read_bytes()
    exif = (
        b"Exif\0\0" + b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    )  # one entry: orientation 6, a quarter turn clockwise
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    picture = read_prompt_image(path)
    assert (picture.width, picture.height) == (30, 60)
    top, bottom = picture.pixels[10, 15], picture.pixels[50, 15]
    assert top[2] > 200 > top[0] and bottom[0] > 200 > bottom[2]


def test_other_files_give_a_one_sentence_error(tmp_path):
    with pytest.raises(Failure, match=r"There is no file .*gone\.png\."):
        read_prompt_image(tmp_path / "gone.png")
    (tmp_path / "cut.png").write_bytes(make_file(tmp_path).read_bytes()[:60])
    with pytest.raises(Failure, match=r"cut\.png is not an image that can be read\."):
        read_prompt_image(tmp_path / "cut.png")
    with pytest.raises(UsageError, match="The image is empty"):
        prompt_image(QImage())
    with pytest.raises(UsageError, match="clipboard contains no image"):
        clipboard_image(None)


def test_a_file_copied_in_a_file_manager_can_be_pasted(tmp_path):
    content = QMimeData()
    content.setUrls([QUrl.fromLocalFile(str(make_file(tmp_path)))])
    assert clipboard_image(content).width == 40


def test_profiles_of_files_and_the_clipboard_are_converted():
    """Display P3 is converted to sRGB, as everywhere else."""
    wanted = read_image(P3)
    from_file = read_prompt_image(P3)
    assert np.array_equal(from_file.pixels, wanted)
    from_clipboard = prompt_image(QImage(str(P3)))
    assert np.abs(from_clipboard.pixels.astype(int) - wanted).mean() < 1


def test_a_thumbnail_is_the_centre_square_and_a_preview_is_small():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (0, 255, 0)
    picture = prompt_image(QImage(pixels.tobytes(), 30, 10, 90, QImage.Format.Format_RGB888))
    square = square_thumbnail(picture, 24)
    assert (square.width(), square.height()) == (24, 24)
    assert square.pixelColor(1, 12).green() > 250 and square.pixelColor(22, 12).green() > 250
    assert 'width="192" height="96"' in preview_html(prompt_image(make_image(600, 300)))


def test_an_svg_with_external_files_is_rejected(tmp_path):
    """Qt's reader would render them, for any file name."""
    secret = QImage(8, 8, QImage.Format.Format_RGB32)
    secret.save(str(tmp_path / "secret.png"))
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    image = f'<image xlink:href="{tmp_path}/secret.png" width="8" height="8"/>'
    for name in ("x.svg", "x.png"):
        (tmp_path / name).write_text(f'<svg {names} width="8" height="8">{image}</svg>')
        with pytest.raises(Failure, match="is not an image that can be read"):
            read_prompt_image(tmp_path / name)
