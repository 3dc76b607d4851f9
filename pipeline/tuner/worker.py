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

from pipeline.config.reader import read
from pipeline.runtime.files import NotWrittenError
from pipeline.runtime.signals import Interrupt, Stopped
from pipeline.study import space
from pipeline.study.problem import pose
from pipeline.study.study import Proposal
from pipeline.training.fit import swept
from pipeline.training.fold_data import Preparation
from pipeline.training.trial_state import Judge
from pipeline.tuner.executors import Here


def main(words: Sequence[str]) -> None:
    """words: the core to stay on, the study's folder, then those of the search."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's come to the search, which ends its workers
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    core, folder, *rest = words
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    torch.set_num_threads(1)
    own = rest.index("--config-dir") if "--config-dir" in rest else len(rest)
    search = read(rest[:own], Path(rest[own + 1]) if own < len(rest) else None)
    question = pose(search)
    preparation = Preparation(question.examples, question.inputs, question.head, question.task.device.torch)
    with swept(), suppress(Stopped), Interrupt(second=False) as interrupt, interrupt.waiting():
        here = Here(search, question, preparation.folds(question.splits), Path(folder), interrupt.check)
        _say(answers, {"ready": question.fingerprint})
        for line in sys.stdin:
            told = json.loads(line)
            try:
                _say(answers, _do(here, told, answers))
            except NotWrittenError as error:
                _say(answers, {"unwritten": str(error)})


def _do(here: Here, told: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    if "train" in told:
        return _train(here, told["train"], answers)
    here.keep(told["keep"], Path(told["folder"]))
    return {"kept": told["keep"]}


def _train(here: Here, trials: Sequence[dict[str, Any]], answers: TextIO) -> dict[str, Any]:
    proposals = [Proposal(trial["number"], space.restored(trial["fields"])) for trial in trials]
    try:
        outcomes = here.train(proposals, [_judge(place, answers) for place in range(len(proposals))])
    except NotWrittenError:
        raise
    except Exception as error:  # noqa: BLE001 -- the search decides what becomes of it
        traceback.print_exc()
        return {"died": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {
        "outcomes": [[[epoch.plain for epoch in outcome.epochs], outcome.best, outcome.ending] for outcome in outcomes]
    }


def _judge(place: int, answers: TextIO) -> Judge:
    """The search judges: it is told of the epoch, and answers."""

    def stop(means: Sequence[float]) -> bool:
        _say(answers, {"judge": place, "means": means})
        answer = sys.stdin.readline()
        if not answer:
            raise Stopped(128 + signal.SIGTERM)  # the search is gone
        return bool(json.loads(answer)["stop"])

    return stop


def _say(answers: TextIO, words: dict[str, Any]) -> None:
    try:
        answers.write(json.dumps(words) + "\n")
        answers.flush()
    except BrokenPipeError:
        raise Stopped(128 + signal.SIGTERM) from None  # the search is gone


if __name__ == "__main__":
    main(sys.argv[1:])
