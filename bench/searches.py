"""Whole searches, tracking included: ours, and Optuna with a Trainer a fold, MLFlowLogger and SQLite."""

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

from bench.cases import CASES, Case, asked, clouds, columns, labelled
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
from pipeline.tracking.process import FollowerHandle
from pipeline.training.engine import StreamSeeds
from pipeline.tuner.executors import InProcessExecutor
from pipeline.tuner.live_display import LiveDisplay
from pipeline.tuner.scheduler import TrialScheduler

SAME = ("pruner=none", "model.dropout=0.0", "training.patience=null", "compute=cpu", "space=dense")
WORDS = {
    "digits": ("task=cat_species", "model.nodes=[32]", "training.epochs=10"),
    "features_512": ("task=cat_species", "model.nodes=[64,64]", "training.epochs=10"),
    "heads": ("task=cat_species", "training.epochs=30"),
    "house_price": ("task=house_price",),
    "day_night": ("task=day_night",),
    "cat_presence": ("task=cat_presence",),
}


def _digits() -> Examples:
    pixels, digits = load_digits(return_X_y=True)
    return labelled(columns(pixels), digits, 10)


MADE: Mapping[str, Callable[[], Examples]] = {
    "digits": _digits,
    "features_512": lambda: clouds(CASES["B"]),
    "heads": lambda: clouds(Case("heads", 1280, ()), 1_185 * 5 // 4),  # as many as a frozen backbone's, to develop on
}


@dataclass(frozen=True)
class Took:
    """seconds: of all trials, from the first draw to the last write; scores: each trial's, after its last epoch.

    tracking, deciding: the parts of the seconds that MLflow and Optuna took.
    """

    seconds: float
    scores: tuple[float, ...]
    rows: tuple[TrialRecord, ...] = ()
    tracking: float = 0.0
    deciding: float = 0.0


def posed(name: str, trials: int, store: Path, more: Sequence[str] = ()) -> tuple[Search, Problem]:
    """A search of so many trials, and its data."""
    search = read_search([*WORDS[name], *SAME, f"budget.trials={trials}", f"store={store}", *more])
    if name not in MADE:
        return search, build_problem(search)
    examples = MADE[name]()
    task, splits = asked(examples, search.cv)
    return search, Problem(name, "0" * 64, {}, examples, splits, task, None)


def ours(search: Search, question: Problem, ended: Callable[[], object] = lambda: None) -> Took:
    """As `pipeline.run` does it, from the first draw to the last write; `ended` is called after each trial.

    MLflow's process is up when that begins: in the command it starts before torch is imported.
    """
    with FollowerHandle() as tracker:
        return _ours(search, question, tracker, ended)


def _ours(search: Search, question: Problem, tracker: FollowerHandle, ended: Callable[[], object]) -> Took:
    folder = search.store / "studies" / question.name
    folder.mkdir(parents=True)
    wave = proposal_batches.choose_wave_size(search, 1, on_gpu=False)
    study = Study(search, question.name, folder, {}, maximize=question.task.metric.maximize, wave_size=wave)
    display = LiveDisplay(Console(quiet=True), search.metric.name, study.n_trials, 0, None)
    display.finish_trial = lambda *_: ended()  # type: ignore[method-assign, return-value, assignment]
    preparation = question.fold_data_builder()
    trials = TrialScheduler(question, study, folder, lambda: None, lambda: False)
    StudyDescription.from_search(search, question).write(folder)
    tracker.start(folder, print)
    _until_tracked(search.store)
    decided, begin = study.sampling_seconds, time.perf_counter()
    trials.run(
        [InProcessExecutor(question.task, preparation.build_folds(question.splits), search.seed, folder, lambda: None)],
        display,
    )
    tracker.finish()
    seconds, rows = time.perf_counter() - begin, tuple(study.finished_trials())
    last = tuple(row.epoch_results[-1].mean_score if row.epoch_results else 0.0 for row in rows)
    return Took(seconds, last, rows, tracker.wait_seconds, study.sampling_seconds - decided)


def _until_tracked(store: Path) -> None:
    """Until the study has its run."""
    client = connect(None, store)
    while not (known := client.search_experiments(filter_string="name != 'Default'")) or not client.search_runs(
        [known[0].experiment_id], max_results=1
    ):
        time.sleep(0.05)


def peer(
    search: Search,
    question: Problem,
    rows: Sequence[TrialRecord],
    name: str,
    *,
    tracked: bool = True,
    keeps: bool = False,
) -> Took:
    """The same trials with the same libraries, as they are mostly put together; untracked, it is the tuned loop.

    keeps: each fold's best epoch is kept, as ours keeps those of the best trial.
    """
    folder = search.store / name
    folder.mkdir()
    tracking = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    if tracked:
        MlflowClient(tracking).create_experiment("peer", artifact_location=str(folder.resolve()))
    study = optuna.create_study(storage=f"sqlite:///{folder}/optuna.db", direction="maximize")
    preparation = question.fold_data_builder()
    folds, scores = preparation.build_folds(question.splits), []
    begin = time.perf_counter()
    for row in rows:
        candidate = space.from_hyperparameters(row.hyperparameters)
        known = space.to_optuna_params(search.space, candidate)
        if known is not None:
            study.enqueue_trial(known)
        trial = study.ask()
        if known is not None:
            space.sample_candidate(search.space, space.optuna_suggester(trial))
        names = StreamSeeds(search.seed, seeds.derive_seed(search.seed, row.number))
        found = []
        for data in folds:
            run = f"trial {row.number} fold {data.fold}"
            logger = MLFlowLogger("peer", run_name=run, tracking_uri=tracking) if tracked else False
            if isinstance(logger, MLFlowLogger):
                logger.log_hyperparams(dict(row.hyperparameters))
            arguments = question.task, data, candidate.model, candidate.training, names
            found.append(fit(*arguments, tuned=not tracked, logger=logger, kept=folder / run if keeps else None))
        scores.append(sum(found) / len(found))
        study.tell(trial, scores[-1])
    return Took(time.perf_counter() - begin, tuple(scores))
