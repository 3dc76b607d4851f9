"""`python -m bench`: how fast a trial is trained, against the loops that people write; one table.

python -m bench [case=A,B] [pairs=5] [epochs=20] [side=ours,engine,plain,tuned]
"""

from __future__ import annotations

import gc
import logging
import statistics
import sys
import time
import warnings

from rich.console import Console
from rich.table import Table

from bench.cases import CASES, FOLDS, Case, prepared
from bench.sides import SIDES

FAR = 0.01  # shares of right answers that differ by more are not the same work


def measured(case: Case, sides: list[str], pairs: int) -> dict[str, tuple[list[float], list[float]]]:
    """For each side the milliseconds a fold and epoch of each round, the sides alternating, and its scores."""
    task, folds = prepared(case)
    found: dict[str, tuple[list[float], list[float]]] = {}
    for round_ in range(pairs + 1):
        for name in sides:
            gc.collect()
            begin = time.perf_counter()
            scores = SIDES[name](case, task, folds)
            spent = 1000 * (time.perf_counter() - begin) / (FOLDS * case.epochs)
            times, _ = found.setdefault(name, ([], scores))
            if round_:  # the first round warms up
                times.append(spent)
    return found


def main(words: list[str]) -> int:
    """The command; returns 1 where the sides did not do the same work."""
    given = {"case": ",".join(CASES), "pairs": "5", "epochs": "20", "side": ",".join(SIDES)}
    given |= dict(word.split("=", 1) for word in words)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    sides = given["side"].split(",")
    table, differ = Table("case", "side", "ms a fold-epoch", "lowest to highest", "times ours", "score"), []
    for name in given["case"].split(","):
        case = Case(name, CASES[name].features, CASES[name].hidden, int(given["epochs"]))
        found = measured(case, sides, int(given["pairs"]))
        first = statistics.median(found[sides[0]][0])
        for side, (times, scores) in found.items():
            middle = statistics.median(times)
            spread = f"{min(times):.3g} to {max(times):.3g}"
            score = statistics.mean(scores)
            table.add_row(name, side, f"{middle:.3g}", spread, f"{middle / first:.2f}", f"{score:.4f}")
            if abs(score - statistics.mean(found[sides[0]][1])) > FAR:
                differ.append(f"{name}, {side}: {score:.4f}")
    Console(width=100).print(table)
    print(*(f"another score than ours: {line}" for line in differ), sep="\n", file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
