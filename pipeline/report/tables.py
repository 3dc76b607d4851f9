"""Tables of the page: the trials with hyperparameters and scores, and the reasons why they ended."""

from collections import Counter

from pipeline.report.phrases import add_unit
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import shorten
from pipeline.study.formatting import format_network
from pipeline.study.space import WIDTH_KEYS, format_override_value
from pipeline.study.trial_record import TrialRecord

MAX_LISTED_TRIALS = 100
MAX_LISTED_REASONS = 20


def build_headings(table: TrialTable) -> list[str]:
    """Return the column headings; the last ones are the hyperparameters that differ among the trials."""
    hyperparameters = [key.partition(".")[2].replace("_", " ") for key in _find_varied_keys(table)]
    score = f"{add_unit('score', table.unit)} ± standard error"
    return ["trial", "state", score, "hidden layers", "parameters", "epoch", "seconds", *hyperparameters]


def _find_varied_keys(table: TrialTable) -> list[str]:
    keys = [key for key in table.trials[0].hyperparameters if key not in WIDTH_KEYS]
    return [key for key in keys if len({trial.hyperparameters[key] for trial in table.trials}) > 1]


def format_trials(table: TrialTable) -> list[list[str]]:
    """Return one line per trial: complete trials first, the best on top; of the others, those without a score last."""

    def sort_key(trial: TrialRecord) -> tuple[bool, bool, float, int, int]:
        score = -table.improvement(trial.value, 0) if trial.is_finite else 0
        return trial.state != "complete", not trial.is_finite, score, trial.n_parameters, trial.number

    format_score = table.metric.format
    keys = _find_varied_keys(table)
    lines = []
    for trial in sorted(table.trials, key=sort_key)[:MAX_LISTED_TRIALS]:
        score = f"{format_score(trial.value)} ± {format_score(trial.standard_error)}" if trial.is_finite else "none"
        facts = [f"{trial.n_parameters:,}", str(trial.epoch or ""), f"{trial.seconds:.1f}"]
        values = ["" if value == "" else format_override_value(value) for value in map(trial.hyperparameters.get, keys)]
        lines.append([str(trial.number), trial.state, score, format_network(trial.hyperparameters), *facts, *values])
    return lines


def count_endings(table: TrialTable) -> list[tuple[str, int, str]]:
    """Return state, number of trials and reason of each ending, the most frequent first."""
    counts = Counter[tuple[str, str]](
        (trial.state, trial.reason.partition("a repeat of trial")[2].partition(": ")[2] or trial.reason)
        for trial in table.trials
    )
    endings = [(state, count, shorten(reason)) for (state, reason), count in counts.most_common(MAX_LISTED_REASONS)]
    remaining = len(table.trials) - sum(count for _, count, _ in endings)
    return [*endings, ("other", remaining, "see MLflow for more reasons")] if remaining else endings
