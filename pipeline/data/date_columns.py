"""Date columns of a table, and the number columns that stand for them; pandas is not needed to read this."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline.config.strict_types import STRICT_CONFIG
from pipeline.runtime.text import MAX_NAME_CHARS

DateFormat = Literal["ISO8601", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"]
DATE_PARTS = ("year", "month", "weekday", "days")
DATE_PARTS_NOTE = "year, month, weekday (0 is Monday) and days since 1970-01-01"


@dataclass(frozen=True, config=STRICT_CONFIG)
class DateColumn:
    """A column of dates and the format of its cells: ISO 8601, or one of `datetime.strptime`."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARS)]
    format: DateFormat

    @property
    def number_names(self) -> tuple[str, ...]:
        """Return the names of the number columns that stand for it, in the order of DATE_PARTS."""
        return tuple(f"{self.name} ({part})" for part in DATE_PARTS)

    def format_days(self, days: float) -> str:
        """Return the date that is this number of days after 1970-01-01, as a cell of the column."""
        day = date(1970, 1, 1) + timedelta(days=round(days))
        return day.isoformat() if self.format == "ISO8601" else day.strftime(self.format)


def list_file_columns(
    numbers: Sequence[str], categories: Sequence[str], dates: Sequence[DateColumn]
) -> tuple[str, ...]:
    """Return the columns that a file must have: numbers, dates instead of the numbers that stand for them, categories.

    numbers, categories: columns of a model's table.
    """
    return (*list_plain_numbers(numbers, dates), *(column.name for column in dates), *categories)


def list_plain_numbers(numbers: Sequence[str], dates: Sequence[DateColumn]) -> tuple[str, ...]:
    """Return the number columns that a file has itself: those that do not stand for a date."""
    names_of_dates = {name for column in dates for name in column.number_names}
    return tuple(name for name in numbers if name not in names_of_dates)
