"""What MLflow is to know of a study besides its trials: `<folder>/study.json`, from which all of it can be rebuilt."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from pipeline.config import follow_up_commands
from pipeline.config.model import Model
from pipeline.config.ranges import Choice, Range
from pipeline.runtime.files import write_file
from pipeline.study import space
from pipeline.study.space import WIDTH_KEYS, format_override_value

if TYPE_CHECKING:
    from pipeline.config.schema import Search
    from pipeline.study.problem import Problem
    from pipeline.study.trial_record import TrialRecord

DESCRIPTION_FILE = "study.json"
MODEL_ADAPTER = TypeAdapter(Model)


@dataclass(frozen=True)
class StudyDescription:
    """A study, in plain words.

    uri: the tracking address, or none where the store has its own; facts: what decides the result; rows: how many are
    there, to develop on and to test; dataset, source: its kind and its settings; decides: what a registered version is
    compared by; architecture: as a file has it, but for its layers, which each trial has its own of.

    What came later has a default, so that older files can be read. columns: of the answers; question: in a sentence;
    unit: of a number; splits, method: how it is judged and searched; budget: trials in total; searched, fixed: the
    ranges, and the values that all trials share; before, after: a command's words around a trial's overrides; predict:
    the command; environment: versions, and the commit of the code; constant: the score in cross-validation of the best
    answer that looks at no input.
    """

    study: str
    task: str
    metric: str
    uri: str | None
    fingerprint: str
    facts: Mapping[str, str]
    rows: Mapping[str, int]
    dataset: str
    source: str
    decides: Mapping[str, str]
    configuration: str
    typed: str
    architecture: Mapping[str, Any]
    columns: Sequence[str] = ()
    question: str = ""
    unit: str = ""
    splits: str = ""
    method: str = ""
    budget: int = 0
    searched: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    predict: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    constant: float | None = None

    @classmethod
    def from_search(cls, search: Search, problem: Problem, architecture: str) -> StudyDescription:
        """The description of a search; architecture: the text of the file of a network without hidden layers."""
        from pipeline.preprocessing import TableInputs
        from pipeline.study import summary  # the search has torch; a process that only reads this file does without

        examples, splits = problem.examples, problem.splits
        command_prefix, command_suffix = follow_up_commands.search_command_parts(search)
        folder, is_table = search.store / "studies" / problem.name, isinstance(problem.task.inputs, TableInputs)
        return cls(
            study=problem.name,
            task=search.task,
            metric=search.metric.name,
            uri=search.tracking.uri,
            fingerprint=problem.fingerprint,
            facts=problem.facts,
            rows={"rows": len(examples), "development": len(splits.development), "test": len(splits.test)},
            dataset=search.dataset.kind,
            source=_format_dataset_overrides(search),
            decides={
                "study": problem.name,
                "drawn": str(examples.is_synthetic).lower(),
                "test_rows": examples.take(splits.test).fingerprint,
                "folds": splits.fingerprint,
                "data": examples.fingerprint,
                "metric": search.metric.name,
            },
            configuration=search.yaml,
            typed=" ".join(search.overrides),
            architecture=json.loads(architecture),
            columns=problem.task.head.output_names,
            question=search.question,
            unit=getattr(search.head, "unit", ""),
            splits=f"{search.cv.folds} folds{format_repeats(search.cv.repeats)}",
            method=f"sampler {search.sampler.name}, pruner {search.pruner.name}, seed {search.seed}",
            budget=search.budget.trials,
            searched={
                key: format_range(value) for key, value in search.space.settings.items() if isinstance(value, Range)
            },
            fixed={
                key: format_override_value(value)
                for key, value in search.space.settings.items()
                if not isinstance(value, Range) and key not in WIDTH_KEYS
            },
            before=command_prefix,
            after=command_suffix,
            predict=follow_up_commands.format_predict_command(search, folder, is_table=is_table),
            environment={
                **summary.library_versions(),
                "device": problem.task.device.name,
                **git_commit(Path(__file__).resolve()),
            },
            constant=problem.constant_score,
        )

    @property
    def class_names(self) -> Sequence[str]:
        """The classes or labels; none where a number is the answer."""
        return () if self.architecture["head"]["kind"] == "number" else self.columns

    @property
    def input_columns(self) -> Sequence[str]:
        """The columns of a table that a model answers for; none where it answers for pictures."""
        inputs = self.architecture["inputs"]
        return [*inputs.get("numbers", ()), *inputs.get("categories", ())]

    def write(self, folder: Path) -> None:
        """Into the study's folder."""
        write_file(folder / DESCRIPTION_FILE, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def architecture_json(self, trial: TrialRecord) -> str:
        """The architecture of a trial, as a file has it."""
        model = MODEL_ADAPTER.dump_python(space.from_hyperparameters(trial.hyperparameters).model, mode="json")
        return json.dumps({**self.architecture, "model": model, "parameters": trial.n_parameters}, indent=2) + "\n"


def format_range(setting: Range) -> str:
    """A range as a person says it."""
    if isinstance(setting, Choice):
        return ", ".join(map(format_override_value, setting.options))
    scale = ", on a logarithmic scale" if setting.log else f", in steps of {setting.step}" if setting.step else ""
    return f"{setting.low} to {setting.high}{scale}"


def format_repeats(repeats: int) -> str:
    """How often the folds are drawn, where it is more than once."""
    return f", drawn {repeats} times" if repeats > 1 else ""


def _format_dataset_overrides(search: Search) -> str:
    """The data set's settings, as they are typed."""
    settings = {key: value for key, value in asdict(search.dataset).items() if key != "kind"}
    return " ".join(
        [
            f"dataset={search.dataset.kind}",
            *(f"dataset.{key}={format_override_value(settings[key])}" for key in settings),
        ]
    )


def git_commit(file: Path) -> dict[str, str]:
    """The version of the code in a file, where git keeps it: it may also be installed below another repository."""
    if shutil.which("git") is None:
        return {}

    def run_git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=file.parent, capture_output=True, text=True, check=False)

    tracked, head_commit = run_git("ls-files", "--error-unmatch", file.name), run_git("rev-parse", "HEAD")
    return {"commit": head_commit.stdout.strip()} if tracked.returncode == head_commit.returncode == 0 else {}


def read_description(folder: Path) -> StudyDescription:
    """What the folder's file says; raises FileNotFoundError where no search has described itself there."""
    return StudyDescription(**json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8")))
