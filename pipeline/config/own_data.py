"""Name the searches of `task=table` and `task=images` after their file or folder."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.datasets import DatasetConfig
from pipeline.runtime.text import shorten

OWN_DATA_TASKS = ("table", "images")
MAX_TASK_CHARS = 60  # names of files are made of it, which have 255 bytes at most, and a letter up to three


@dataclass(frozen=True)
class TaskName:
    """Name of a search's experiment and registered model; note: says so, if it is not the task that was typed.

    question: what is asked of the data, for a task that does not say it.
    """

    name: str
    note: str = ""
    question: str = ""


def name_task(task: str, dataset: DatasetConfig, known_tasks: Sequence[str]) -> TaskName:
    """Return the task's name, or for a task of any data that of their file or folder.

    known_tasks: all tasks; data with the name of one of them get another, since they would share its experiment.
    """
    if task not in OWN_DATA_TASKS or dataset.path is None:
        return TaskName(task)
    path = dataset.path if dataset.path.name not in ("", "..") else dataset.path.resolve()
    name = _clean(path.name if path.is_dir() else path.stem) or task
    since = ""
    if name.casefold() in {each.casefold() for each in known_tasks} - set(OWN_DATA_TASKS):
        since = f", since {name} is a task of its own"
        name = f"{name}_{task}"
    targets = ", ".join(getattr(dataset, "target_names", ()))
    question = f"What is {shorten(targets)} in {name}?" if targets else f"What is in an image of {name}?"
    return TaskName(name, f"experiment and registered model: {name}{since}", question)


def _clean(text: str) -> str:
    """Return the letters, digits, dots, dashes and underscores of a name, with underscores in place of the others.

    MLflow refuses slashes and colons, and an at sign or a quotation mark ends a model's name in its addresses.
    """
    composed = unicodedata.normalize("NFC", text)  # file systems differ in how they compose letters
    return re.sub(r"[^\w.-]+", "_", composed)[:MAX_TASK_CHARS].strip("._-")
