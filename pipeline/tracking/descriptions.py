"""Descriptions of a task's experiment, a study's run and a registered model on MLflow's pages, in Markdown."""

from pipeline.config import follow_up_commands
from pipeline.config.datasets import DATASETS
from pipeline.config.heads import HEADS
from pipeline.config.metrics import METRICS
from pipeline.study import formatting
from pipeline.study.description import StudyDescription
from pipeline.study.summary import StudySummary
from pipeline.tracking import markdown

SYNTHETIC_DATA_WARNING = "Trained on synthetic data: a demonstration, of no use on real images or tables. "
MODEL_LIMITATIONS = (
    "The scores hold for rows like those of the test set: from the same source, selected and prepared in the same way. "
    "The model gives a prediction for every input, also for one that is unlike its training data. "
    "Its probabilities are not calibrated."
)
MAX_SEARCH_SPACE_ROWS = 20


def describe_experiment(description: StudyDescription, trials_link: str) -> str:
    """Return the note of a task's experiment; trials_link: sentence with the link to the table of all trials."""
    metric = METRICS[description.metric].describe(markdown.escape(description.unit))
    return _join_paragraphs(
        f"{_format_question(description)} {_describe_prediction(description)}",
        f"Data: {_describe_data(description)}.",
        f"Metric: {metric}. Trials are compared by cross-validation; the winner is evaluated "
        "on the test set, which takes no part in the search.",
        f"In the tables, `score` is the cross-validation score and `test/{description.metric}` the test score.",
        f"A run is a study, with its summary; a nested run is a trial, with its learning curves. {trials_link}",
    )


def describe_unfinished_study(description: StudyDescription, finished_trials: int, *, is_stopped: bool) -> str:
    """Return the note of a study's run before it has a result; is_stopped: no process runs the study now."""
    state = "Stopped; run the same command again to resume" if is_stopped else "Running"
    return _join_paragraphs(
        f"**{_format_question(description)}** {state}: {finished_trials} of {description.budget} trials.",
        _format_study_table(description),
    )


def describe_study(description: StudyDescription, summary: StudySummary, trials_link: str) -> str:
    """Return the note of a finished study's run; MLflow shows its first five lines: the result and how to predict."""
    evaluations = f"The test set was evaluated {formatting.format_times(summary.test.evaluations)}."
    return _join_paragraphs(
        f"{_summarize_result(description, summary)}  \n{_format_usage(description)}",
        _format_score_table(summary),
        f"\\* optimistic: the best of {summary.trials.total} trials was selected by it. {evaluations} {trials_link}",
        "**The winner as a command**",
        markdown.format_code_block([*description.before, *summary.best.overrides, *description.after]),
        _format_study_table(description, summary),
    )


def describe_model_version(description: StudyDescription, summary: StudySummary) -> str:
    """Return the description of a registered version, without bold type, which MLflow's lists do not render."""
    return f"{_summarize_result(description, summary)} Study {markdown.escape(description.study)}.".replace("**", "")


def build_model_card(description: StudyDescription, summary: StudySummary) -> str:
    """Return the description of a registered model: the model card of its champion."""
    counts = description.rows
    synthetic_warning = SYNTHETIC_DATA_WARNING if description.decides["drawn"] == "true" else ""
    return _join_paragraphs(
        f"## {markdown.escape(description.task)}",
        f"**Intended use.** {_format_question(description)} {_describe_prediction(description)}",
        f"**Data.** {_describe_data(description)}: {counts['development']:,} to train, {counts['test']:,} to test.",
        f"**Scores.** {_summarize_result(description, summary)}",
        _format_score_table(summary),
        f"**Limitations.** {synthetic_warning}{MODEL_LIMITATIONS} "
        f"\\* optimistic: the best of {summary.trials.total} trials was selected by it.",
        _format_usage(description),
    )


def _join_paragraphs(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs)


def _format_question(description: StudyDescription) -> str:
    return markdown.escape(description.question or description.task)


def _describe_prediction(description: StudyDescription) -> str:
    names = description.class_names
    if not names:
        return f"A number{f', in {markdown.escape(description.unit)}' if description.unit else ''}."
    head = HEADS[description.architecture["head"]["kind"]]
    quantifier = "None, one or several" if head.target_kind == "labels" else "One"
    return f"{quantifier} of {len(names)}: {markdown.format_name_list(names)}."


def _describe_data(description: StudyDescription) -> str:
    spec = DATASETS.get(description.dataset)  # None: the study of a release with other data sets
    dataset = spec.description if spec else f"rows of {markdown.escape(description.dataset)}"
    return f"{description.rows['rows']:,} {dataset}"


def _format_usage(description: StudyDescription) -> str:
    """Return the predict command, and the columns of its table if the model reads one."""
    command = f"**Use.** {markdown.format_inline_code(description.predict)}"
    columns = follow_up_commands.describe_required_columns(description.input_columns)
    return _join_paragraphs(command, f"{markdown.escape(columns)}.") if columns else command


def _summarize_result(description: StudyDescription, summary: StudySummary) -> str:
    """Return the winner, its test score with the interval, and its gain over the baseline, in three sentences."""
    test = summary.test
    metric = METRICS[test.metric]
    unit = f" {markdown.escape(description.unit)}" if metric.in_target_unit else ""
    layers = formatting.format_hidden_layers(summary.best)
    network = layers if "hidden" in layers else f"hidden layers {layers}"
    return (
        f"**Trial {summary.best.number} won: {network}; {formatting.format_size(summary)}.** "
        f"On {test.rows:,} held-out rows: **{metric.title} {metric.format(test.value)}{unit}** "
        f"(95 % interval {metric.format(test.low)} to {metric.format(test.high)}).{_summarize_gain(summary, unit)}"
    )


def _summarize_gain(summary: StudySummary, unit: str) -> str:
    """Return a sentence on the gain over the baseline, and whether it may be chance; "" without a baseline."""
    test = summary.test
    if summary.baseline is None:
        return ""
    if summary.best.number == 0:
        return " It is the baseline itself: no other trial has a better cross-validation score."
    baseline_score = summary.baseline.test.value
    gain = formatting.format_gain(test.value, baseline_score, test.metric)
    chance_note = ", perhaps by chance" if test.low <= baseline_score <= test.high else ""
    return f" Gain over the baseline's {METRICS[test.metric].format(baseline_score)}: **{gain}{unit}**{chance_note}."


def _format_score_table(summary: StudySummary) -> str:
    rows = [
        [f"**{cell}**" if cell and name.startswith("winner") else cell for cell in (name, *cells)]
        for name, *cells in formatting.format_rows(summary)
    ]
    return markdown.format_table(("", "hidden layers", "cross-validation\\*", "held-out test, 95 % interval"), rows)


def _format_study_table(description: StudyDescription, summary: StudySummary | None = None) -> str:
    """Return a table of task, data, metric, search method and search space; with a summary, of the cost too."""
    counts = description.rows
    splits = f"{counts['development']:,} to search on ({description.splits}), {counts['test']:,} held out"
    rows = [
        ("task", markdown.escape(description.task)),
        ("question", markdown.escape(description.question)),
        ("prediction", _describe_prediction(description)),
        ("data", f"{_describe_data(description)}: {splits}"),
        ("", markdown.escape(markdown.truncate(description.source, 300))),
        ("metric", METRICS[description.metric].describe(markdown.escape(description.unit))),
        ("search", markdown.escape(description.method)),
    ]
    if summary is not None:
        training_time = f"{summary.seconds.training:,.0f} s on {markdown.escape(summary.device)}"
        rows += [("trials", formatting.format_trial_counts(summary.trials)), ("training time", training_time)]
    ranges = list(description.searched.items())[:MAX_SEARCH_SPACE_ROWS]
    rows += [(markdown.escape(key), markdown.escape(markdown.truncate(text, 80))) for key, text in ranges]
    return "**The study**\n\n" + markdown.format_table(("", ""), rows)
