"""Trial runner: groups the trials of a batch by shape, gives them to executors and their results to the study."""

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from pipeline.artifact.architecture import MAX_PARAMETERS
from pipeline.config.final_models import FINAL_MODEL_MEMBERS
from pipeline.models.networks import count_multiplications, count_parameters, find_size_error
from pipeline.runtime.errors import UserError
from pipeline.study.problem import Problem
from pipeline.study.study import Study, TrialProposal
from pipeline.study.trial_record import TrialRecord
from pipeline.training.checkpoints import CheckpointStore
from pipeline.training.engine.batching_rule import StackKey, group_by_stack_key
from pipeline.training.trials import TrialResult
from pipeline.tuner.executors import TrialExecutor, WorkerError
from pipeline.tuner.fold_weights import weights_folder
from pipeline.tuner.live_display import LiveDisplay
from pipeline.tuner.out_of_fold import predictions_file

MAX_CONSECUTIVE_FAILURES = 3


class RepeatedFailureError(UserError):
    """End of a search in which trials fail one after the other: the cause, and what to do."""

    exit_code = 1


class ModelTooLargeError(Exception):
    """Network with more parameters than a model file may hold."""


class TrialRunner:
    """Trains what the study proposes; with several executors the groups of a batch run at once, the longest first.

    check_stop: raises SearchInterrupted to end the search; is_time_up: returns whether no new trial may begin.
    A slot, in its methods, is the index of an executor, and of its bar in the live display.
    """

    def __init__(
        self,
        problem: Problem,
        study: Study,
        folder: Path,
        executors: Sequence[TrialExecutor],
        display: LiveDisplay,
        check_stop: Callable[[], None],
        is_time_up: Callable[[], bool],
    ) -> None:
        self.n_folds = len(problem.splits.folds)
        self.n_features = problem.task.inputs.feature_count
        self.n_outputs = problem.task.head.output_count
        self.n_final_networks = self.n_folds * FINAL_MODEL_MEMBERS[study.search.champion] or 1
        self.stack_limits = problem.task.device.stack_limits
        self.study = study
        self.executors = executors
        self.display = display
        self.folder = folder
        self.weights_folder = weights_folder(folder)
        self.check_stop = check_stop
        self.is_time_up = is_time_up
        self.checkpoints = CheckpointStore(folder)
        self.tell_lock = Lock()
        self.latest_reasons: list[str] = []  # of failed trials the type of the error

    def run(self) -> None:
        """Train batch after batch, until the study has all its trials or the time is up."""
        with ThreadPoolExecutor(len(self.executors)) as pool:
            while not self.is_time_up() and (batch := self.study.ask()):
                groups = self._group_by_stack([each for each in batch if each.duplicate_of is None])
                if len(self.executors) == 1:  # in the main thread, which alone receives signals
                    for group in groups:
                        self._run_group(0, group)
                else:
                    self._run_in_parallel(pool, groups)
                for proposal in batch:
                    if proposal.duplicate_of in self.study.storage.records:
                        self.display.finish_trial(self.study.tell_duplicate(proposal), self.study.best_trial)
        if len(self.study.finished_trials()) >= self.study.n_trials:
            self.checkpoints.delete_all()

    def _run_in_parallel(self, pool: ThreadPoolExecutor, groups: Sequence[Sequence[TrialProposal]]) -> None:
        """Train the groups, the longest first, each on the first executor that is idle."""
        idle_slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(len(self.executors)):
            idle_slots.put(slot)

        def run_on_idle_slot(group: Sequence[TrialProposal]) -> None:
            slot = idle_slots.get()
            try:
                self._run_group(slot, group)
            finally:
                idle_slots.put(slot)

        list(pool.map(run_on_idle_slot, sorted(groups, key=self._estimate_cost, reverse=True)))

    def _group_by_stack(self, proposals: Sequence[TrialProposal]) -> list[list[TrialProposal]]:
        """Return the groups of trials that train side by side in one stack."""
        stack_keys = [StackKey.from_trial(each.candidate.model, each.candidate.training) for each in proposals]
        groups = group_by_stack_key(stack_keys, self.n_folds, self.n_features, self.n_outputs, self.stack_limits)
        return [[proposals[index] for index in group] for group in groups]

    def _estimate_cost(self, group: Sequence[TrialProposal]) -> int:
        """Return the multiplications of a group over all its epochs: proportional to its training time."""
        candidates = [each.candidate for each in group]
        costs = [count_multiplications(self.n_features, each.model, self.n_outputs) for each in candidates]
        return sum(cost * each.training.total_epochs for cost, each in zip(costs, candidates, strict=True))

    def _check_model_size(self, proposal: TrialProposal) -> None:
        """Raise ModelTooLargeError, or UserError for the baseline, if a model file could not hold the network."""
        key = "channels"
        message = find_size_error(self.n_features, proposal.candidate.model)
        if message is None:
            n_parameters = count_parameters(self.n_features, proposal.candidate.model, self.n_outputs)
            if n_parameters * self.n_final_networks <= MAX_PARAMETERS:
                return
            key = "nodes"
            got = f"{f'{self.n_final_networks} networks of ' if self.n_final_networks > 1 else ''}{n_parameters:,}"
            message = f"a model has at most {MAX_PARAMETERS:,} parameters; this one has {got}"
        if proposal.number == 0:
            raise UserError(f"model.{key}: {message}; use fewer {key}, or smaller images (dataset.size=)")
        raise ModelTooLargeError(message)

    def _run_group(self, slot: int, proposals: Sequence[TrialProposal]) -> None:
        self._train_group(slot, proposals)
        self.checkpoints.delete([each.number for each in proposals if each.number in self.study.storage.records])

    def _train_group(self, slot: int, proposals: Sequence[TrialProposal]) -> None:
        """Train trials side by side and tell the study their results.

        If training a group fails, each half is trained separately: the trial that causes the error fails alone, and a
        stack that does not fit into memory becomes two. A failure of trial 0, the baseline, is raised.
        """
        self.check_stop()
        if self.is_time_up():
            return
        start_time = time.monotonic()
        self.display.start_trials(slot, proposals)
        results: Sequence[TrialResult | Exception] = []
        failure: Exception | None = None
        try:
            self._check_model_size(proposals[0])
            on_epoch = partial(self.display.update_epoch, slot)
            prune_callbacks = [partial(self.study.should_prune, each.number, on_epoch) for each in proposals]
            results = self.executors[slot].train(proposals, prune_callbacks)
        except UserError:
            raise
        except Exception as error:
            self.check_stop()  # an interrupt ends the workers, which is no failure of a trial
            if proposals[0].number == 0:
                raise
            failure = error.with_traceback(None)  # its frames hold the stack that did not fit into memory
        if failure is not None and len(proposals) > 1:
            half = len(proposals) // 2
            self._train_group(slot, proposals[:half])
            self._train_group(slot, proposals[half:])
            return
        seconds = (time.monotonic() - start_time) / len(proposals)
        self._tell_study(slot, proposals, results if failure is None else [failure], seconds)

    def _tell_study(
        self, slot: int, proposals: Sequence[TrialProposal], results: Sequence[TrialResult | Exception], seconds: float
    ) -> None:
        """Record the results of trials, `seconds` each, and delete the weights that are not needed any more."""
        with self.tell_lock:
            for index, (proposal, result) in enumerate(zip(proposals, results, strict=True)):
                n_parameters = count_parameters(self.n_features, proposal.candidate.model, self.n_outputs)
                trial_folder = self.weights_folder / str(proposal.number)
                save_weights = partial(self.executors[slot].save_weights, index, trial_folder)
                try:
                    if isinstance(result, TrialResult) and result.best_epoch:
                        self.executors[slot].save_out_of_fold(index, predictions_file(self.folder, proposal.number))
                    trial = self.study.tell(proposal, result, n_parameters, seconds, save_weights)
                except WorkerError as error:  # it ended before it wrote the weights, so the trial is not recorded
                    self.check_stop()
                    message = f"trial {proposal.number}: {error}; run the same command again to resume"
                    raise RepeatedFailureError(message) from None
                best = self.study.best_trial
                self.display.finish_trial(trial, best)
                self._delete_weights_except(best)
                self._check_repeated_failure(trial)

    def _delete_weights_except(self, best: TrialRecord | None) -> None:
        """Delete the fold weights of all trials but the best, and the baseline if its fold networks are averaged."""
        baseline = [] if self.study.search.champion == "refit" else ["0"]
        for folder in self.weights_folder.glob("*"):
            if best is not None and folder.name not in (str(best.number), *baseline):
                shutil.rmtree(folder)

    def _check_repeated_failure(self, trial: TrialRecord) -> None:
        """Raise RepeatedFailureError if the latest three trials failed with one type of error."""
        error_type = trial.reason.removeprefix("WorkerError: ").partition(":")[0]
        self.latest_reasons = [*self.latest_reasons, error_type][-MAX_CONSECUTIVE_FAILURES:]
        if trial.state == "failed" and self.latest_reasons.count(error_type) == MAX_CONSECUTIVE_FAILURES:
            raise RepeatedFailureError(
                f"{MAX_CONSECUTIVE_FAILURES} trials in a row failed with the same error: {trial.reason}; fix it, or "
                "search smaller networks (model.nodes, training.batch_size), then run the same command again to resume"
            )
