"""Contact sheet: images in a grid, each with its file name and its prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.data.images.decode import read_thumbnail
from pipeline.data.images.safe_open import ImageError
from pipeline.inference import fonts
from pipeline.inference.fonts import BOLD_FONT, REGULAR_FONT
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import AnyHead, NumberHead, SigmoidsHead
from pipeline.runtime.files import atomic_path
from pipeline.runtime.parallel import map_in_order
from pipeline.runtime.progress_bars import track

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
Caption = list[tuple[str, str]]  # lines: a text on the left, its probability on the right


def format_caption(head: AnyHead, prediction: Prediction) -> Caption:
    """Return the lines of a prediction: the class, each label that is present, or the number with its unit."""
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
    """Predictions of the first images, and the sheet that shows them.

    missing_glyph_count: number of texts on the rendered sheet with characters that no font here has.
    """

    def __init__(self, title: str, head: AnyHead) -> None:
        self.title = title
        self.head = head
        self.predictions: list[Prediction] = []
        self.omitted_count = 0
        self.missing_glyph_count = 0

    def add(self, prediction: Prediction) -> None:
        """Add the prediction of an image; beyond the maximum it is only counted, and one of a folder is left out."""
        if prediction.image_file is None:
            return
        if len(self.predictions) < MAX_IMAGES:
            self.predictions.append(prediction)
        else:
            self.omitted_count += 1

    @property
    def summary(self) -> str:
        """Return how many images are on the sheet, and how many are left out."""
        count = len(self.predictions)
        omitted = f", the first of {count + self.omitted_count:,}; {self.omitted_count:,} are left out"
        return f"{count} picture{'s' * (count != 1)}{omitted if self.omitted_count else ''}"

    def write(self, file: Path) -> None:
        """Write the sheet as PNG, whole or not at all; raise FileWriteError."""
        image = self.render()
        with atomic_path(file.resolve()) as temporary_file:
            image.save(temporary_file, format="PNG")

    def render(self) -> Image.Image:
        """Return the sheet as an RGB image."""
        captions = [format_caption(self.head, prediction) for prediction in self.predictions]
        grid = _TileGrid.for_count(len(captions), max(map(len, captions), default=1))
        page = Image.new("RGB", grid.page_size, PAGE_COLOR)
        painter = _SheetPainter(page)
        title = f"{self.title}: {self.summary}"
        title_width = page.width - 2 * PAGE_MARGIN
        painter.write((PAGE_MARGIN, PAGE_MARGIN - 6), title, title_width, TEXT_COLOR, BOLD_FONT, TITLE_HEIGHT - 2)
        thumbnails = map_in_order(partial(_load_thumbnail, side=grid.side), self.predictions)
        for index, image in enumerate(track(thumbnails, "contact sheet", len(captions))):
            painter.draw_tile(grid.tile_corner(index), grid.side, self.predictions[index], captions[index], image)
        self.missing_glyph_count = painter.missing_glyph_count
        return page


@dataclass(frozen=True)
class _TileGrid:
    """Grid of square tiles with lines of text below each; sizes in pixels."""

    count: int
    columns: int
    side: int
    text_lines: int

    @classmethod
    def for_count(cls, count: int, caption_lines: int) -> _TileGrid:
        """Return a grid that is a little wider than high, and no wider than a screen."""
        rows = math.ceil(count / min(math.ceil(math.sqrt(ASPECT_RATIO * count)), MAX_COLUMNS))
        side = next(side for max_count, side in TILE_SIDES if count <= max_count)
        return cls(count, math.ceil(count / rows), side, 1 + caption_lines)

    @property
    def row_height(self) -> int:
        return self.side + 6 + LINE_HEIGHT * self.text_lines + TILE_GAP

    @property
    def page_size(self) -> tuple[int, int]:
        """Return the width and height of the sheet."""
        rows = math.ceil(self.count / self.columns)
        width = 2 * PAGE_MARGIN + self.columns * (self.side + TILE_GAP) - TILE_GAP
        return max(width, MIN_PAGE_WIDTH), 2 * PAGE_MARGIN + TITLE_HEIGHT + rows * self.row_height - TILE_GAP

    def tile_corner(self, index: int) -> tuple[int, int]:
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
    """Draws tiles and texts on a page, and counts the texts with characters that no font here has."""

    def __init__(self, page: Image.Image) -> None:
        self.page = page
        self.draw = ImageDraw.Draw(page)
        self.missing_glyph_count = 0

    def write(
        self, position: tuple[float, float], text: str, max_width: float, color: str, font_name: str, size: int
    ) -> None:
        """Write a line of text, truncated to `max_width`, from its upper left corner."""
        drawable_text, font = fonts.choose_font(text, font_name, size)
        self.missing_glyph_count += fonts.MISSING_GLYPH in drawable_text
        self.draw.text(position, fonts.truncate_to_width(drawable_text, font, max_width), color, font)

    def draw_tile(
        self, corner: tuple[int, int], side: int, prediction: Prediction, caption: Caption, image: Image.Image | None
    ) -> None:
        """Draw an image in the middle of its tile, or the reason why there is none, with name and caption below."""
        left, top = corner
        self.draw.rectangle((left, top, left + side - 1, top + side - 1), TILE_COLOR)
        if image is None:
            self.draw_reason(corner, side, prediction.error or "file no longer readable")
        else:
            self.page.paste(image, (left + (side - image.width) // 2, top + (side - image.height) // 2))
        line_top = top + side + 4
        self.write((left, line_top), Path(prediction.name).name, side, MUTED_COLOR, REGULAR_FONT, FONT_SIZE - 1)
        for text, probability in caption:
            line_top += LINE_HEIGHT
            width = fonts.load_bundled_font(REGULAR_FONT, FONT_SIZE).getlength(probability)
            text_width = side - width - (6 if probability else 0)
            self.write((left, line_top), text, text_width, TEXT_COLOR, BOLD_FONT, FONT_SIZE)
            self.write((left + side - width, line_top), probability, side, TEXT_COLOR, REGULAR_FONT, FONT_SIZE)

    def draw_reason(self, corner: tuple[int, int], side: int, reason: str) -> None:
        """Write a text in the middle of a tile."""
        text, font = fonts.choose_font(reason, REGULAR_FONT, FONT_SIZE)
        lines = fonts.wrap_text(text, font, side - 2 * TILE_GAP, (side - TILE_GAP) // LINE_HEIGHT)
        text_top = corner[1] + (side - LINE_HEIGHT * len(lines)) / 2
        for number, line in enumerate(lines):
            self.draw.text((corner[0] + TILE_GAP, text_top + number * LINE_HEIGHT), line, MUTED_COLOR, font)
