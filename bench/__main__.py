"""Benchmark the speed of training against common training loops: `python -m bench`; exit code 1 if scores differ.

python -m bench [case=A,B,C,D,E] [pairs=5] [epochs=20] [side=ours,plain]  the training of one trial
python -m bench search=digits,house_price [pairs=5] [trials=20] [...]     whole searches, tracking included
python -m bench growth=trials|rows|nodes|folds                            how time and memory grow

Other arguments are passed to the searches, such as dataset.count=300.
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
from bench.cases import CASES, FOLDS, prepare_case
from bench.searches import SEARCHES, prepare_search, run_ours, run_peer
from bench.sides import SIDES
from pipeline.training.fit import gc_unfrozen_on_exit

OPTIONS = ("case", "search", "growth", "pairs", "epochs", "side", "trials")
PEERS: Mapping[str, Mapping[str, bool]] = {
    "peer": {},
    "peer, best epochs saved": {"saves_best": True},
    "tuned, untracked": {"tracked": False},
}
SCORE_TOLERANCE = 0.01  # a larger relative difference of the mean scores means that the work was not the same


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 1 if the sides did not do the same work."""
    for library in ("pytorch_lightning", "mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    given = dict(argument.split("=", 1) for argument in arguments)
    overrides = [argument for argument in arguments if argument.split("=")[0] not in OPTIONS]
    for key, known in (("case", CASES), ("search", SEARCHES), ("side", SIDES), ("growth", growth.KINDS)):
        if unknown := sorted(set(given.get(key, next(iter(known))).split(",")) - set(known)):
            print(f"{key}: one of {', '.join(known)}; got {', '.join(unknown)}", file=sys.stderr)
            return 2
    console = Console(width=110)
    if "growth" in given:
        console.print(growth.build_table(given["growth"]))
        return 0
    pairs = int(given.get("pairs", "5"))
    measure: Callable[[str, Table], list[str]]
    if "search" in given:
        names, unit = given["search"].split(","), "ms a trial"

        def measure(name: str, table: Table) -> list[str]:
            return _search(name, int(given.get("trials", "20")), overrides, pairs, table)
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
    print(*(f"score differs from ours: {line}" for line in differ), sep="\n", file=sys.stderr)
    return 1 if differ else 0


def _case(name: str, sides: Sequence[str], epochs: int, pairs: int, table: Table) -> list[str]:
    """Time one network: each side trains the folds of one trial, in turn; return the sides with other scores."""
    case = replace(CASES[name], epochs=epochs)
    task, folds = prepare_case(case)
    times: dict[str, list[float]] = {side: [] for side in sides}
    scores: dict[str, float] = {}
    for round_ in range(pairs + 1):
        for side in sides:
            gc.collect()
            begin = time.perf_counter()
            scores[side] = statistics.mean(SIDES[side](case, task, folds))
            if round_:  # the first round warms up
                times[side].append(1000 * (time.perf_counter() - begin) / (FOLDS * epochs))
    return _add_rows(name, times, scores, {}, table)


def _search(name: str, trials: int, overrides: Sequence[str], pairs: int, table: Table) -> list[str]:
    """Time a whole search: ours samples the trials, the peers train the same ones."""
    times: dict[str, list[float]] = {side: [] for side in ("ours", *PEERS)}
    scores: dict[str, float] = {}
    notes = {}
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            search, problem = prepare_search(name, trials, Path(folder), overrides)
            first = run_ours(search, problem)
            results = {"ours": first}
            results |= {side: run_peer(search, problem, first.trials, side, **how) for side, how in PEERS.items()}
        for side, result in results.items():
            times[side].append(1000 * result.seconds / trials)
            scores[side] = statistics.mean(result.scores)
        share = (first.tracking_seconds + first.sampling_seconds) / first.seconds
        notes["ours"] = f"tracking and sampling {share:.1%}; {60 * trials / first.seconds:.0f} trials a minute"
    return _add_rows(name, times, scores, notes, table)


def _add_rows(
    name: str,
    times: Mapping[str, Sequence[float]],
    scores: Mapping[str, float],
    notes: Mapping[str, str],
    table: Table,
) -> list[str]:
    """Add a row for each side; return the sides whose scores differ from ours."""
    first, *_ = times
    own = statistics.median(times[first])
    differ = []
    for side, side_times in times.items():
        middle = statistics.median(side_times)
        spread = f"{min(side_times):.3g} to {max(side_times):.3g}"
        ratio = f"{middle / own:.2f}"
        table.add_row(name, side, f"{middle:.4g}", spread, ratio, f"{scores[side]:.4f}", notes.get(side, ""))
        if abs(scores[side] - scores[first]) > SCORE_TOLERANCE * max(1.0, abs(scores[first])):
            differ.append(f"{name}, {side}: {scores[side]:.4f}")
    return differ


if __name__ == "__main__":
    with gc_unfrozen_on_exit():
        sys.exit(main(sys.argv[1:]))
