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

from pipeline.config.schema import Compute, Search
from pipeline.data.examples import DataError
from pipeline.runtime import seeds
from pipeline.runtime.files import NotWrittenError, make_folder, write_whole
from pipeline.study.problem import Question
from pipeline.study.study import Proposal
from pipeline.training.checkpoints import Checkpoints, OnDisk
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, Seeds
from pipeline.training.epoch import Epoch
from pipeline.training.fit import search_folds
from pipeline.training.trial_state import Judge, Outcome, Trial

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


class WorkerError(Exception):
    """What a trial died of in a worker, or that the worker itself is gone."""


def count(compute: Compute, device: Device) -> int:
    """How many hands a search has: as many workers as it asks for; auto: one a core; on a GPU one.

    Raises DataError where several are asked for on a GPU.
    """
    if not device.on_gpu:
        return len(CORES) if compute.workers == "auto" else compute.workers
    if compute.workers not in (1, "auto"):
        raise DataError(f"compute.workers: several are for a CPU, and this search is on a GPU; got {compute.workers}")
    return 1


class Hand(Protocol):
    """Trains one group of trials at a time."""

    def train(self, proposals: Sequence[Proposal], judges: Sequence[Judge]) -> list[Outcome]:
        """How trials of one shape went, side by side; raises what they die of."""

    def keep(self, place: int, folder: Path) -> None:
        """Writes each fold's weights of one of the trials that were trained last."""


class Here:
    """Trains in this process; what is in training is kept in the study's folder.

    check: called after each step; raises `Stopped` where training is to stop.
    """

    def __init__(
        self, search: Search, question: Question, folds: Sequence[FoldData], folder: Path, check: Callable[[], None]
    ) -> None:
        self.search, self.question, self.folds, self.check = search, question, folds, check
        self.checkpoints = Checkpoints(folder)
        self.last: list[Outcome] = []

    def train(self, proposals: Sequence[Proposal], judges: Sequence[Judge]) -> list[Outcome]:
        """See `Hand`."""
        self.last = []  # they hold every fold's weights
        seed, trials = self.search.seed, []
        for proposal, judge in zip(proposals, judges, strict=True):
            candidate, names = proposal.candidate, Seeds(seed, seeds.number(seed, proposal.number))
            trials.append(Trial(candidate.model, candidate.training, names, judge))
        tried = {proposal.number: repr(dict(proposal.candidate.fields)) for proposal in proposals}
        keeper = OnDisk(self.checkpoints, tried, self.check)
        self.last = search_folds(self.question.task, self.folds, trials, keeper)
        return self.last

    def keep(self, place: int, folder: Path) -> None:
        """See `Hand`."""
        make_folder(folder)
        for fold, state in enumerate(self.last[place].states):
            write_whole(folder / f"fold_{fold}.safetensors", save(state))


class Worker:
    """A process that is told what to train, a line of JSON at a time; `pipeline.worker` is its other side.

    It asks back after each epoch whether a trial is to stop. It ends when this process does.
    """

    def __init__(self, search: Search, folder: Path, place: int) -> None:
        own = [] if search.config_dir is None else ["--config-dir", str(search.config_dir)]
        core = CORES[place % len(CORES)]
        self.command = [
            sys.executable,
            "-m",
            "pipeline.tuner.worker",
            str(core),
            str(folder.resolve()),
            *search.typed,
            *own,
        ]
        self.process, self.fingerprint, self.stopping = self._start(), "", False

    def wait(self, fingerprint: str) -> None:
        """Until it has its data; raises DataError where it does not start, or they are not those of the search."""
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            raise DataError(
                f"compute.workers: one did not start, exit code {self.process.wait()}; use compute.workers=1"
            )
        if json.loads(line)["ready"] != fingerprint:
            raise DataError("dataset: the files changed while the search began; start it again")
        self.fingerprint = fingerprint

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def train(self, proposals: Sequence[Proposal], judges: Sequence[Judge]) -> list[Outcome]:
        """See `Hand`."""
        if self.process.poll() is not None:  # an earlier trial took it along
            self.close()
            self.process = self._start()
            if self.stopping:
                self.process.terminate()
            try:
                self.wait(self.fingerprint)
            except DataError as error:
                raise WorkerError(str(error)) from None
        trials = [{"number": each.number, "fields": dict(each.candidate.fields)} for each in proposals]
        try:
            answer = self._ask({"train": trials})
            while "judge" in answer:
                answer = self._ask({"stop": judges[answer["judge"]](answer["means"])})
        except BaseException:  # it may still wait for an answer
            self.close()
            raise
        if "died" in answer:
            raise WorkerError(answer["died"])
        return [Outcome(Epoch.curve(curve), best, ending, ()) for curve, best, ending in answer["outcomes"]]

    def keep(self, place: int, folder: Path) -> None:
        """See `Hand`."""
        self._ask({"keep": place, "folder": str(folder.resolve())})

    def _ask(self, words: dict[str, Any]) -> dict[str, Any]:
        """Its answer; raises WorkerError where it is gone, NotWrittenError where the disk took nothing from it."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            stdin.write(json.dumps(words) + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            raise WorkerError(f"a worker ended by itself, with exit code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "unwritten" in answer:
            raise NotWrittenError(answer["unwritten"])
        return answer

    def stop(self) -> None:
        """It keeps what it has in training, and ends."""
        self.stopping = True
        self.process.terminate()

    def close(self) -> None:
        """Nothing more is to be trained."""
        try:
            self.process.communicate(timeout=4)  # it ends where nothing more can be told, and keeps what it has
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
