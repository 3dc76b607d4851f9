"""Contact sheets: what is said of each picture, what is left out, and names of any length and script."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import predict
from pipeline.inference import contact_sheet as sheets
from pipeline.inference.contact_sheet import ContactSheet, format_caption
from pipeline.inference.fonts import (
    BOLD_FONT,
    MISSING_GLYPH,
    REGULAR_FONT,
    choose_font,
    load_fonts,
    truncate_to_width,
    wrap_text,
)
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import NumberHead, SigmoidsHead, SoftmaxHead
from tests.data.test_image_folder import picture

CLASSES = SoftmaxHead("softmax", ("cat", "dog"))
LABELS = SigmoidsHead("sigmoids", ("cat", "lion", "iguana", "dog", "horse", "cow"))
RED, GREY = (255, 0, 0), (242, 242, 242)


def red(folder: Path, name: str, shape: tuple[int, int] = (60, 30)) -> Prediction:
    """A red picture, and an answer for it."""
    Image.new("RGB", shape, "red").save(folder / name, format="PNG")
    return Prediction(name, (0.75, 0.25), "cat", image_file=folder / name)


def shape(file: Path) -> tuple[int, int]:
    with Image.open(file, formats=["PNG"]) as opened:
        return opened.size


def filled(*answers: Prediction) -> ContactSheet:
    sheet = ContactSheet("cat_species", CLASSES)
    for answer in answers:
        sheet.add(answer)
    return sheet


def test_each_picture_is_on_the_sheet_whole_and_as_large_as_its_place(tmp_path: Path) -> None:
    drawn = filled(red(tmp_path, "wide.png"), red(tmp_path, "high.png", (20, 80))).render()
    pixels = np.asarray(drawn)[50:290]  # where the tiles are, without title and captions
    assert drawn.mode == "RGB"
    assert (pixels == RED).all(axis=2).sum() == 240 * 120 + 60 * 240
    assert (pixels == GREY).all(axis=2).sum() == 240 * 120 + 180 * 240


def test_answer_is_said_with_how_sure_it_is() -> None:
    assert format_caption(CLASSES, Prediction("a", (0.75, 0.25), "cat")) == [("cat", "0.75")]
    assert format_caption(NumberHead("number", "relu", "l1", "years"), Prediction("a", (4.25,), "4.25 years")) == [
        ("4.25 years", "")
    ]
    two = Prediction("a", (0.6, 0.9, 0.1, 0.2, 0.3, 0.5), "cat + lion")
    assert format_caption(LABELS, two) == [("lion", "0.90"), ("cat", "0.60")]
    assert format_caption(LABELS, Prediction("a", (0.1,) * 6, "none")) == [("none", "")]
    assert format_caption(LABELS, Prediction("a", (0.9,) * 6, "cat + ..."))[3:] == [("and 3 more", "")]


def test_what_cannot_be_read_is_an_empty_tile_with_the_reason(tmp_path: Path) -> None:
    reason = "33,000 x 33,000 pixels; at most 64,000,000 are read"
    broken = Prediction("broken.png", error=reason, image_file=tmp_path / "broken.png")
    pixels = np.asarray(filled(broken).render())[60:280, 30:250]
    assert not (pixels == RED).all(axis=2).any()
    assert 0.9 < (pixels == GREY).all(axis=2).mean() < 0.995  # there is text in it
    assert filled(broken, Prediction("empty", error="no image in this folder")).summary == "1 image"


def test_picture_that_has_gone_meanwhile_is_an_empty_tile(tmp_path: Path) -> None:
    gone = red(tmp_path, "gone.png")
    (tmp_path / "gone.png").unlink()
    assert not (np.asarray(filled(gone).render()) == RED).all(axis=2).any()


def test_more_than_the_most_are_counted_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_IMAGES", 4)
    sheet = filled(*[red(tmp_path, f"{number}.png") for number in range(6)])
    assert sheet.summary == "4 images, the first of 6 (2 omitted)"
    assert (np.asarray(sheet.render()) == RED).all(axis=2).sum() == 4 * 240 * 120


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (24, 6, 4), (400, 12, 34)]
)
def test_columns_are_sensible(count: int, columns: int, rows: int) -> None:
    grid = sheets._TileGrid(count, 1)
    assert grid.columns == columns
    assert grid.tile_corner(count - 1)[1] == grid.tile_corner((rows - 1) * columns)[1]
    assert grid.page_size[0] <= 1920


@pytest.mark.parametrize(
    "text", ["x" * 5_000, "Кошка_на_диване_" * 9, "صورة " * 40, "名" * 300, "\u202egpj.\x1b[2J" * 30]
)
def test_text_of_any_length_and_script_fits_its_place(text: str) -> None:
    plain, font = choose_font(text, REGULAR_FONT, 12)
    short = truncate_to_width(plain, font, 180)
    assert 0 < font.getlength(short) <= 180
    assert short.isprintable()
    assert all(font.getlength(line) <= 180 for line in wrap_text(plain, font, 180, 5))
    assert len(wrap_text(plain, font, 180, 5)) <= 5


def test_long_name_keeps_its_beginning_and_its_end() -> None:
    font = load_fonts(REGULAR_FONT, 12)[0]
    short = truncate_to_width("Bengal_on_the_sofa_in_the_evening_2023_0012.jpg", font, 180)
    assert short.startswith("Bengal_on")
    assert short.endswith("12.jpg")
    assert truncate_to_width("short.jpg", font, 180) == "short.jpg"
    assert truncate_to_width("anything", font, 0) in ("", "\u2026")


def test_letters_that_no_font_has_are_squares_and_counted(tmp_path: Path) -> None:
    assert choose_font("a\U00010380b", BOLD_FONT, 12)[0] == f"a{MISSING_GLYPH}b"  # Ugaritic
    assert choose_font("Ж é Ω", BOLD_FONT, 12)[0] == "Ж é Ω"
    sheet = filled(red(tmp_path, "\U00010380.png"), red(tmp_path, "a.png"))
    sheet.render()
    assert sheet.missing_glyph_count == 1


def test_sheet_of_a_folder_shows_its_pictures(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.jpg", number)
    (tmp_path / "photos" / "bad.jpg").write_text("no picture")
    shutil.copy(tmp_path / "photos" / "0.jpg", tmp_path / "alone.jpg")
    words = [f"model={finished}/model", f"output={tmp_path}/answers.csv", f"sheet={tmp_path}/sheet.PNG"]
    assert predict.main([*words, str(tmp_path / "photos")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"3 predictions in {tmp_path}/answers.csv",
        f"{tmp_path}/sheet.PNG: 4 images",
    ]
    four = shape(tmp_path / "sheet.PNG")
    assert predict.main([*words, str(tmp_path / "alone.jpg")]) == 0
    one = shape(tmp_path / "sheet.PNG")
    assert (four[0], four[1] - one[1]) == (2 * 240 + 64, one[1] - 66 + 16)


def test_sheet_of_an_empty_folder_is_not_written(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert predict.main([f"model={finished}/model", f"sheet={tmp_path}/sheet.png", str(tmp_path / "none")]) == 1
    assert not (tmp_path / "sheet.png").exists()
