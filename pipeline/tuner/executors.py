"""Trial executors: in this process, or in single-threaded worker processes pinned to a CPU core each."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.config.schema import ComputeConfig
from pipeline.runtime import seeds
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import FileWriteError
from pipeline.runtime.parallel import available_cores
from pipeline.study.study import TrialProposal
from pipeline.training.checkpoints import CheckpointPolicy, CheckpointStore
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, StreamSeeds
from pipeline.training.epoch import EpochResult
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trials import PredictionTask, PruneCallback, TrialResult, TrialSpec
from pipeline.tuner.fold_weights import save_fold_weights
from pipeline.tuner.out_of_fold import save_out_of_fold

AVAILABLE_CORES = available_cores()  # before this process is pinned to some of them
WORKER_END_SECONDS = 4  # a worker writes its checkpoints in that time; then it is killed


class WorkerError(Exception):
    """Error that a worker reported for a trial, or the end of the worker itself."""


def resolve_worker_count(compute: ComputeConfig, device: Device) -> int:
    """Return the number of workers: as configured; with auto one a CPU core; on a GPU one.

    Raises UserError if several are configured on a GPU.
    """
    if not device.is_gpu:
        return len(AVAILABLE_CORES) if compute.workers == "auto" else compute.workers
    if compute.workers not in (1, "auto"):
        raise UserError(f"compute.workers: several are for a CPU, and this search is on a GPU; got {compute.workers}")
    return 1


class InProcessExecutor:
    """Trains one group of trials at a time in this process; their checkpoints are in the study's folder.

    check_stop: called after each step; raises SearchInterrupted to end training.
    """

    def __init__(
        self, task: PredictionTask, folds: Sequence[FoldData], seed: int, folder: Path, check_stop: Callable[[], None]
    ) -> None:
        self.task = task
        self.folds = folds
        self.seed = seed
        self.check_stop = check_stop
        self.checkpoints = CheckpointStore(folder)
        self.last_results: list[TrialResult] = []

    def train(self, proposals: Sequence[TrialProposal], prune_callbacks: Sequence[PruneCallback]) -> list[TrialResult]:
        """Train trials of one shape side by side and return their results; raises what training raises."""
        self.last_results = []  # frees the weights of every fold before the next group needs the memory
        trials = []
        for proposal, prune_callback in zip(proposals, prune_callbacks, strict=True):
            candidate = proposal.candidate
            stream_seeds = StreamSeeds(self.seed, seeds.derive_seed(self.seed, proposal.number))
            trials.append(TrialSpec(candidate.model, candidate.training, stream_seeds, prune_callback))
        trial_keys = {proposal.number: repr(dict(proposal.candidate.hyperparameters)) for proposal in proposals}
        checkpoint_policy = CheckpointPolicy(self.checkpoints, trial_keys, self.check_stop)
        self.last_results = cross_validate_trials(self.task, self.folds, trials, checkpoint_policy)
        return self.last_results

    def save_out_of_fold(self, index: int, file: Path) -> None:
        """Write the out-of-fold predictions of one of the trials of the last `train` call."""
        save_out_of_fold(file, self.last_results[index].fold_predictions)

    def save_weights(self, index: int, folder: Path) -> None:
        """Write each fold's weights of one of the trials of the last `train` call into `folder`."""
        save_fold_weights(folder, self.last_results[index].fold_weights)


class WorkerProcess:
    """Process that trains what it receives, one JSON object a line; pipeline.tuner.worker is the other side.

    After each epoch it sends the scores back, and gets whether the trial is to stop. It ends with this process.
    """

    def __init__(self, overrides: Sequence[str], config_dir: Path | None, folder: Path, index: int) -> None:
        core = str(AVAILABLE_CORES[index % len(AVAILABLE_CORES)])
        arguments = [core, str(folder.resolve()), str(config_dir or ""), *overrides]
        self.command = [sys.executable, "-m", "pipeline.tuner.worker", *arguments]
        self.process = self._start_process()
        self.fingerprint = ""
        self.is_stopping = False

    def wait_until_ready(self, fingerprint: str) -> None:
        """Wait until the worker has loaded its data; raises UserError if it ends, or if the data differ."""
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            exit_code = self.process.wait()
            raise UserError(f"compute.workers: one did not start, exit code {exit_code}; use compute.workers=1")
        if json.loads(line)["ready"] != fingerprint:
            raise UserError("dataset: the files changed while the search began; start it again")
        self.fingerprint = fingerprint

    def _start_process(self) -> subprocess.Popen[str]:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def train(self, proposals: Sequence[TrialProposal], prune_callbacks: Sequence[PruneCallback]) -> list[TrialResult]:
        """Train trials of one shape side by side; raises WorkerError if training failed or the worker ended."""
        if self.process.poll() is not None:  # an earlier trial ended it, for example by using up the memory
            self._restart()
        trials = [{"number": each.number, "fields": dict(each.candidate.hyperparameters)} for each in proposals]
        try:
            reply = self._request({"train": trials})
            while "should_prune" in reply:
                should_prune = prune_callbacks[reply["should_prune"]](reply["mean_scores"])
                reply = self._request({"should_prune": should_prune})
        except BaseException:  # the worker may still wait for a reply, and would take the next request for it
            self.close()
            raise
        if "error" in reply:
            raise WorkerError(reply["error"])
        return [
            TrialResult(EpochResult.curve_from_lists(curve), best_epoch, stop_reason, ())
            for curve, best_epoch, stop_reason in reply["results"]
        ]

    def _restart(self) -> None:
        self.close()
        self.process = self._start_process()
        if self.is_stopping:
            self.process.terminate()
        try:
            self.wait_until_ready(self.fingerprint)
        except UserError as error:
            raise WorkerError(str(error)) from None

    def save_out_of_fold(self, index: int, file: Path) -> None:
        """Write the out-of-fold predictions of one of the trials of the last `train` call."""
        self._request({"save_out_of_fold": index, "file": str(file.resolve())})

    def save_weights(self, index: int, folder: Path) -> None:
        """Write each fold's weights of one of the trials of the last `train` call into `folder`."""
        self._request({"save_weights": index, "folder": str(folder.resolve())})

    def _request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and return the reply; raises WorkerError if the worker has ended, FileWriteError as it did."""
        stdin = self.process.stdin
        stdout = self.process.stdout
        assert stdin is not None
        assert stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            raise WorkerError(f"a worker ended by itself, with exit code {self.process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "write_error" in reply:
            raise FileWriteError(reply["write_error"])
        return reply

    def stop(self) -> None:
        """Ask the worker to write its checkpoints and to end."""
        self.is_stopping = True
        self.process.terminate()

    def close(self) -> None:
        """Close the worker's input, which ends it after its checkpoints are written; kill it if it does not end."""
        try:
            self.process.communicate(timeout=WORKER_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


TrialExecutor = InProcessExecutor | WorkerProcess
