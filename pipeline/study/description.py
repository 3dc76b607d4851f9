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
from pipeline.runtime.files import write_whole
from pipeline.study import space
from pipeline.study.space import WIDTHS, typed

if TYPE_CHECKING:
    from pipeline.config.schema import Search
    from pipeline.study.problem import Question
    from pipeline.study.trial_record import Row

FILE = "study.json"
MODEL = TypeAdapter(Model)


@dataclass(frozen=True)
class Description:
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
    def of(cls, search: Search, question: Question, architecture: str) -> Description:
        """The description of a search; architecture: the text of the file of a network without hidden layers."""
        from pipeline.preprocessing import TableInputs
        from pipeline.study import summary  # the search has torch; a process that only reads this file does without

        examples, splits = question.examples, question.splits
        before, after = follow_up_commands.around(search)
        folder, table = search.store / "studies" / question.name, isinstance(question.inputs, TableInputs)
        return cls(
            study=question.name,
            task=search.task,
            metric=search.metric,
            uri=search.tracking.uri,
            fingerprint=question.fingerprint,
            facts=question.facts,
            rows={"rows": len(examples), "development": len(splits.development), "test": len(splits.test)},
            dataset=search.dataset.kind,
            source=_source(search),
            decides={
                "study": question.name,
                "drawn": str(examples.drawn).lower(),
                "test_rows": examples.take(splits.test).fingerprint,
                "folds": splits.fingerprint,
                "data": examples.fingerprint,
                "metric": search.metric,
            },
            configuration=search.yaml,
            typed=" ".join(search.typed),
            architecture=json.loads(architecture),
            columns=question.head.columns,
            question=search.question,
            unit=getattr(search.head, "unit", ""),
            splits=f"{search.cv.folds} folds{times(search.cv.repeats)}",
            method=f"sampler {search.sampler}, pruner {search.pruner}, seed {search.seed}",
            budget=search.budget.trials,
            searched={key: words(value) for key, value in search.space.settings.items() if isinstance(value, Range)},
            fixed={
                key: typed(value)
                for key, value in search.space.settings.items()
                if not isinstance(value, Range) and key not in WIDTHS
            },
            before=before,
            after=after,
            predict=follow_up_commands.predict(search, folder, table=table),
            environment={**summary.versions(), "device": question.task.device.name, **commit(Path(__file__).resolve())},
            constant=question.constant,
        )

    @property
    def answers(self) -> Sequence[str]:
        """The classes or labels; none where a number is the answer."""
        return () if self.architecture["head"]["kind"] == "number" else self.columns

    @property
    def needs(self) -> Sequence[str]:
        """The columns of a table that a model answers for; none where it answers for pictures."""
        inputs = self.architecture["inputs"]
        return [*inputs.get("numbers", ()), *inputs.get("categories", ())]

    def write(self, folder: Path) -> None:
        """Into the study's folder."""
        write_whole(folder / FILE, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def trial(self, row: Row) -> str:
        """The architecture of a trial, as a file has it."""
        model = MODEL.dump_python(space.restored(row.fields).model, mode="json")
        return json.dumps({**self.architecture, "model": model, "parameters": row.parameters}, indent=2) + "\n"


def words(setting: Range) -> str:
    """A range as a person says it."""
    if isinstance(setting, Choice):
        return ", ".join(map(typed, setting.options))
    scale = ", on a logarithmic scale" if setting.log else f", in steps of {setting.step}" if setting.step else ""
    return f"{setting.low} to {setting.high}{scale}"


def times(repeats: int) -> str:
    """How often the folds are drawn, where it is more than once."""
    return f", drawn {repeats} times" if repeats > 1 else ""


def _source(search: Search) -> str:
    """The data set's settings, as they are typed."""
    settings = {key: value for key, value in asdict(search.dataset).items() if key != "kind"}
    return " ".join([f"dataset={search.dataset.kind}", *(f"dataset.{key}={typed(settings[key])}" for key in settings)])


def commit(file: Path) -> dict[str, str]:
    """The version of the code in a file, where git keeps it: it may also be installed below another repository."""
    if shutil.which("git") is None:
        return {}

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=file.parent, capture_output=True, text=True, check=False)

    kept, head = git("ls-files", "--error-unmatch", file.name), git("rev-parse", "HEAD")
    return {"commit": head.stdout.strip()} if kept.returncode == head.returncode == 0 else {}


def read(folder: Path) -> Description:
    """What the folder's file says; raises FileNotFoundError where no search has described itself there."""
    return Description(**json.loads((folder / FILE).read_text(encoding="utf-8")))
