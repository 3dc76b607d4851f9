"""A contact sheet: the pictures side by side, each with its file's name and its answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.data.images.decode import read_thumbnail
from pipeline.data.images.safe_open import ImageError
from pipeline.inference.fonts import (
    BOLD_FONT,
    MISSING_GLYPH,
    REGULAR_FONT,
    choose_font,
    load_bundled_font,
    truncate_to_width,
    wrap_text,
)
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import AnyHead, NumberHead, SigmoidsHead
from pipeline.runtime.files import atomic_path
from pipeline.runtime.parallel import map_in_order
from pipeline.runtime.progress_bars import track

MAX_IMAGES = 400  # pictures on a sheet
ASPECT_RATIO = 1.4  # than high, where a sheet can be
MAX_COLUMNS = 12
TILE_SIDES = ((12, 240), (100, 180), (MAX_IMAGES, 140))  # of so many pictures at most, each is so large
TILE_GAP, PAGE_MARGIN, TITLE_HEIGHT = 16, 24, 18
LINE_HEIGHT, FONT_SIZE = 19, 13  # of a caption: a line's height, and the size of its letters
MAX_LABEL_LINES = 4  # of labels
PAGE_COLOR, TILE_COLOR, TEXT_COLOR, MUTED_COLOR = "#ffffff", "#f2f2f2", "#1a1a1a", "#636363"
Caption = list[tuple[str, str]]  # lines: what is said on the left, how sure that is on the right


def format_caption(head: AnyHead, prediction: Prediction) -> Caption:
    """An answer in lines: the class, each label that is present, or the number with its unit."""
    if prediction.error or isinstance(head, NumberHead):
        return [(prediction.text, "")]
    if not isinstance(head, SigmoidsHead):
        return [(prediction.text, f"{max(prediction.values):.2f}")]
    ranked = sorted(zip(head.output_names, prediction.values, strict=True), key=lambda pair: -pair[1])
    present = [(name, f"{value:.2f}") for name, value in ranked if value > 0.5]
    if len(present) > MAX_LABEL_LINES:
        return [*present[: MAX_LABEL_LINES - 1], (f"and {len(present) - MAX_LABEL_LINES + 1} more", "")]
    return present or [(prediction.text, "")]


class ContactSheet:
    """The answers of the first pictures, and at the end the sheet of them.

    squares: how many texts of the drawn sheet have letters that no font here has.
    """

    def __init__(self, title: str, head: AnyHead) -> None:
        self.title, self.head, self.predictions, self.omitted_count, self.missing_glyph_count = (
            title,
            head,
            list[Prediction](),
            0,
            0,
        )

    def add(self, prediction: Prediction) -> None:
        """An answer for a picture; one for an empty folder has none, and beyond the most they are counted."""
        if prediction.image_file is None:
            return
        if len(self.predictions) < MAX_IMAGES:
            self.predictions.append(prediction)
        else:
            self.omitted_count += 1

    @property
    def summary(self) -> str:
        """How many pictures are on it, and how many are not."""
        count = len(self.predictions)
        omitted_text = (
            f", the first of {count + self.omitted_count:,}; {self.omitted_count:,} are left out"
            if self.omitted_count
            else ""
        )
        return f"{count} picture{'s' * (count != 1)}{omitted_text}"

    def write(self, file: Path) -> None:
        """Draws the sheet, and writes it whole or not at all; raises NotWrittenError."""
        image = self.render()
        with atomic_path(file.resolve()) as temporary_file:
            image.save(temporary_file, format="PNG")

    def render(self) -> Image.Image:
        """The sheet as a picture, RGB."""
        captions = [format_caption(self.head, answer) for answer in self.predictions]
        grid = _TileGrid.for_count(len(captions), max(map(len, captions), default=1))
        page = Image.new("RGB", grid.page_size, PAGE_COLOR)
        painter = _SheetPainter(page)
        painter.write_text(
            (PAGE_MARGIN, PAGE_MARGIN - 6),
            f"{self.title}: {self.summary}",
            grid.page_size[0] - 2 * PAGE_MARGIN,
            BOLD_FONT,
            TITLE_HEIGHT - 2,
            TEXT_COLOR,
        )
        images = track(
            map_in_order(partial(_load_thumbnail, side=grid.side), self.predictions), "contact sheet", len(captions)
        )
        for index, image in enumerate(images):
            painter.draw_tile(grid, index, self.predictions[index], captions[index], is_empty=image is None)
            if image is not None:
                page.paste(image, grid.image_position(index, image))
        self.missing_glyph_count = painter.missing_glyph_count
        return page


@dataclass(frozen=True)
class _TileGrid:
    """Where the pictures stand: so many columns of squares of a side, with lines of text below each."""

    count: int
    columns: int
    side: int
    text_lines: int

    @classmethod
    def for_count(cls, count: int, caption_lines: int) -> _TileGrid:
        """A sheet that is a little wider than high, and no wider than a screen."""
        rows = math.ceil(count / min(math.ceil(math.sqrt(ASPECT_RATIO * count)), MAX_COLUMNS))
        side = next(side for most, side in TILE_SIDES if count <= most)
        return cls(count, math.ceil(count / rows), side, 1 + caption_lines)

    @property
    def tile_height(self) -> int:
        """Of a square with its text."""
        return self.side + 6 + LINE_HEIGHT * self.text_lines

    @property
    def page_size(self) -> tuple[int, int]:
        """Of the whole sheet, in pixels."""
        rows = math.ceil(self.count / self.columns)
        width = 2 * PAGE_MARGIN + self.columns * (self.side + TILE_GAP) - TILE_GAP
        return max(width, 360), 2 * PAGE_MARGIN + TITLE_HEIGHT + rows * (self.tile_height + TILE_GAP) - TILE_GAP

    def tile_corner(self, index: int) -> tuple[int, int]:
        """The upper left of a square."""
        row, column = divmod(index, self.columns)
        return PAGE_MARGIN + column * (self.side + TILE_GAP), PAGE_MARGIN + TITLE_HEIGHT + row * (
            self.tile_height + TILE_GAP
        ) + TILE_GAP // 2

    def image_position(self, index: int, image: Image.Image) -> tuple[int, int]:
        """Where a picture goes, so that it is in the middle of a square."""
        left, top = self.tile_corner(index)
        return left + (self.side - image.width) // 2, top + (self.side - image.height) // 2


def _load_thumbnail(prediction: Prediction, side: int) -> Image.Image | None:
    """The picture, small; none where it could not be answered for, or is gone by now."""
    if prediction.error or prediction.image_file is None:
        return None
    try:
        return read_thumbnail(prediction.image_file, side)
    except ImageError:
        return None


class _SheetPainter:
    """Writes texts on a page, each as short as its place; counts those whose letters no font here has."""

    def __init__(self, page: Image.Image) -> None:
        self.draw, self.missing_glyph_count = ImageDraw.Draw(page), 0

    def write_text(
        self, position: tuple[float, float], text: str, max_width: float, font_name: str, font_size: int, color: str
    ) -> None:
        """A line of text, with its upper left corner there."""
        drawable_text, font = choose_font(text, font_name, font_size)
        self.missing_glyph_count += MISSING_GLYPH in drawable_text
        self.draw.text(position, truncate_to_width(drawable_text, font, max_width), color, font)

    def draw_tile(self, grid: _TileGrid, index: int, prediction: Prediction, lines: Caption, *, is_empty: bool) -> None:
        """A square, where it stays empty the reason in it, with its name and its answer below."""
        (left, top), side = grid.tile_corner(index), grid.side
        self.draw.rectangle((left, top, left + side - 1, top + side - 1), TILE_COLOR)
        if is_empty:
            self.draw_reason((left, top), side, prediction.error or "gone since it was answered for")
        self.write_text(
            (left, top + side + 4), Path(prediction.name).name, side, REGULAR_FONT, FONT_SIZE - 1, MUTED_COLOR
        )
        for line_number, (text, confidence) in enumerate(lines, start=1):
            line_top = top + side + 4 + line_number * LINE_HEIGHT
            confidence_width = load_bundled_font(REGULAR_FONT, FONT_SIZE).getlength(confidence)
            self.write_text(
                (left, line_top),
                text,
                side - confidence_width - (6 if confidence else 0),
                BOLD_FONT,
                FONT_SIZE,
                TEXT_COLOR,
            )
            self.write_text(
                (left + side - confidence_width, line_top), confidence, side, REGULAR_FONT, FONT_SIZE, TEXT_COLOR
            )

    def draw_reason(self, corner: tuple[int, int], side: int, reason: str) -> None:
        """A text in the middle of a square."""
        text, font = choose_font(reason, REGULAR_FONT, FONT_SIZE)
        lines = wrap_text(text, font, side - 2 * TILE_GAP, (side - TILE_GAP) // LINE_HEIGHT)
        text_top = corner[1] + (side - LINE_HEIGHT * len(lines)) / 2
        for line_number, line in enumerate(lines):
            self.draw.text((corner[0] + TILE_GAP, text_top + line_number * LINE_HEIGHT), line, MUTED_COLOR, font)
