"""What MLflow's pages say of a task, of a study and of its model, in Markdown."""

from __future__ import annotations

from pipeline.config import follow_up_commands
from pipeline.config.metrics import METRICS
from pipeline.study import formatting
from pipeline.study.description import StudyDescription
from pipeline.study.formatting import format_score
from pipeline.study.summary import BaselineSummary, StudySummary, TestScore, WinnerSummary
from pipeline.tracking.markdown import (
    escape_markdown,
    format_code_block,
    format_inline_code,
    format_name_list,
    format_table,
    truncate,
)

DATASET_DESCRIPTIONS = {
    "drawn": "pictures that the program drew",
    "drawn_houses": "houses that the program made up",
    "folder": "pictures in folders, one a class",
    "labels": "pictures named in a CSV file",
    "hdf5": "pictures in HDF5 files",
    "table": "rows of a table",
    "oxford_pets": "photographs of the Oxford-IIIT Pet data set",
    "cifar": "photographs of the CIFAR-10 data set",
}
SYNTHETIC_DATA_WARNING = (
    "It learned from what the program made up: a demonstration, of no use on real pictures or rows. "
)
MODEL_LIMITATIONS = (
    "The scores hold for rows like those it was tested on: of the same source, chosen and prepared in the same way. "
    "It always answers, also where it was never shown anything of the kind. How sure it says it is was not calibrated."
)
MAX_RANGE_LINES = 20  # lines


def describe_experiment(description: StudyDescription, trials_link: str) -> str:
    """Of an experiment: what is asked, of which data, how it is judged; trials: where all of them are a table."""
    return "\n\n".join(
        [
            f"{_format_question(description)} {_describe_prediction(description)}",
            f"Data: {_describe_data(description)}.",
            f"Judged by {_describe_metric(description)}: on cross-validated folds; the winner once on rows that nothing has seen.",
            f"In the tables, `score` is the former and `test/{description.metric}` the latter.",
            f"A run is a search, with its summary; a nested run is a trial, with its curves. {trials_link}",
        ]
    )


def describe_unfinished_study(description: StudyDescription, finished_trials: int, *, is_stopped: bool) -> str:
    """Of a study without a result so far: what is being tried; over: nobody is at it at the moment."""
    state = "Stopped; the same command goes on" if is_stopped else "Being searched"
    return "\n\n".join(
        [
            f"**{_format_question(description)}** {state}: {finished_trials} of {description.budget} trials.",
            _format_study_table(description),
        ]
    )


def describe_study(description: StudyDescription, summary: StudySummary, trials_link: str) -> str:
    """Of a finished study: who won, by how much, how sure that is, and how to use it; all of it in the first lines."""
    best, test = summary.best, summary.test
    test_evaluations = f"The test set was evaluated {formatting.format_times(test.opened)}."
    return "\n\n".join(
        [
            f"{_summarize_result(description, summary)}  \n{_format_predict_command(description)}",  # MLflow shows five lines, and hides the rest
            *_describe_required_columns(description),
            _format_score_table(summary),
            f"\\* optimistic: the best of {summary.trials.total} trials is chosen by it. {test_evaluations} {trials_link}",
            "**The winner as a command**",
            format_code_block([*description.before, *best.overrides, *description.after]),
            _format_study_table(description, summary),
        ]
    )


def describe_model_version(description: StudyDescription, summary: StudySummary) -> str:
    """Of a registered version: its score and where it comes from; a list shows the beginning, without its Markdown."""
    return f"{_summarize_result(description, summary)} Study {escape_markdown(description.study)}.".replace("**", "")


def build_model_card(description: StudyDescription, summary: StudySummary) -> str:
    """Of a registered model: a model card of its champion."""
    row_counts, trial_count = description.rows, summary.trials.total
    synthetic_warning = SYNTHETIC_DATA_WARNING if description.decides["drawn"] == "true" else ""
    return "\n\n".join(
        [
            f"## {escape_markdown(description.task)}",
            f"**Intended use.** {_format_question(description)} {_describe_prediction(description)}",
            f"**Data.** {_describe_data(description)}. Trained on {row_counts['development']:,} rows, tested on {row_counts['test']:,} others.",
            f"**Scores.** {_summarize_result(description, summary)}",
            _format_score_table(summary),
            f"**Limits.** {synthetic_warning}{MODEL_LIMITATIONS} \\* optimistic: the best of {trial_count} trials was chosen by it.",
            _format_predict_command(description),
            *_describe_required_columns(description),
        ]
    )


def _format_question(description: StudyDescription) -> str:
    return escape_markdown(description.question or description.task)


def _describe_prediction(description: StudyDescription) -> str:
    """What an answer is."""
    head_kind = description.architecture.get("head", {}).get("kind")
    if not description.class_names:
        return f"A number{f', in {escape_markdown(description.unit)}' if description.unit else ''}."
    quantifier = {"sigmoids": "None, one or several of", "sigmoid": "One of"}.get(str(head_kind), "One of")
    return f"{quantifier} {len(description.class_names)}: {format_name_list(description.class_names)}."


def _describe_data(description: StudyDescription) -> str:
    return f"{DATASET_DESCRIPTIONS.get(description.dataset, escape_markdown(description.dataset))}, {description.rows['rows']:,} of them"


def _format_predict_command(description: StudyDescription) -> str:
    """The command that answers."""
    return f"**Use.** {format_inline_code(description.predict)}"


def _describe_required_columns(description: StudyDescription) -> list[str]:
    """What that command needs besides, if anything."""
    return (
        [f"{escape_markdown(follow_up_commands.describe_required_columns(description.input_columns))}."]
        if description.input_columns
        else []
    )


def _describe_metric(description: StudyDescription) -> str:
    return METRICS[description.metric].describe(escape_markdown(description.unit))


def _summarize_result(description: StudyDescription, summary: StudySummary) -> str:
    """The winner, its size, its score with its interval, and what was gained, in three sentences."""
    best, test, baseline = summary.best, summary.test, summary.baseline
    metric, unit = (
        test.metric,
        f" {escape_markdown(description.unit)}" if METRICS[test.metric].in_target_unit else "",
    )
    layers = formatting.format_hidden_layers(best)
    network = layers if "hidden" in layers else f"hidden layers {layers}"
    low, high = format_score(test.low, metric), format_score(test.high, metric)
    text = (
        f"**Trial {best.number} won: {network}; {summary.parameters:,} parameters.** "
        f"On {test.rows:,} held-out rows: **{metric.replace('_', ' ')} {format_score(test.value, metric)}{unit}** "
        f"(95 % interval {low} to {high})."
    )
    return text if baseline is None else f"{text} {_summarize_gain(best, test, baseline, unit)}"


def _summarize_gain(best: WinnerSummary, test: TestScore, baseline: BaselineSummary, unit: str) -> str:
    """What the winner gained over the baseline, and whether that may be chance."""
    if not best.number:
        return "It is the baseline itself: nothing that was tried is better in cross-validation."
    metric, baseline_score = test.metric, baseline.test.value
    gain_text = formatting.format_gain(test.value, baseline_score, metric)
    chance_note = ", perhaps by chance" if test.low <= baseline_score <= test.high else ""
    return f"Gain over the baseline's {format_score(baseline_score, metric)}: **{gain_text}{unit}**{chance_note}."


def _format_score_table(summary: StudySummary) -> str:
    table_rows = formatting.format_rows(summary)
    bold_rows = [
        [f"**{cell}**" if cell and name.startswith("winner") else cell for cell in (name, *rest)]
        for name, *rest in table_rows
    ]
    return format_table(("", "hidden layers", "cross-validation\\*", "held-out test, 95 % interval"), bold_rows)


def _format_study_table(description: StudyDescription, summary: StudySummary | None = None) -> str:
    """What was asked, of what, how, and which ranges were searched."""
    row_counts = description.rows
    split_text = f"{row_counts['development']:,} to search on ({description.splits}), {row_counts['test']:,} held out"
    lines = [
        (
            "task",
            f"{escape_markdown(description.task)}: {_format_question(description)}"
            if description.question
            else escape_markdown(description.task),
        ),
        ("answer", _describe_prediction(description)),
        ("data", f"{_describe_data(description)}: {split_text}"),
        ("", escape_markdown(truncate(description.source, 300))),
        ("judged by", _describe_metric(description)),
        ("searched by", escape_markdown(description.method)),
    ]
    if summary is not None:
        seconds, device = summary.seconds.training, escape_markdown(summary.device)
        lines += [
            ("trials", formatting.format_trial_counts(summary.trials)),
            ("they took", f"{seconds:,.0f} s on {device}"),
        ]
    ranges = list(description.searched.items())
    lines += [(escape_markdown(key), escape_markdown(truncate(range_, 80))) for key, range_ in ranges[:MAX_RANGE_LINES]]
    return "**What was asked**\n\n" + format_table(("", ""), lines)
