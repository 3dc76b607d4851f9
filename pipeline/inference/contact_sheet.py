"""Contact sheet: images in a grid, each with its file name and its prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.data.images.decode import read_thumbnail
from pipeline.data.images.safe_open import ImageError
from pipeline.inference import fonts
from pipeline.inference.fonts import BOLD_FONT, REGULAR_FONT
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import AnyHead
from pipeline.runtime.files import atomic_path
from pipeline.runtime.parallel import map_in_order
from pipeline.runtime.progress_bars import track
from pipeline.runtime.text import pluralize

MAX_IMAGES = 400
ASPECT_RATIO = 1.4  # width by height of a sheet with enough images
MAX_COLUMNS = 12
TILE_SIDES = ((12, 240), (100, 180), (MAX_IMAGES, 140))  # up to this number of images, this side in pixels
TILE_GAP = 16
PAGE_MARGIN = 24
MIN_PAGE_WIDTH = 360  # room for the title
TITLE_HEIGHT = 18
LINE_HEIGHT = 19  # of a caption
FONT_SIZE = 13
MAX_LABEL_LINES = 4
PAGE_COLOR = "#ffffff"
TILE_COLOR = "#f2f2f2"
TEXT_COLOR = "#1a1a1a"
MUTED_COLOR = "#636363"
Point = tuple[int, int]  # pixels from the left and from the top
Caption = list[tuple[str, str]]  # lines: a text on the left, its probability on the right


def format_caption(head: AnyHead, prediction: Prediction) -> Caption:
    """Return the lines of a prediction: the class, each label that is present, or the number with its unit."""
    kind = head.prediction_kinds[0]
    if prediction.error or kind == "numbers":
        return [(prediction.text, "")]
    if kind == "classes":
        return [(prediction.text, f"{max(prediction.values):.2f}")]
    ranked = sorted(zip(head.output_names, prediction.values, strict=True), key=lambda pair: -pair[1])
    present = [(name, f"{value:.2f}") for name, value in ranked if value > 0.5]
    if len(present) > MAX_LABEL_LINES:
        return [*present[: MAX_LABEL_LINES - 1], (f"and {len(present) - MAX_LABEL_LINES + 1} more", "")]
    return present or [(prediction.text, "")]


@dataclass
class ContactSheet:
    """Predictions of the first images, and the sheet that shows them.

    missing_glyph_count: number of texts on the rendered sheet with characters that no installed font has.
    """

    title: str
    head: AnyHead
    predictions: list[Prediction] = field(default_factory=list)
    omitted_count: int = 0
    missing_glyph_count: int = 0

    def add(self, prediction: Prediction) -> None:
        """Add the prediction of an image, or only count it beyond MAX_IMAGES; ignore one without an image."""
        if prediction.image_file is None:
            return
        if len(self.predictions) < MAX_IMAGES:
            self.predictions.append(prediction)
        else:
            self.omitted_count += 1

    @property
    def summary(self) -> str:
        """Return how many images are on the sheet, and how many are omitted."""
        count = len(self.predictions)
        omitted = f", the first of {count + self.omitted_count:,} ({self.omitted_count:,} omitted)"
        return f"{pluralize(count, 'image')}{omitted if self.omitted_count else ''}"

    def write(self, file: Path) -> None:
        """Write the sheet as PNG, whole or not at all; raise FileWriteError."""
        image = self.render()
        with atomic_path(file.resolve()) as temporary_file:
            image.save(temporary_file, format="PNG")

    def render(self) -> Image.Image:
        """Return the sheet as an RGB image."""
        captions = [format_caption(self.head, prediction) for prediction in self.predictions]
        grid = _TileGrid(len(captions), max(map(len, captions), default=1))
        page = Image.new("RGB", grid.page_size, PAGE_COLOR)
        painter = _SheetPainter(page, grid.side)
        corner = (PAGE_MARGIN, PAGE_MARGIN - 6)
        title = f"{self.title}: {self.summary}"
        painter.write(corner, title, page.width - 2 * PAGE_MARGIN, TEXT_COLOR, BOLD_FONT, TITLE_HEIGHT - 2)
        thumbnails = map_in_order(partial(_load_thumbnail, side=grid.side), self.predictions)
        for index, image in enumerate(track(thumbnails, "contact sheet", len(captions))):
            painter.draw_tile(grid.tile_corner(index), self.predictions[index], captions[index], image)
        self.missing_glyph_count = painter.missing_glyph_count
        return page


class _TileGrid:
    """Grid of square tiles with lines of text below each, a little wider than high and no wider than a screen."""

    def __init__(self, count: int, caption_lines: int) -> None:
        self.rows = math.ceil(count / min(math.ceil(math.sqrt(ASPECT_RATIO * count)), MAX_COLUMNS))
        self.columns = math.ceil(count / self.rows)
        self.side = next(side for max_count, side in TILE_SIDES if count <= max_count)
        self.row_height = self.side + 6 + LINE_HEIGHT * (1 + caption_lines) + TILE_GAP

    @property
    def page_size(self) -> tuple[int, int]:
        """Return the width and height of the sheet in pixels."""
        width = 2 * PAGE_MARGIN + self.columns * (self.side + TILE_GAP) - TILE_GAP
        return max(width, MIN_PAGE_WIDTH), 2 * PAGE_MARGIN + TITLE_HEIGHT + self.rows * self.row_height - TILE_GAP

    def tile_corner(self, index: int) -> Point:
        """Return the upper left corner of a tile."""
        row, column = divmod(index, self.columns)
        top = PAGE_MARGIN + TITLE_HEIGHT + TILE_GAP // 2 + row * self.row_height
        return PAGE_MARGIN + column * (self.side + TILE_GAP), top


def _load_thumbnail(prediction: Prediction, side: int) -> Image.Image | None:
    """Return the image at the size of a tile, or None if it cannot be read."""
    if prediction.error or prediction.image_file is None:
        return None
    try:
        return read_thumbnail(prediction.image_file, side)
    except ImageError:
        return None


class _SheetPainter:
    """Draws tiles and texts on a page, and counts the texts with characters that no installed font has."""

    def __init__(self, page: Image.Image, side: int) -> None:
        self.page = page
        self.side = side
        self.draw = ImageDraw.Draw(page)
        self.missing_glyph_count = 0

    def write(self, corner: tuple[float, float], text: str, max_width: float, color: str, name: str, size: int) -> None:
        """Write a line of text, truncated to `max_width`, from its upper left corner."""
        drawable_text, font = fonts.choose_font(text, name, size)
        self.missing_glyph_count += fonts.MISSING_GLYPH in drawable_text
        self.draw.text(corner, fonts.truncate_to_width(drawable_text, font, max_width), color, font)

    def draw_tile(self, corner: Point, prediction: Prediction, caption: Caption, image: Image.Image | None) -> None:
        """Draw an image in the middle of its tile, or the reason why there is none, with name and caption below."""
        side = self.side
        left, top = corner
        self.draw.rectangle((left, top, left + side - 1, top + side - 1), TILE_COLOR)
        if image is None:
            self._draw_reason(corner, prediction.error or "file no longer readable")
        else:
            self.page.paste(image, (left + (side - image.width) // 2, top + (side - image.height) // 2))
        line_top = top + side + 4
        self.write((left, line_top), Path(prediction.name).name, side, MUTED_COLOR, REGULAR_FONT, FONT_SIZE - 1)
        for text, probability in caption:
            line_top += LINE_HEIGHT
            width = fonts.load_fonts(REGULAR_FONT, FONT_SIZE)[0].getlength(probability)
            text_width = side - width - (6 if probability else 0)
            self.write((left, line_top), text, text_width, TEXT_COLOR, BOLD_FONT, FONT_SIZE)
            self.write((left + side - width, line_top), probability, side, TEXT_COLOR, REGULAR_FONT, FONT_SIZE)

    def _draw_reason(self, corner: Point, reason: str) -> None:
        text, font = fonts.choose_font(reason, REGULAR_FONT, FONT_SIZE)
        lines = fonts.wrap_text(text, font, self.side - 2 * TILE_GAP, (self.side - TILE_GAP) // LINE_HEIGHT)
        text_top = corner[1] + (self.side - LINE_HEIGHT * len(lines)) / 2
        for number, line in enumerate(lines):
            self.draw.text((corner[0] + TILE_GAP, text_top + number * LINE_HEIGHT), line, MUTED_COLOR, font)
