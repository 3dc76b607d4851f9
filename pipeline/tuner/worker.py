"""Worker side of executors.WorkerProcess: trains the trials of each request on one core; only a search starts it."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch

from pipeline.config.reader import read_search
from pipeline.runtime.errors import describe_error
from pipeline.runtime.files import FileWriteError
from pipeline.runtime.signals import SearchInterrupted, SignalGuard
from pipeline.study import space
from pipeline.study.problem import build_problem
from pipeline.study.study import TrialProposal
from pipeline.training.fit import gc_unfrozen_on_exit
from pipeline.tuner.executors import InProcessExecutor

SEARCH_GONE = 128 + signal.SIGTERM


def main(arguments: Sequence[str]) -> None:
    """Reply to requests until the input ends; arguments: core, study's folder, folder of YAML or "", overrides."""
    # The terminal sends both signals to the search too, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that the output of a library is never taken for a reply
    core, folder, config_dir, *overrides = arguments
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    torch.set_num_threads(1)
    search = read_search(overrides, Path(config_dir) if config_dir else None)
    problem = build_problem(search)
    with (
        gc_unfrozen_on_exit(),
        suppress(SearchInterrupted),
        SignalGuard(exit_on_second=False) as signal_guard,
        signal_guard.deferred(),
    ):
        folds = problem.fold_data_builder().build_folds(problem.splits)
        check_stop = signal_guard.raise_if_interrupted
        executor = InProcessExecutor(problem.task, folds, search.seed, Path(folder), check_stop)
        _send(replies, {"ready": problem.fingerprint})
        for line in sys.stdin:
            try:
                reply = _handle_request(executor, json.loads(line), replies)
            except FileWriteError as error:
                reply = {"write_error": str(error)}
            _send(replies, reply)


def _handle_request(executor: InProcessExecutor, request: dict[str, Any], replies: TextIO) -> dict[str, Any]:
    if "train" in request:
        return _train_trials(executor, request["train"], replies)
    if "save_out_of_fold" in request:
        executor.save_out_of_fold(request["save_out_of_fold"], Path(request["file"]))
    else:
        executor.save_weights(request["save_weights"], Path(request["folder"]))
    return {}


def _train_trials(executor: InProcessExecutor, trials: Sequence[dict[str, Any]], replies: TextIO) -> dict[str, Any]:
    """Train trials and return their results, or the first line of the error."""
    proposals = [TrialProposal(trial["number"], space.from_hyperparameters(trial["fields"])) for trial in trials]
    prune_callbacks = [partial(_should_prune, replies, index) for index in range(len(proposals))]
    try:
        results = executor.train(proposals, prune_callbacks)
    except FileWriteError:
        raise
    except Exception as error:  # noqa: BLE001 -- the search decides what becomes of it
        traceback.print_exc()
        return {"error": describe_error(error)}
    curves = [[epoch.as_list for epoch in each.epoch_results] for each in results]
    ends = [(each.best_epoch, each.stop_reason) for each in results]
    return {"results": [(curve, *end) for curve, end in zip(curves, ends, strict=True)]}


def _should_prune(replies: TextIO, index: int, mean_scores: Sequence[float]) -> bool:
    """Send the scores to the search, whose study decides, and return its reply."""
    _send(replies, {"should_prune": index, "mean_scores": mean_scores})
    reply = sys.stdin.readline()
    if not reply:
        raise SearchInterrupted(SEARCH_GONE)
    return bool(json.loads(reply)["should_prune"])


def _send(replies: TextIO, message: dict[str, Any]) -> None:
    try:
        replies.write(json.dumps(message) + "\n")
        replies.flush()
    except BrokenPipeError:
        raise SearchInterrupted(SEARCH_GONE) from None


if __name__ == "__main__":
    main(sys.argv[1:])
