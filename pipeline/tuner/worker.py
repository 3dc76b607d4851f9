"""The other side of `hands.Worker`: trains what it is told on one core; started by a search, never by hand."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
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
from pipeline.training.trial_state import PruneCallback
from pipeline.tuner.executors import InProcessExecutor


def main(arguments: Sequence[str]) -> None:
    """words: the core to stay on, the study's folder, then those of the search."""
    for signal_number in (signal.SIGINT, signal.SIGHUP):  # a terminal's come to the search, which ends its workers
        signal.signal(signal_number, signal.SIG_IGN)
    reply_stream = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    core, folder, *rest = arguments
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    torch.set_num_threads(1)
    config_dir_index = rest.index("--config-dir") if "--config-dir" in rest else len(rest)
    search = read_search(
        rest[:config_dir_index], Path(rest[config_dir_index + 1]) if config_dir_index < len(rest) else None
    )
    problem = build_problem(search)
    with (
        gc_unfrozen_on_exit(),
        suppress(SearchInterrupted),
        SignalGuard(exit_on_second=False) as signal_guard,
        signal_guard.deferred(),
    ):
        executor = InProcessExecutor(
            problem.task,
            problem.fold_data_builder().build_folds(problem.splits),
            search.seed,
            Path(folder),
            signal_guard.raise_if_interrupted,
        )
        _send(reply_stream, {"ready": problem.fingerprint})
        for line in sys.stdin:
            request = json.loads(line)
            try:
                _send(reply_stream, _handle_request(executor, request, reply_stream))
            except FileWriteError as error:
                _send(reply_stream, {"unwritten": str(error)})


def _handle_request(executor: InProcessExecutor, request: dict[str, Any], reply_stream: TextIO) -> dict[str, Any]:
    if "train" in request:
        return _train_trials(executor, request["train"], reply_stream)
    executor.save_weights(request["keep"], Path(request["folder"]))
    return {"kept": request["keep"]}


def _train_trials(
    executor: InProcessExecutor, trials: Sequence[dict[str, Any]], reply_stream: TextIO
) -> dict[str, Any]:
    proposals = [TrialProposal(trial["number"], space.from_hyperparameters(trial["fields"])) for trial in trials]
    try:
        results = executor.train(
            proposals, [_remote_prune_callback(place, reply_stream) for place in range(len(proposals))]
        )
    except FileWriteError:
        raise
    except Exception as error:  # noqa: BLE001 -- the search decides what becomes of it
        traceback.print_exc()
        return {"died": describe_error(error)}
    return {
        "outcomes": [
            [[epoch.as_list for epoch in outcome.epoch_results], outcome.best_epoch, outcome.stop_reason]
            for outcome in results
        ]
    }


def _remote_prune_callback(index: int, reply_stream: TextIO) -> PruneCallback:
    """The search judges: it is told of the epoch, and answers."""

    def should_prune(mean_scores: Sequence[float]) -> bool:
        _send(reply_stream, {"judge": index, "means": mean_scores})
        reply = sys.stdin.readline()
        if not reply:
            raise SearchInterrupted(128 + signal.SIGTERM)  # the search is gone
        return bool(json.loads(reply)["stop"])

    return should_prune


def _send(reply_stream: TextIO, message: dict[str, Any]) -> None:
    try:
        reply_stream.write(json.dumps(message) + "\n")
        reply_stream.flush()
    except BrokenPipeError:
        raise SearchInterrupted(128 + signal.SIGTERM) from None  # the search is gone


if __name__ == "__main__":
    main(sys.argv[1:])
