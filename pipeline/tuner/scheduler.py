"""A wave of trials: grouped by shape, trained by one hand or several, told to the study, shown."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from pipeline.artifact.model_files import MAX_PARAMETERS
from pipeline.models.networks import count_multiplications, count_parameters, find_size_error
from pipeline.runtime.errors import UserError
from pipeline.study.problem import Problem
from pipeline.study.space import Candidate
from pipeline.study.study import Study, TrialProposal
from pipeline.study.trial_record import TrialRecord
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.engine.batching_rule import StackKey, group_by_stack_key
from pipeline.training.trial_state import PruneCallback, TrialResult
from pipeline.tuner.executors import TrialExecutor, WorkerError
from pipeline.tuner.live_display import LiveDisplay

MAX_CONSECUTIVE_FAILURES = 3


class RepeatedFailureError(UserError):
    """Trials die one after the other: what of, and what to do, in one line."""

    exit_code = 1


class ModelTooLargeError(Exception):
    """A network that no model file takes."""


class TrialScheduler:
    """Trains what the study proposes; with several hands the groups of a wave are trained at once, the longest first.

    check: raises where the search is to stop; spent: whether no new trial is to begin.
    """

    def __init__(
        self,
        problem: Problem,
        study: Study,
        folder: Path,
        check_stop: Callable[[], None],
        is_time_up: Callable[[], bool],
    ) -> None:
        self.problem, self.study = problem, study
        self.folder, self.check_stop, self.is_time_up = folder, check_stop, is_time_up
        self.checkpoints = CheckpointStore(folder)
        self.tell_lock = Lock()
        self.recent_failures: list[str] = []  # the causes of the latest, one after the other

    def run(self, executors: Sequence[TrialExecutor], display: LiveDisplay) -> None:
        """Wave after wave, until the study has all its trials or the time is spent."""
        with ThreadPoolExecutor(len(executors)) as pool:
            idle_executors: SimpleQueue[int] = SimpleQueue()
            for place in range(len(executors)):
                idle_executors.put(place)

            def train_group(group: Sequence[TrialProposal]) -> None:
                executor_index = idle_executors.get()
                try:
                    self._run_group(executors[executor_index], group, display, executor_index)
                finally:
                    idle_executors.put(executor_index)

            while not self.is_time_up() and (wave := self.study.ask()):
                new_proposals = [proposal for proposal in wave if proposal.duplicate_of is None]
                if len(executors) == 1:  # in this thread, where signals are heard
                    for group in self._group_by_stack(new_proposals):
                        self._run_group(executors[0], group, display, 0)
                else:
                    list(
                        pool.map(
                            train_group,
                            sorted(self._group_by_stack(new_proposals), key=self._estimate_cost, reverse=True),
                        )
                    )
                self._tell_duplicates(wave, display)
        if len(self.study.finished_trials()) >= self.study.n_trials:
            self.checkpoints.delete_all()

    def _group_by_stack(self, wave: Sequence[TrialProposal]) -> list[list[TrialProposal]]:
        """The trials that are trained side by side."""
        task, folds = self.problem.task, len(self.problem.splits.folds)
        stack_keys = [StackKey.from_trial(each.candidate.model, each.candidate.training) for each in wave]
        index_groups = group_by_stack_key(
            stack_keys, folds, task.inputs.feature_count, task.head.output_count, task.device.stack_limits
        )
        return [[wave[place] for place in group] for group in index_groups]

    def _estimate_cost(self, group: Sequence[TrialProposal]) -> int:
        """About how long a group takes, in no unit."""
        features, outputs = self.problem.task.inputs.feature_count, self.problem.task.head.output_count
        return sum(
            count_multiplications(features, each.candidate.model, outputs) * each.candidate.training.total_epochs
            for each in group
        )

    def _count_parameters(self, candidate: Candidate) -> int:
        task = self.problem.task
        return count_parameters(task.inputs.feature_count, candidate.model, task.head.output_count)

    def _check_model_size(self, proposal: TrialProposal) -> None:
        """Raises TooLargeError, or for the baseline UserError, where no model file takes a network."""
        key, message = "channels", find_size_error(self.problem.task.inputs.feature_count, proposal.candidate.model)
        if message is None:
            if (n_parameters := self._count_parameters(proposal.candidate)) <= MAX_PARAMETERS:
                return
            key, message = "nodes", f"a model has at most {MAX_PARAMETERS:,} parameters; this one has {n_parameters:,}"
        if proposal.number == 0:
            raise UserError(f"model.{key}: {message}; use fewer {key}, or smaller pictures (dataset.size=)")
        raise ModelTooLargeError(message)

    def _run_group(
        self, executor: TrialExecutor, proposals: Sequence[TrialProposal], display: LiveDisplay, executor_index: int
    ) -> None:
        self._train_group(executor, proposals, display, executor_index)
        self.checkpoints.delete([each.number for each in proposals if self.study.has_finished(each.number)])

    def _train_group(
        self, executor: TrialExecutor, proposals: Sequence[TrialProposal], display: LiveDisplay, executor_index: int
    ) -> None:
        """Trains trials side by side, and tells how they went.

        Whatever several die of, each half of them is tried again: so the one whose fault it is dies alone, and a stack
        that is too large for the memory becomes two. The search goes on; in the baseline it is a bug.
        """
        self.check_stop()
        if self.is_time_up():
            return
        start_time = time.monotonic()
        display.start_trials(executor_index, proposals)
        results: Sequence[TrialResult | Exception] = []
        failure: Exception | None = None
        try:
            self._check_model_size(proposals[0])
            results = executor.train(
                proposals, [self._prune_callback(each.number, display, executor_index) for each in proposals]
            )
        except UserError:
            raise
        except Exception as error:
            self.check_stop()  # an interrupted search ends its workers, and that is no trial's fault
            if proposals[0].number == 0:
                raise
            failure = error.with_traceback(None)  # which holds the stack that did not fit
        if failure is not None and len(proposals) > 1:
            half = len(proposals) // 2
            self._train_group(executor, proposals[:half], display, executor_index)
            self._train_group(executor, proposals[half:], display, executor_index)
            return
        if failure is not None:
            results = [failure]
        seconds = (time.monotonic() - start_time) / len(proposals)
        with self.tell_lock:
            for index, (proposal, result) in enumerate(zip(proposals, results, strict=True)):
                try:
                    self._tell_study(executor, index, proposal, result, seconds, display)
                except WorkerError as error:  # it died before it kept its weights: nothing was written down
                    self.check_stop()
                    raise RepeatedFailureError(f"trial {proposal.number}: {error}; the same command goes on") from None

    def _tell_study(
        self,
        executor: TrialExecutor,
        index: int,
        proposal: TrialProposal,
        result: TrialResult | Exception,
        seconds: float,
        display: LiveDisplay,
    ) -> None:
        """Writes down how a trial went; of several kept ones only the best trial's weights stay."""
        weights_folder, n_parameters = self.folder / "leader", self._count_parameters(proposal.candidate)
        trial = self.study.tell(
            proposal,
            result,
            n_parameters,
            seconds,
            lambda: executor.save_weights(index, weights_folder / str(proposal.number)),
        )
        display.finish_trial(trial, self.study.best_trial())
        delete_other_weights(weights_folder, self.study.best_trial())
        self.recent_failures = (
            [*self.recent_failures, trial.error_type][-MAX_CONSECUTIVE_FAILURES:] if trial.state == "failed" else []
        )
        if self.recent_failures.count(trial.error_type) == MAX_CONSECUTIVE_FAILURES:
            raise RepeatedFailureError(
                f"{MAX_CONSECUTIVE_FAILURES} trials in a row have died of the same: {trial.reason}; mend that, or search smaller "
                "networks (model.nodes, training.batch_size), and the same command goes on"
            )

    def _tell_duplicates(self, wave: Sequence[TrialProposal], display: LiveDisplay) -> None:
        """Trials that try what has been tried are written down as that went."""
        for proposal in wave:
            if proposal.duplicate_of is not None and self.study.has_finished(proposal.duplicate_of):
                display.finish_trial(self.study.tell_duplicate(proposal), self.study.best_trial())

    def _prune_callback(self, number: int, display: LiveDisplay, executor_index: int) -> PruneCallback:
        return self.study.prune_callback(number, lambda epoch: display.update_epoch(executor_index, epoch))


def delete_other_weights(weights_folder: Path, best: TrialRecord | None) -> None:
    """Of the kept weights only those of the best trial stay."""
    for folder in weights_folder.iterdir() if weights_folder.is_dir() else ():
        if best is not None and folder.name != str(best.number):
            shutil.rmtree(folder)
