"""One process of the benchmark: `python -m bench.quality.job <method or split> <table> <seed> <folder> [settings]`.

It prints one JSON object: the scores on the test rows, and the versions of what made them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.quality.ours import predict_ours
from bench.quality.peers import PEERS, predict_peer
from bench.quality.readers import read_table
from bench.quality.scores import score
from bench.quality.splits import SplitFiles
from bench.quality.tables import TABLES

LIBRARIES: Mapping[str, Sequence[str]] = {
    "trees": ("scikit-learn",),
    "catboost": ("catboost",),
    "realmlp": ("pytabkit", "torch"),
    "realmlp_folds": ("pytabkit", "torch"),
    "tabm": ("pytabkit", "torch"),
    "ours": ("torch",),
}


def main(arguments: Sequence[str]) -> int:
    """Write the files of a split, or predict its test rows with a method and print the scores."""
    method, name, seed, folder, *overrides = arguments
    split = SplitFiles(Path(folder), TABLES[name])
    if method == "split":
        split.write(read_table(split.table), int(seed))
        return 0
    print(json.dumps(measure(method, split, int(seed), overrides)))
    return 0


def measure(method: str, split: SplitFiles, seed: int, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the scores of a method on the test rows, the versions of its libraries, and the product's summary."""
    versions = {library: version(library) for library in LIBRARIES[method]}
    if method in PEERS:
        return {"scores": score(split.read_answers(), predict_peer(method, split, seed)), "versions": versions}
    predictions, summary = predict_ours(split, seed, overrides)
    versions["commit"] = _read_commit()
    return {"scores": score(split.read_answers(), predictions), "versions": versions, "summary": summary}


def _read_commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
