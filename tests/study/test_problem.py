"""The facts that decide a search: an option of a later release orphans no study of an earlier one."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic.dataclasses import dataclass

from pipeline.config import heads
from pipeline.config.reader import read_search
from pipeline.config.strict_types import STRICT_CONFIG
from pipeline.study.problem import build_problem
from tests.conftest import TINY


@dataclass(frozen=True, config=STRICT_CONFIG)
class LaterSoftmaxConfig(heads.SoftmaxConfig):
    """The options of a later release."""

    temperature: float = 1.0


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1.0, "kind='softmax'"), (2.0, "kind='softmax', temperature=2.0")],
)
def test_later_option_of_a_head_is_a_fact_only_if_it_is_not_at_its_default(
    temperature: float, expected: str, tmp_path: Path
) -> None:
    search = read_search(["task=cat_species", *TINY, f"store={tmp_path}"])
    problem = build_problem(replace(search, head=LaterSoftmaxConfig("softmax", temperature=temperature)))
    assert problem.facts["head"] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["features.numbers=standard"], None),
        (["features.numbers=quantile"], "quantile, bins=32"),
        (["features.numbers=piecewise", "features.bins=16"], "piecewise, bins=16"),
    ],
)
def test_encoding_of_numbers_is_a_fact_only_if_it_is_not_the_default(
    words: list[str], expected: str | None, tmp_path: Path
) -> None:
    search = read_search(["task=house_price", "dataset.count=90", "compute=cpu", f"store={tmp_path}", *words])
    assert build_problem(search).facts.get("numbers") == expected
