"""Description of a study, `<folder>/study.json`: with trials.log, all that MLflow shows can be rebuilt from it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from pipeline.config import follow_up_commands
from pipeline.config.heads import HEADS
from pipeline.config.model import Model
from pipeline.config.ranges import Choice, Range
from pipeline.data.date_columns import DateColumn, list_file_columns
from pipeline.runtime.files import write_file
from pipeline.runtime.text import join_names
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
    """Study as text and plain values; the fields are flat, since files of every release have these keys.

    uri: tracking address, or None for the store's own database; facts: everything that decides the result; rows:
    number of rows, in all, for development and for the test; dataset, source: kind and settings of the data;
    decides: facts by which versions of a registered model are compared; architecture: as in the model file, without
    the layers of a trial.

    Fields with a default are missing in older files. columns: outputs of the head; question: title of the task; unit:
    of a number; splits, method: of cross-validation and search; budget: number of trials; searched, fixed: ranges, and
    values that all trials share; before, after: words of the command around a trial's overrides; predict: command for
    predictions; environment: versions, device and commit; constant: constant baseline's score in cross-validation.
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
    def from_search(cls, search: Search, problem: Problem) -> StudyDescription:
        """Return the description of a search."""
        # Here, since a search has torch loaded; a process that only reads this file starts without.
        from pipeline.artifact.architecture import build_architecture
        from pipeline.preprocessing import TableInputs
        from pipeline.study.library_versions import library_versions

        examples = problem.examples
        splits = problem.splits
        inputs = problem.task.inputs
        head = problem.task.head
        synthetic = examples.is_synthetic
        architecture = build_architecture(search.task, inputs, space.NO_HIDDEN_LAYERS, head, synthetic=synthetic)
        before, after = follow_up_commands.search_command_parts(search)
        folder = search.store / "studies" / problem.name
        commit = git_commit(Path(__file__).resolve())
        ranges = {key: _format_range(value) for key, value in search.space.settings.items() if isinstance(value, Range)}
        values = {key: value for key, value in search.space.settings.items() if key not in (*ranges, *WIDTH_KEYS)}
        defaults = {each.name: each.default for each in fields(search.dataset)}
        dataset = {key: value for key, value in asdict(search.dataset).items() if value != defaults[key]}
        del dataset["kind"]
        target = getattr(search.dataset, "target_names", ())
        dataset_overrides = [f"dataset.{key}={format_override_value(value)}" for key, value in dataset.items()]
        repeats = f", repeated {search.cv.repeats} times" if search.cv.repeats > 1 else ""
        return cls(
            study=problem.name,
            task=search.task,
            metric=search.metric.name,
            uri=search.tracking.uri,
            fingerprint=problem.fingerprint,
            facts=problem.facts,
            rows={"rows": len(examples), "development": len(splits.development), "test": len(splits.test)},
            dataset=search.dataset.kind,
            source=" ".join([f"dataset={search.dataset.kind}", *dataset_overrides]),
            decides={
                "study": problem.name,
                "drawn": str(synthetic).lower(),
                "test_rows": examples.take(splits.test).fingerprint,
                "folds": splits.fingerprint,
                "data": examples.fingerprint,
                "metric": search.metric.name,
                **({"target": join_names(target)} if target else {}),
            },
            configuration=search.yaml,
            typed=" ".join(search.overrides),
            architecture=json.loads(architecture.to_json()),
            columns=head.output_names,
            question=search.question,
            unit=getattr(search.head, "unit", ""),
            splits=f"{search.cv.folds} folds{repeats}",
            method=f"sampler {search.sampler.name}, pruner {search.pruner.name}, seed {search.seed}",
            budget=search.budget.trials,
            searched=ranges,
            fixed={key: format_override_value(value) for key, value in values.items()},
            before=before,
            after=after,
            predict=follow_up_commands.format_predict_command(search, folder, is_table=isinstance(inputs, TableInputs)),
            environment=library_versions() | {"device": problem.task.device.name} | commit,
            constant=problem.constant_score,
        )

    @property
    def class_names(self) -> Sequence[str]:
        """Return the classes or labels; empty if the head predicts a number."""
        kind = self.architecture["head"]["kind"]
        return () if HEADS[kind].prediction_kinds[0] == "numbers" else self.columns

    @property
    def input_columns(self) -> Sequence[str]:
        """Return the columns of a table that the model takes; empty if it takes images."""
        inputs = self.architecture["inputs"]
        dates = [DateColumn(**column) for column in inputs.get("dates", ())]
        return list_file_columns(inputs.get("numbers", ()), inputs.get("categories", ()), dates)

    def write(self, folder: Path) -> None:
        """Write the file into the study's folder."""
        write_file(folder / DESCRIPTION_FILE, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def architecture_json(self, trial: TrialRecord) -> str:
        """Return the architecture file of a trial."""
        model = MODEL_ADAPTER.dump_python(space.from_hyperparameters(trial.hyperparameters).model, mode="json")
        return json.dumps({**self.architecture, "model": model, "parameters": trial.n_parameters}, indent=2) + "\n"


def _format_range(setting: Range) -> str:
    if isinstance(setting, Choice):
        return ", ".join(map(format_override_value, setting.options))
    scale = ", on a logarithmic scale" if setting.log else f", in steps of {setting.step}" if setting.step else ""
    return f"{setting.low} to {setting.high}{scale}"


def git_commit(file: Path) -> dict[str, str]:
    """Return the commit if git tracks the file: an installed package may lie inside another repository."""
    if shutil.which("git") is None:
        return {}
    command = ["git", "rev-parse", "HEAD", f"HEAD:./{file.name}"]  # fails unless the commit holds the file
    result = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
    return {"commit": result.stdout.split()[0]} if result.returncode == 0 else {}


def read_description(folder: Path) -> StudyDescription:
    """Return the description in the study's folder; raises FileNotFoundError if there is none."""
    return StudyDescription(**json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8")))
