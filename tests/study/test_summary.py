"""The result files of a study: written as they were read, and read where an earlier release wrote them."""

import json
from pathlib import Path

from pipeline.study.summary import StudySummary, read_summary

SCORE = {
    "metric": "accuracy",
    "direction": "maximize",
    "mean": 0.1 + 0.2,
    "standard_error": 0.01,
    "folds": [0.25, 0.35],
}
TEST = {"value": 0.5, "low": 0.4, "high": 0.6}
OLD = {
    "task": "cat_species",
    "study": "cat_species-01234567",
    "seed": 0,
    "fingerprint": "f" * 64,
    "trials": {"total": 2, "complete": 1, "pruned": 1, "failed": 0, "diverged": 0},
    "baseline": {"overrides": ["model.nodes=[64]"], "cross_validation": SCORE, "test": TEST},
    "best": {"number": 0, "overrides": ["model.nodes=[64]"], "epoch": 3, "cross_validation": SCORE},
    "test": {"metric": "accuracy"} | TEST | {"others": {"f1_macro": 0.5}, "level": 0.95, "rows": 18, "opened": 1},
    "majority": {"metric": "accuracy", "value": 0.1},
    "parameters": 10,
    "files": {"architecture": "a", "parameters": "p", "architecture_sha256": "0", "parameters_sha256": "1"},
    "seconds": {"total": 3.0, "training": 2.5, "tracking": 0.1, "deciding": 0.2},
    "versions": {"python": "3.11", "a_library_of_before": "1"},
    "device": "cpu",
}  # fmt: skip


def test_summary_is_written_as_it_was_read() -> None:
    """An older one gets the keys of today at their defaults."""
    today = OLD | {"champion": {"kind": "refit", "networks": 1}, "references": []}
    text = json.dumps(today, indent=2) + "\n"
    assert StudySummary.from_json(text).to_json() == text
    assert StudySummary.from_json(json.dumps(OLD)).to_json() == text


def test_summary_of_another_release_is_read_without_the_keys_that_it_lacks_or_has_more() -> None:
    lacking = {key: value for key, value in OLD.items() if key not in ("device", "versions")} | {"more": {"key": 1}}
    lacking["test"] = {key: value for key, value in OLD["test"].items() if key != "others"}
    lacking["baseline"] = None
    summary = StudySummary.from_json(json.dumps(lacking))
    assert (summary.baseline, summary.device, summary.test.others) == (None, "", {})


def test_folder_without_a_finished_search_has_no_summary(tmp_path: Path) -> None:
    assert read_summary(tmp_path) is None
