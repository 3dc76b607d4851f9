"""Write what was measured: a Markdown table and a figure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.quality.comparison import RANKINGS, REFERENCE, Comparison
from bench.quality.scores import MAIN_METRIC
from bench.quality.tables import Half, PublicTable, TargetKind, choose_half

TITLES = {
    "trees": "scikit-learn's trees",
    "catboost": "CatBoost",
    "realmlp": "RealMLP-TD",
    "realmlp_folds": "RealMLP-TD, 5 folds",
    "tabm": "TabM-D",
    "ours": "layers and nodes",
}
AXES: dict[TargetKind, str] = {
    "classes": "points of accuracy above the trees",
    "numbers": "mean absolute error below the trees', %",
}
CAPTION = """\
The column of the trees is their score: accuracy, or mean absolute error. The others are gains over the trees on the
same test rows, + is better: points of accuracy, or percent of the error; mean over the seeds ± standard deviation.
CPU seconds are those of the whole process, mean over the seeds.
"""


def format_markdown(comparison: Comparison, ranked: Comparison) -> str:
    """Return the table in Markdown; ranked: the comparison of the methods that are ranked with one another."""
    labels = comparison.labels
    header = _row(["table", "rows", *(TITLES.get(label, label) for label in labels), "CPU seconds"])
    lines = [header, "|---|---:|" + "---:|" * len(labels) + "---|"]
    for half in get_args(Half):
        tables = [table for table in comparison.tables if choose_half(table) == half]
        lines += [_row([f"**{half} half**", "", *([""] * len(labels)), " / ".join(labels)])] if tables else []
        lines += [_format_table(comparison, table) for table in tables]
        lines += _format_ranks(ranked, half, labels)
    return "\n".join([*lines, "", CAPTION])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _format_table(comparison: Comparison, table: PublicTable) -> str:
    cells = [_format_cell(comparison, table, label) for label in comparison.labels]
    seconds = [comparison.cpu_seconds(table, label) for label in comparison.labels]
    times = " / ".join("-" if value is None else f"{value:.0f}" for value in seconds)
    grouped = ", grouped" if table.group else ""
    return _row([f"{table.name}{grouped}", f"{table.rows:,}", *cells, times])


def _format_cell(comparison: Comparison, table: PublicTable, label: str) -> str:
    if label == REFERENCE:
        scores = list(comparison.scores(table, label, MAIN_METRIC[table.target_kind]).values())
        return f"{statistics.mean(scores):.4g}" if scores else "-"
    gains = comparison.gains(table, label)
    if not gains:
        return "-"
    unit = "" if table.target_kind == "classes" else " %"
    spread = f" ± {statistics.stdev(gains):.1f}" if len(gains) > 1 else ""
    return f"{statistics.mean(gains):+.1f}{spread}{unit}"


def _format_ranks(ranked: Comparison, half: Half, labels: Sequence[str]) -> list[str]:
    rows = []
    for title, metrics in RANKINGS.items():
        ranks, count = ranked.mean_ranks(half, metrics)
        cells = [f"{ranks[label]:.2f}" if label in ranks else "-" for label in labels]
        rows += [_row([f"{title}, {count} splits", "", *cells, ""])] if count else []
    return rows


def draw_figure(comparison: Comparison, ranked: Comparison, file: Path) -> None:
    """Draw the gains over the trees for each kind of target, and the mean rank over the CPU seconds, as a PNG."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, kind in zip(axes, get_args(TargetKind), strict=False):
        _draw_gains(ax, comparison, kind)
    _draw_ranks(axes[-1], ranked)
    handles = {name: handle for ax in axes[:-1] for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(TITLES))
    figure.savefig(file, dpi=110)


def _draw_gains(ax: Axes, comparison: Comparison, kind: TargetKind) -> None:
    tables = [table for table in comparison.tables if table.target_kind == kind]
    for number, label in enumerate(comparison.labels):
        points = [(place, gain) for place, table in enumerate(tables) for gain in comparison.gains(table, label)]
        if points and label != REFERENCE:
            heights = [place + 0.1 * (number - len(comparison.labels) / 2) for place, _ in points]
            ax.plot(
                [gain for _, gain in points], heights, "o", ms=4, color=f"C{number}", label=TITLES.get(label, label)
            )
    ax.axvline(0, color="gray", lw=1)
    ax.set_yticks(range(len(tables)), [f"{table.name} ({choose_half(table)})" for table in tables])
    ax.set_xlabel(AXES[kind])


def _draw_ranks(ax: Axes, ranked: Comparison) -> None:
    """Draw a marker for each method and half: filled for the second half."""
    for half, fill in zip(get_args(Half), ("none", "full"), strict=True):
        ranks, _ = ranked.mean_ranks(half)
        tables = [table for table in ranked.tables if choose_half(table) == half]
        for number, label in enumerate(ranked.labels):
            seconds = [value for table in tables if (value := ranked.cpu_seconds(table, label)) is not None]
            if label in ranks and seconds:
                middle = statistics.geometric_mean(seconds)
                ax.semilogx(middle, ranks[label], "s", color=f"C{number}", fillstyle=fill)
                ax.annotate(f"{TITLES.get(label, label)}, {half}", (middle, ranks[label]), fontsize="x-small")
    ax.invert_yaxis()
    ax.set_xlabel("CPU seconds, geometric mean over the tables")
    ax.set_ylabel("mean rank, 1 is best")
