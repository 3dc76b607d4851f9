"""Whole searches with tracking: ours, and Optuna with a Trainer for each fold, MLFlowLogger and SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from mlflow import MlflowClient
from pytorch_lightning.loggers import MLFlowLogger
from rich.console import Console
from sklearn.datasets import load_digits

from bench.cases import CASES, Case, make_blobs, make_examples, make_table, make_task
from bench.sides import fit
from pipeline.config.reader import read_search
from pipeline.config.schema import Search
from pipeline.data.examples import Examples
from pipeline.runtime import seeds
from pipeline.study import proposal_batches, space
from pipeline.study.description import StudyDescription
from pipeline.study.problem import Problem, build_problem
from pipeline.study.study import Study
from pipeline.study.trial_record import TrialRecord
from pipeline.tracking.client import connect
from pipeline.tracking.process import Tracker
from pipeline.training.engine import StreamSeeds
from pipeline.tuner.executors import InProcessExecutor
from pipeline.tuner.live_display import LiveDisplay
from pipeline.tuner.trial_runner import TrialRunner

COMMON = ("pruner=none", "model.dropout=0.0", "training.patience=null", "compute=cpu", "space=dense")
SEARCHES = {
    "digits": ("task=cat_species", "model.nodes=[32]", "training.epochs=10"),
    "features_512": ("task=cat_species", "model.nodes=[64,64]", "training.epochs=10"),
    "heads": ("task=cat_species", "training.epochs=30"),
    "house_price": ("task=house_price",),
    "day_night": ("task=day_night",),
    "cat_presence": ("task=cat_presence",),
}


def _digits() -> Examples:
    pixels, digits = load_digits(return_X_y=True)
    return make_examples(make_table(pixels), digits, 10)


EXAMPLES: Mapping[str, Callable[[], Examples]] = {
    "digits": _digits,
    "features_512": lambda: make_blobs(CASES["B"]),
    "heads": lambda: make_blobs(Case("heads", 1280, ()), 1_185 * 5 // 4),  # rows: the photographs of breeds
}


@dataclass(frozen=True)
class SearchResult:
    """Result of a search: seconds from the first proposal to the last write, and each trial's last score.

    tracking_seconds, sampling_seconds: the parts of the seconds that MLflow and Optuna took.
    """

    seconds: float
    scores: tuple[float, ...]
    trials: tuple[TrialRecord, ...] = ()
    tracking_seconds: float = 0.0
    sampling_seconds: float = 0.0


def prepare_search(name: str, trials: int, store: Path, overrides: Sequence[str] = ()) -> tuple[Search, Problem]:
    """Return the configuration of a search with this number of trials, and its problem."""
    search = read_search([*SEARCHES[name], *COMMON, f"budget.trials={trials}", f"store={store}", *overrides])
    if name not in EXAMPLES:
        return search, build_problem(search)
    examples = EXAMPLES[name]()
    task, splits = make_task(examples, search.cv)
    return search, Problem(name, "0" * 64, {}, examples, splits, task, None)


def run_ours(search: Search, problem: Problem, on_trial_end: Callable[[], object] = lambda: None) -> SearchResult:
    """Run the trials as `pipeline.tuner.search` does; `on_trial_end` is called after each of them.

    The timing begins once MLflow's process is up: the command starts it before torch is imported.
    """
    with Tracker() as tracker:
        return _run_trials(search, problem, tracker, on_trial_end)


def _run_trials(search: Search, problem: Problem, tracker: Tracker, on_trial_end: Callable[[], object]) -> SearchResult:
    folder = search.store / "studies" / problem.name
    folder.mkdir(parents=True)
    batch_size = proposal_batches.choose_batch_size(search, 1, on_gpu=False)
    study = Study(search, problem.name, folder, {}, batch_size)
    display = LiveDisplay(Console(quiet=True), search.metric.name, study.n_trials, 0, None)
    display.finish_trial = lambda *_: on_trial_end()  # type: ignore[method-assign, return-value, assignment]
    fold_builder = problem.fold_data_builder()
    trials = TrialRunner(problem, study, folder, lambda: None, lambda: False)
    StudyDescription.from_search(search, problem).write(folder)
    tracker.start(folder, print)
    _wait_until_tracked(search.store)
    sampling_before = study.sampling_seconds
    begin = time.perf_counter()
    trials.run(
        [InProcessExecutor(problem.task, fold_builder.build_folds(problem.splits), search.seed, folder, lambda: None)],
        display,
    )
    tracker.finish()
    seconds = time.perf_counter() - begin
    records = tuple(study.finished_trials())
    scores = tuple(record.epoch_results[-1].mean_score if record.epoch_results else 0.0 for record in records)
    return SearchResult(seconds, scores, records, tracker.wait_seconds, study.sampling_seconds - sampling_before)


def _wait_until_tracked(store: Path) -> None:
    """Wait until the study has its MLflow run."""
    client = connect(None, store)
    while not (experiments := client.search_experiments(filter_string="name != 'Default'")) or not client.search_runs(
        [experiments[0].experiment_id], max_results=1
    ):
        time.sleep(0.05)


def run_peer(
    search: Search,
    problem: Problem,
    trials: Sequence[TrialRecord],
    name: str,
    *,
    tracked: bool = True,
    saves_best: bool = False,
) -> SearchResult:
    """Run the same trials with the same libraries in the usual way; without tracking, with the tuned loop.

    saves_best: save the parameters of each fold's best epoch, as ours does for the best trial.
    """
    folder = search.store / name
    folder.mkdir()
    tracking = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    if tracked:
        MlflowClient(tracking).create_experiment("peer", artifact_location=str(folder.resolve()))
    study = optuna.create_study(storage=f"sqlite:///{folder}/optuna.db", direction="maximize")
    fold_builder = problem.fold_data_builder()
    folds = fold_builder.build_folds(problem.splits)
    scores = []
    begin = time.perf_counter()
    for record in trials:
        candidate = space.from_hyperparameters(record.hyperparameters)
        params = space.to_optuna_params(search.space, candidate)
        if params is not None:
            study.enqueue_trial(params)
        trial = study.ask()
        if params is not None:
            space.sample_candidate(search.space, space.optuna_suggester(trial))
        seeds_of_trial = StreamSeeds(search.seed, seeds.derive_seed(search.seed, record.number))
        fold_scores = []
        for data in folds:
            run = f"trial {record.number} fold {data.fold}"
            logger = MLFlowLogger("peer", run_name=run, tracking_uri=tracking) if tracked else False
            if isinstance(logger, MLFlowLogger):
                logger.log_hyperparams(dict(record.hyperparameters))
            arguments = problem.task, data, candidate.model, candidate.training, seeds_of_trial
            fold_scores.append(
                fit(
                    *arguments, tuned=not tracked, logger=logger, checkpoint_folder=folder / run if saves_best else None
                )
            )
        scores.append(sum(fold_scores) / len(fold_scores))
        study.tell(trial, scores[-1])
    return SearchResult(time.perf_counter() - begin, tuple(scores))
