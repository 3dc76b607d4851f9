"""A contact sheet: the pictures side by side, each with its file's name and its answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.data.images.decode import thumbnail
from pipeline.data.images.safe_open import PictureError
from pipeline.inference.fonts import BOLD, MISSING, PLAIN, fitted, lettered, own, wrapped
from pipeline.inference.predictions import Answer
from pipeline.models.heads import AnyHead, NumberHead, SigmoidsHead
from pipeline.runtime.files import moved_whole
from pipeline.runtime.parallel import in_order
from pipeline.runtime.progress_bars import watched

MOST = 400  # pictures on a sheet
WIDER = 1.4  # than high, where a sheet can be
COLUMNS = 12
SIDES = ((12, 240), (100, 180), (MOST, 140))  # of so many pictures at most, each is so large
GAP, MARGIN, TITLE = 16, 24, 18
LINE, LETTERS = 19, 13  # of a caption: a line's height, and the size of its letters
LINES = 4  # of labels
PAGE, TILE, INK, FAINT = "#ffffff", "#f2f2f2", "#1a1a1a", "#636363"
Caption = list[tuple[str, str]]  # lines: what is said on the left, how sure that is on the right


def caption(head: AnyHead, answer: Answer) -> Caption:
    """An answer in lines: the class, each label that is present, or the number with its unit."""
    if answer.error or isinstance(head, NumberHead):
        return [(answer.answer, "")]
    if not isinstance(head, SigmoidsHead):
        return [(answer.answer, f"{max(answer.values):.2f}")]
    likely = sorted(zip(head.columns, answer.values, strict=True), key=lambda pair: -pair[1])
    present = [(name, f"{value:.2f}") for name, value in likely if value > 0.5]
    if len(present) > LINES:
        return [*present[: LINES - 1], (f"and {len(present) - LINES + 1} more", "")]
    return present or [(answer.answer, "")]


class Sheet:
    """The answers of the first pictures, and at the end the sheet of them.

    squares: how many texts of the drawn sheet have letters that no font here has.
    """

    def __init__(self, title: str, head: AnyHead) -> None:
        self.title, self.head, self.answers, self.more, self.squares = title, head, list[Answer](), 0, 0

    def take(self, answer: Answer) -> None:
        """An answer for a picture; one for an empty folder has none, and beyond the most they are counted."""
        if answer.picture is None:
            return
        if len(self.answers) < MOST:
            self.answers.append(answer)
        else:
            self.more += 1

    @property
    def said(self) -> str:
        """How many pictures are on it, and how many are not."""
        count = len(self.answers)
        left_out = f", the first of {count + self.more:,}; {self.more:,} are left out" if self.more else ""
        return f"{count} picture{'s' * (count != 1)}{left_out}"

    def write(self, file: Path) -> None:
        """Draws the sheet, and writes it whole or not at all; raises NotWrittenError."""
        drawn = self.drawn()
        with moved_whole(file.resolve()) as new:
            drawn.save(new, format="PNG")

    def drawn(self) -> Image.Image:
        """The sheet as a picture, RGB."""
        captions = [caption(self.head, answer) for answer in self.answers]
        grid = _Grid.of(len(captions), max(map(len, captions), default=1))
        page = Image.new("RGB", grid.size, PAGE)
        pen = _Pen(page)
        pen.write((MARGIN, MARGIN - 6), f"{self.title}: {self.said}", grid.size[0] - 2 * MARGIN, BOLD, TITLE - 2, INK)
        pictures = watched(in_order(partial(_thumbnail, side=grid.side), self.answers), "contact sheet", len(captions))
        for place, picture in enumerate(pictures):
            pen.tile(grid, place, self.answers[place], captions[place], empty=picture is None)
            if picture is not None:
                page.paste(picture, grid.middle(place, picture))
        self.squares = pen.squares
        return page


@dataclass(frozen=True)
class _Grid:
    """Where the pictures stand: so many columns of squares of a side, with lines of text below each."""

    count: int
    columns: int
    side: int
    lines: int

    @classmethod
    def of(cls, count: int, lines: int) -> _Grid:
        """A sheet that is a little wider than high, and no wider than a screen."""
        rows = math.ceil(count / min(math.ceil(math.sqrt(WIDER * count)), COLUMNS))
        side = next(side for most, side in SIDES if count <= most)
        return cls(count, math.ceil(count / rows), side, 1 + lines)

    @property
    def height(self) -> int:
        """Of a square with its text."""
        return self.side + 6 + LINE * self.lines

    @property
    def size(self) -> tuple[int, int]:
        """Of the whole sheet, in pixels."""
        rows = math.ceil(self.count / self.columns)
        width = 2 * MARGIN + self.columns * (self.side + GAP) - GAP
        return max(width, 360), 2 * MARGIN + TITLE + rows * (self.height + GAP) - GAP

    def corner(self, place: int) -> tuple[int, int]:
        """The upper left of a square."""
        row, column = divmod(place, self.columns)
        return MARGIN + column * (self.side + GAP), MARGIN + TITLE + row * (self.height + GAP) + GAP // 2

    def middle(self, place: int, picture: Image.Image) -> tuple[int, int]:
        """Where a picture goes, so that it is in the middle of a square."""
        left, top = self.corner(place)
        return left + (self.side - picture.width) // 2, top + (self.side - picture.height) // 2


def _thumbnail(answer: Answer, side: int) -> Image.Image | None:
    """The picture, small; none where it could not be answered for, or is gone by now."""
    if answer.error or answer.picture is None:
        return None
    try:
        return thumbnail(answer.picture, side)
    except PictureError:
        return None


class _Pen:
    """Writes texts on a page, each as short as its place; counts those whose letters no font here has."""

    def __init__(self, page: Image.Image) -> None:
        self.draw, self.squares = ImageDraw.Draw(page), 0

    def write(self, place: tuple[float, float], text: str, width: float, name: str, size: int, ink: str) -> None:
        """A line of text, with its upper left corner there."""
        plain, font = lettered(text, name, size)
        self.squares += MISSING in plain
        self.draw.text(place, fitted(plain, font, width), ink, font)

    def tile(self, grid: _Grid, place: int, answer: Answer, lines: Caption, *, empty: bool) -> None:
        """A square, where it stays empty the reason in it, with its name and its answer below."""
        (left, top), side = grid.corner(place), grid.side
        self.draw.rectangle((left, top, left + side - 1, top + side - 1), TILE)
        if empty:
            self.reason((left, top), side, answer.error or "gone since it was answered for")
        self.write((left, top + side + 4), Path(answer.name).name, side, PLAIN, LETTERS - 1, FAINT)
        for number, (said, sure) in enumerate(lines, start=1):
            height = top + side + 4 + number * LINE
            taken = own(PLAIN, LETTERS).getlength(sure)
            self.write((left, height), said, side - taken - (6 if sure else 0), BOLD, LETTERS, INK)
            self.write((left + side - taken, height), sure, side, PLAIN, LETTERS, INK)

    def reason(self, corner: tuple[int, int], side: int, reason: str) -> None:
        """A text in the middle of a square."""
        text, font = lettered(reason, PLAIN, LETTERS)
        lines = wrapped(text, font, side - 2 * GAP, (side - GAP) // LINE)
        begin = corner[1] + (side - LINE * len(lines)) / 2
        for number, line in enumerate(lines):
            self.draw.text((corner[0] + GAP, begin + number * LINE), line, FAINT, font)
