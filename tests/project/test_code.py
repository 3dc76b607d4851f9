"""The rules that pipeline/ is written by, read from its syntax trees: names, sizes, one assignment a line."""

from __future__ import annotations

import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PIPELINE = Path(__file__).resolve().parents[2] / "pipeline"
PACKAGES = {
    "runtime", "config", "data", "preprocessing", "models", "training", "artifact", "study", "inference", "tracking",
    "report", "tuner",
}  # fmt: skip
ENTRIES = {"search", "predict", "compare", "export", "ui", "sync", "cache"}

# Adjectives and quantities: a constant made of nothing but them does not say which thing it is about.
NO_THINGS = {
    "MOST", "LEAST", "LONGEST", "SHORTEST", "AT", "ONCE", "SHARE", "FEWEST", "KEPT", "SMALL", "SMALLEST", "LARGE",
    "LARGEST", "BEST", "WORST", "RECENT", "NEWEST", "TOP", "EVERY", "FIRST", "LAST", "NEXT", "ENOUGH", "MANY", "FEW",
    "LONG", "SHORT", "WIDE", "HIGH", "LOW", "MAX", "MIN", "MORE", "LESS", "ALL", "NONE", "OTHER", "REST", "QUIET",
    "DEFAULT", "TOO", "VERY", "NO", "A", "THE", "OF", "TO", "IS", "NOT", "USED", "SEEN", "TRIED", "TOLD", "DRAWN",
}  # fmt: skip

MAX_PIPELINE_LINES = 20_800  # inputs, schedules, references and ensembles came after the move into packages
MAX_FILE_LINES = 250
MAX_ENTRY_LINES = 60
MAX_MEDIAN_FUNCTION_LINES = 9
MAX_PARALLEL_SHARE = 0.01  # of all assignments
MAX_TYPE_IGNORES = 4
MAX_NOQA = 10


@cache
def sources() -> dict[Path, str]:
    return {file: file.read_text(encoding="utf-8") for file in sorted(PIPELINE.rglob("*.py"))}


@cache
def trees() -> dict[Path, ast.Module]:
    return {file: ast.parse(text) for file, text in sources().items()}


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    return ((file, node) for file, tree in trees().items() for node in ast.walk(tree))


def place(file: Path, node: ast.expr | ast.stmt) -> str:
    return f"{file.relative_to(PIPELINE.parent)}:{node.lineno}"


def test_top_has_packages_and_entries_alone() -> None:
    names = {path.name for path in PIPELINE.iterdir() if path.name != "__pycache__"}
    assert names == PACKAGES | {f"{entry}.py" for entry in ENTRIES} | {"__init__.py"}


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for file in sources()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_class_names_have_one_meaning() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file, node in nodes():
        if isinstance(node, ast.ClassDef):
            places[node.name].append(place(file, node))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def constants(tree: ast.Module) -> Iterator[ast.Name]:
    """The names in capitals that a module assigns at its top."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                yield from (node for node in ast.walk(target) if isinstance(node, ast.Name) and node.id.isupper())


def test_constants_name_a_thing() -> None:
    nameless = [
        f"{place(file, name)} {name.id}"
        for file, tree in trees().items()
        for name in constants(tree)
        if set(name.id.strip("_").split("_")) <= NO_THINGS
    ]
    assert nameless == []


def reads(values: ast.expr) -> set[str]:
    return {
        ast.unparse(node) for node in ast.walk(values) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript)
    }


def is_parallel(node: ast.Assign) -> bool:
    """Whether it packs independent assignments into a line: a swap needs it, and unpacking a result is no packing."""
    target = node.targets[0]
    if not (isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)):
        return False
    return not {ast.unparse(name) for name in target.elts} & reads(node.value)


def test_one_assignment_a_line() -> None:
    assignments = [(file, node) for file, node in nodes() if isinstance(node, ast.Assign | ast.AnnAssign)]
    parallel = [place(file, node) for file, node in assignments if isinstance(node, ast.Assign) and is_parallel(node)]
    assert len(parallel) <= MAX_PARALLEL_SHARE * len(assignments), "\n".join(parallel)


def test_files_are_short() -> None:
    lines = {str(file.relative_to(PIPELINE)): text.count("\n") for file, text in sources().items()}
    assert {file: count for file, count in lines.items() if count > MAX_FILE_LINES} == {}
    assert {f"{entry}.py": lines[f"{entry}.py"] for entry in ENTRIES if lines[f"{entry}.py"] > MAX_ENTRY_LINES} == {}
    assert sum(lines.values()) <= MAX_PIPELINE_LINES


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its signature and docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    assert function.end_lineno is not None
    return function.end_lineno - first.lineno + 1


def test_functions_are_short() -> None:
    lengths = [body_lines(node) for _, node in nodes() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES


def test_checks_are_seldom_switched_off() -> None:
    text = "".join(sources().values())
    assert text.count("# type: ignore") <= MAX_TYPE_IGNORES
    assert text.count("# noqa") <= MAX_NOQA


@pytest.mark.parametrize("entry", sorted(ENTRIES))
def test_help_fits_into_80_columns(entry: str) -> None:
    lines = import_module(f"pipeline.{entry}").HELP.splitlines()
    assert [line for line in lines if len(line) > 80] == []
