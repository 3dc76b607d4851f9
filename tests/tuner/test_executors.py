"""Workers: as many processes as cores train, and the table is that of one."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from pipeline.config.schema import ComputeConfig
from pipeline.runtime.errors import UserError
from pipeline.study import proposal_batches
from pipeline.study.study import TrialProposal
from pipeline.training.device import Device, resolve_device
from pipeline.tuner import executors
from pipeline.tuner.executors import WorkerProcess
from tests.conftest import TINY, search

WORDS = ("task=day_night", *TINY, "budget.trials=9")


def test_workers_leave_the_table_that_one_process_leaves_for_the_same_batches(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = search(store, *WORDS, "compute.workers=2")
    monkeypatch.setattr(proposal_batches, "choose_batch_size", lambda *_, **__: 4)
    one = search(tmp_path / "other", *WORDS)
    assert (several / "trials.csv").read_bytes() == (one / "trials.csv").read_bytes()
    assert len(list((several / "leader").rglob("*.safetensors"))) == 3


def test_killed_worker_costs_its_trial_and_no_other(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = WorkerProcess.train

    def killed(self: WorkerProcess, proposals: list[TrialProposal], judges: list) -> list:
        def kill(*_: object) -> bool:
            os.kill(self.process.pid, signal.SIGKILL)
            return False

        return train(self, proposals, [kill] if proposals[0].number == 3 else judges)

    monkeypatch.setattr(WorkerProcess, "train", killed)
    folder = search(store, *WORDS, "compute.workers=2", "pruner=none")
    trials = json.loads((folder / "summary.json").read_text())["trials"]
    assert (trials["total"], trials["failed"]) == (9, 1)
    (failed,) = [line for line in (folder / "trials.csv").read_text().splitlines() if ",failed," in line]
    assert failed.startswith("3,")
    assert "a worker ended by itself, with exit code -9" in (folder / "trials.log").read_text()


def test_as_many_workers_as_are_asked_for() -> None:
    cpu = resolve_device(ComputeConfig("cpu", "fp32", 1, "auto"))
    assert executors.resolve_worker_count(ComputeConfig("cpu", "fp32", 3, "auto"), cpu) == 3
    assert executors.resolve_worker_count(ComputeConfig("cpu", "fp32", "auto", "auto"), cpu) == len(
        os.sched_getaffinity(0)
    )


def test_several_workers_on_a_gpu_are_refused() -> None:
    """No GPU is needed: the device is only named."""
    gpu = Device(torch.device("cuda", 0), "fp32")
    assert executors.resolve_worker_count(ComputeConfig("gpu", "fp32", "auto", "auto"), gpu) == 1
    with pytest.raises(UserError, match=r"compute\.workers: several are for a CPU, and this search is on a GPU; got 4"):
        executors.resolve_worker_count(ComputeConfig("gpu", "fp32", 4, "auto"), gpu)
