"""Who trains: this process, or workers, each a process of its own with one thread on a core of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save

from pipeline.config.schema import ComputeConfig
from pipeline.runtime import seeds
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import FileWriteError, make_folder, write_file
from pipeline.runtime.parallel import available_cores
from pipeline.study.study import TrialProposal
from pipeline.training.checkpoints import CheckpointStore, DiskCheckpointPolicy
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, StreamSeeds
from pipeline.training.epoch import EpochResult
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trial_state import PredictionTask, PruneCallback, TrialResult, TrialSpec

AVAILABLE_CORES = available_cores()  # before this process is pinned to some of them


class WorkerError(Exception):
    """What a trial died of in a worker, or that the worker itself is gone."""


def resolve_worker_count(compute: ComputeConfig, device: Device) -> int:
    """How many hands a search has: as many workers as it asks for; auto: one a core; on a GPU one.

    Raises UserError where several are asked for on a GPU.
    """
    if not device.is_gpu:
        return len(AVAILABLE_CORES) if compute.workers == "auto" else compute.workers
    if compute.workers not in (1, "auto"):
        raise UserError(f"compute.workers: several are for a CPU, and this search is on a GPU; got {compute.workers}")
    return 1


class TrialExecutor(Protocol):
    """Trains one group of trials at a time."""

    def train(self, proposals: Sequence[TrialProposal], prune_callbacks: Sequence[PruneCallback]) -> list[TrialResult]:
        """How trials of one shape went, side by side; raises what they die of."""

    def save_weights(self, index: int, folder: Path) -> None:
        """Writes each fold's weights of one of the trials that were trained last."""


class InProcessExecutor:
    """Trains in this process; what is in training is kept in the study's folder.

    check: called after each step; raises `Stopped` where training is to stop.
    """

    def __init__(
        self,
        task: PredictionTask,
        folds: Sequence[FoldData],
        seed: int,
        folder: Path,
        check_stop: Callable[[], None],
    ) -> None:
        self.task = task
        self.folds = folds
        self.seed = seed
        self.check_stop = check_stop
        self.checkpoints = CheckpointStore(folder)
        self.last_results: list[TrialResult] = []

    def train(self, proposals: Sequence[TrialProposal], prune_callbacks: Sequence[PruneCallback]) -> list[TrialResult]:
        """See `Hand`."""
        self.last_results = []  # they hold every fold's weights
        trials = []
        for proposal, prune_callback in zip(proposals, prune_callbacks, strict=True):
            candidate, stream_seeds = (
                proposal.candidate,
                StreamSeeds(self.seed, seeds.derive_seed(self.seed, proposal.number)),
            )
            trials.append(TrialSpec(candidate.model, candidate.training, stream_seeds, prune_callback))
        trial_keys = {proposal.number: repr(dict(proposal.candidate.hyperparameters)) for proposal in proposals}
        checkpoint_policy = DiskCheckpointPolicy(self.checkpoints, trial_keys, self.check_stop)
        self.last_results = cross_validate_trials(self.task, self.folds, trials, checkpoint_policy)
        return self.last_results

    def save_weights(self, index: int, folder: Path) -> None:
        """See `Hand`."""
        make_folder(folder)
        for fold, weights in enumerate(self.last_results[index].fold_weights):
            write_file(folder / f"fold_{fold}.safetensors", save(weights))


class WorkerProcess:
    """A process that is told what to train, a line of JSON at a time; `pipeline.worker` is its other side.

    It asks back after each epoch whether a trial is to stop. It ends when this process does.
    """

    def __init__(self, overrides: Sequence[str], config_dir: Path | None, folder: Path, index: int) -> None:
        config_dir_arguments = [] if config_dir is None else ["--config-dir", str(config_dir)]
        core = AVAILABLE_CORES[index % len(AVAILABLE_CORES)]
        self.command = [
            sys.executable,
            "-m",
            "pipeline.tuner.worker",
            str(core),
            str(folder.resolve()),
            *overrides,
            *config_dir_arguments,
        ]
        self.process, self.fingerprint, self.is_stopping = self._start_process(), "", False

    def wait_until_ready(self, fingerprint: str) -> None:
        """Until it has its data; raises UserError where it does not start, or they are not those of the search."""
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            raise UserError(
                f"compute.workers: one did not start, exit code {self.process.wait()}; use compute.workers=1"
            )
        if json.loads(line)["ready"] != fingerprint:
            raise UserError("dataset: the files changed while the search began; start it again")
        self.fingerprint = fingerprint

    def _start_process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def train(self, proposals: Sequence[TrialProposal], prune_callbacks: Sequence[PruneCallback]) -> list[TrialResult]:
        """See `Hand`."""
        if self.process.poll() is not None:  # an earlier trial took it along
            self.close()
            self.process = self._start_process()
            if self.is_stopping:
                self.process.terminate()
            try:
                self.wait_until_ready(self.fingerprint)
            except UserError as error:
                raise WorkerError(str(error)) from None
        trials = [{"number": each.number, "fields": dict(each.candidate.hyperparameters)} for each in proposals]
        try:
            reply = self._request({"train": trials})
            while "judge" in reply:
                reply = self._request({"stop": prune_callbacks[reply["judge"]](reply["means"])})
        except BaseException:  # it may still wait for an answer
            self.close()
            raise
        if "died" in reply:
            raise WorkerError(reply["died"])
        return [
            TrialResult(EpochResult.curve_from_lists(curve), best, ending, ())
            for curve, best, ending in reply["outcomes"]
        ]

    def save_weights(self, index: int, folder: Path) -> None:
        """See `Hand`."""
        self._request({"keep": index, "folder": str(folder.resolve())})

    def _request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Its answer; raises WorkerError where it is gone, NotWrittenError where the disk took nothing from it."""
        stdin, stdout = self.process.stdin, self.process.stdout
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
        if "unwritten" in reply:
            raise FileWriteError(reply["unwritten"])
        return reply

    def stop(self) -> None:
        """It keeps what it has in training, and ends."""
        self.is_stopping = True
        self.process.terminate()

    def close(self) -> None:
        """Nothing more is to be trained."""
        try:
            self.process.communicate(timeout=4)  # it ends where nothing more can be told, and keeps what it has
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
