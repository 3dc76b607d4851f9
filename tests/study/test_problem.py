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
    problem = build_problem(replace(search, head=LaterSoftmaxConfig("softmax", temperature)))
    assert problem.facts["head"] == expected
