"""`python -m bench`: how fast trials are trained, against the loops that people write; 1 where the scores differ.

python -m bench [case=A,B,C,D,E] [pairs=5] [epochs=20] [side=ours,plain]  the training of one trial
python -m bench search=digits,house_price [pairs=5] [trials=20] [...]     whole searches, tracking included
python -m bench growth=trials|rows|nodes|folds                            how time and memory grow

Words that are none of these are the searches' own, such as dataset.count=300.
"""

from __future__ import annotations

import gc
import logging
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import optuna
from rich.console import Console
from rich.table import Table

from bench import growth
from bench.cases import CASES, FOLDS, prepared
from bench.searches import WORDS, ours, peer, posed
from bench.sides import SIDES
from pipeline.training.fit import gc_unfrozen_on_exit

OWN = ("case", "search", "growth", "pairs", "epochs", "side", "trials")
PEERS: Mapping[str, Mapping[str, bool]] = {
    "peer": {},
    "peer, best epochs kept": {"keeps": True},
    "tuned, untracked": {"tracked": False},
}
FAR = 0.01  # mean scores that differ by more, as a share of ours, are not the same work


def main(words: Sequence[str]) -> int:
    """The command; returns 1 where the sides did not do the same work."""
    for library in ("pytorch_lightning", "mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    given = dict(word.split("=", 1) for word in words)
    more = [word for word in words if word.split("=")[0] not in OWN]
    for key, known in (("case", CASES), ("search", WORDS), ("side", SIDES), ("growth", growth.KINDS)):
        if unknown := sorted(set(given.get(key, next(iter(known))).split(",")) - set(known)):
            print(f"{key}: one of {', '.join(known)}; got {', '.join(unknown)}", file=sys.stderr)
            return 2
    console = Console(width=110)
    if "growth" in given:
        console.print(growth.table(given["growth"]))
        return 0
    pairs = int(given.get("pairs", "5"))
    measure: Callable[[str, Table], list[str]]
    if "search" in given:
        names, unit = given["search"].split(","), "ms a trial"

        def measure(name: str, table: Table) -> list[str]:
            return _search(name, int(given.get("trials", "20")), more, pairs, table)
    else:
        names, unit = given.get("case", ",".join(CASES)).split(","), "ms a fold-epoch"

        def measure(name: str, table: Table) -> list[str]:
            return _case(
                name, given.get("side", ",".join(SIDES)).split(","), int(given.get("epochs", "20")), pairs, table
            )

    table = Table("case", "side", unit, "lowest to highest", "times ours", "score", "note")
    differ = [line for name in names for line in measure(name, table)]
    console.print(table)
    print(f"highest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    print(*(f"another score than ours: {line}" for line in differ), sep="\n", file=sys.stderr)
    return 1 if differ else 0


def _case(name: str, sides: Sequence[str], epochs: int, pairs: int, table: Table) -> list[str]:
    """One shape of network: each side trains the folds of one trial, in turn."""
    case = replace(CASES[name], epochs=epochs)
    task, folds = prepared(case)
    times: dict[str, list[float]] = {side: [] for side in sides}
    scores: dict[str, float] = {}
    for round_ in range(pairs + 1):
        for side in sides:
            gc.collect()
            begin = time.perf_counter()
            scores[side] = statistics.mean(SIDES[side](case, task, folds))
            if round_:  # the first round warms up
                times[side].append(1000 * (time.perf_counter() - begin) / (FOLDS * epochs))
    return _rows(name, times, scores, {}, table)


def _search(name: str, trials: int, more: Sequence[str], pairs: int, table: Table) -> list[str]:
    """A whole search: ours draws the trials, the peers train the same ones."""
    times: dict[str, list[float]] = {side: [] for side in ("ours", *PEERS)}
    scores: dict[str, float] = {}
    notes = {}
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            search, question = posed(name, trials, Path(folder), more)
            first = ours(search, question)
            took = {"ours": first}
            took |= {side: peer(search, question, first.rows, side, **how) for side, how in PEERS.items()}
        for side, each in took.items():
            times[side].append(1000 * each.seconds / trials)
            scores[side] = statistics.mean(each.scores)
        share = (first.tracking + first.deciding) / first.seconds
        notes["ours"] = f"tracking and deciding {share:.1%}; {60 * trials / first.seconds:.0f} trials a minute"
    return _rows(name, times, scores, notes, table)


def _rows(
    name: str,
    times: Mapping[str, Sequence[float]],
    scores: Mapping[str, float],
    notes: Mapping[str, str],
    table: Table,
) -> list[str]:
    """Adds a row a side; returns the sides whose scores are not ours."""
    first, *_ = times
    own, differ = statistics.median(times[first]), []
    for side, taken in times.items():
        middle = statistics.median(taken)
        spread, ratio = f"{min(taken):.3g} to {max(taken):.3g}", f"{middle / own:.2f}"
        table.add_row(name, side, f"{middle:.4g}", spread, ratio, f"{scores[side]:.4f}", notes.get(side, ""))
        if abs(scores[side] - scores[first]) > FAR * max(1.0, abs(scores[first])):
            differ.append(f"{name}, {side}: {scores[side]:.4f}")
    return differ


if __name__ == "__main__":
    with gc_unfrozen_on_exit():
        sys.exit(main(sys.argv[1:]))
