"""What MLflow is to know of a study besides its trials: `<folder>/study.json`, from which all of it can be rebuilt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from pipeline import space
from pipeline.config.schema import Model
from pipeline.files import write_whole

if TYPE_CHECKING:
    from pipeline.config.schema import Search
    from pipeline.question import Question
    from pipeline.record.rows import Row

FILE = "study.json"
MODEL = TypeAdapter(Model)


@dataclass(frozen=True)
class Description:
    """A study, in plain words.

    uri: the tracking address, or none where the store has its own; facts: what decides the result; rows: how many are
    there, to develop on and to test; dataset, source: its kind and its settings; decides: what a registered version is
    compared by; architecture: as a file has it, but for its layers, which each trial has its own of;
    columns: of the answers, which a description did not have before models could be served.
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

    @classmethod
    def of(cls, search: Search, question: Question, architecture: str) -> Description:
        """The description of a search; architecture: the text of the file of a network without hidden layers."""
        examples, splits = question.examples, question.splits
        return cls(
            study=question.name,
            task=search.task,
            metric=search.metric,
            uri=search.tracking.uri,
            fingerprint=question.fingerprint,
            facts=question.facts,
            rows={"rows": len(examples), "development": len(splits.development), "test": len(splits.test)},
            dataset=search.dataset.kind,
            source=repr(search.dataset),
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
        )

    @property
    def unit(self) -> str:
        """Of the target, such as years; "" where it has none."""
        return str(self.architecture["head"].get("unit", ""))

    def write(self, folder: Path) -> None:
        """Into the study's folder."""
        write_whole(folder / FILE, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def trial(self, row: Row) -> str:
        """The architecture of a trial, as a file has it."""
        model = MODEL.dump_python(space.restored(row.fields).model, mode="json")
        return json.dumps({**self.architecture, "model": model, "parameters": row.parameters}, indent=2) + "\n"


def read(folder: Path) -> Description:
    """What the folder's file says; raises FileNotFoundError where no search has described itself there."""
    return Description(**json.loads((folder / FILE).read_text(encoding="utf-8")))
