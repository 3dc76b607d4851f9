"""Compare the product's predictions with other methods' on public tables: `python -m bench.quality run`.

python -m bench.quality run [half=first] [method=trees,ours] [seed=0,1,2] [rows=25000] [folder=...]   train and score
python -m bench.quality report [figure=bench/quality.png] [label=ours] [folder=...]   the table and the figure
python -m bench.quality tables                                                        the tables, and their halves

A run continues where an earlier one ended. Its other arguments are passed to the product's search, such as
budget.trials=5, together with label=<name>, under which the results are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.quality.comparison import Comparison
from bench.quality.report import draw_figure, format_markdown
from bench.quality.runner import METHODS, Runner, plan_jobs, read_results
from bench.quality.tables import TABLES, choose_half

HALVES = ("first", "second")
COMMANDS = ("run", "report", "tables")
OPTIONS = ("half", "method", "seed", "rows", "folder", "label", "figure")
UNRANKED = ("realmlp_folds",)  # it is there for its CPU seconds


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 1 if a job failed, 2 for a mistake."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"the first argument is one of {', '.join(COMMANDS)}; got {' '.join(arguments[:1])}", file=sys.stderr)
        return 2
    command, *rest = arguments
    given = dict(argument.split("=", 1) for argument in rest if argument.split("=")[0] in OPTIONS)
    overrides = [argument for argument in rest if argument.split("=")[0] not in OPTIONS]
    if mistakes := _find_mistakes(given, overrides):
        print(*mistakes, sep="\n", file=sys.stderr)
        return 2
    if command == "tables":
        print(*(_describe(name) for name in sorted(TABLES)), sep="\n")
        return 0
    runner = Runner(Path(given.get("folder", "build/quality")))
    if command == "run":
        return 1 if _run(runner, given, overrides) else 0
    _report(runner, given)
    return 0


def _find_mistakes(given: Mapping[str, str], overrides: Sequence[str]) -> list[str]:
    mistakes = []
    for key, known in (("half", HALVES), ("method", METHODS)):
        if unknown := sorted(set(given.get(key, known[0]).split(",")) - set(known)):
            mistakes.append(f"{key}: one of {', '.join(known)}; got {', '.join(unknown)}")
    if overrides and "label" not in given:
        mistakes.append(f"label: names the product with other settings; got {' '.join(overrides)}; add label=<name>")
    return mistakes


def _describe(name: str) -> str:
    table = TABLES[name]
    group = f", grouped by {table.group}" if table.group else ""
    size = f"{table.rows:,} rows, {table.target_kind}{group}"
    return f"{name}: {choose_half(table)} half, {size}, {table.source}, {table.license}"


def _run(runner: Runner, given: Mapping[str, str], overrides: Sequence[str]) -> int:
    halves = given.get("half", ",".join(HALVES)).split(",")
    methods = given.get("method", ",".join(METHODS)).split(",")
    seeds = [int(seed) for seed in given.get("seed", "0,1,2").split(",")]
    jobs = plan_jobs(halves, methods, seeds, int(given.get("rows", "25000")), given.get("label", "ours"))
    return runner.run(jobs, overrides)


def _report(runner: Runner, given: Mapping[str, str]) -> None:
    lines = read_results(runner.results)
    labels = [given.get("label", "ours"), *(method for method in METHODS if method != "ours")]
    comparison = Comparison.from_lines(lines, labels)
    ranked = Comparison.from_lines(lines, [label for label in labels if label not in UNRANKED])
    print(format_markdown(comparison, ranked))
    draw_figure(comparison, ranked, Path(given.get("figure", "bench/quality.png")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
