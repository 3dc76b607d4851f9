"""What a stranger's model files try, and the one line that each of them comes to."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load, save

from pipeline import predict
from pipeline.artifact import model_files
from pipeline.artifact import tensors as parameters
from pipeline.artifact.architecture import Architecture
from pipeline.artifact.model_files import ARCHITECTURE_FILE, MODEL_FILES_HINT, PARAMETERS_FILE, ModelError
from tests.artifact.test_model_files import trained
from tests.watched import MISSING_IMAGE

ROOT = Path(__file__).resolve().parents[2]
SECONDS, MEGABYTES = 1.0, 300.0
Lay = Callable[[Path], None]
OURS = trained()


class Runs:
    """Pickled, it is a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/hostile-model-ran",)


def words(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / ARCHITECTURE_FILE).read_bytes())
    return found


def architecture(content: bytes) -> Lay:
    return spelt(lambda _: content)


def spelt(edit: Callable[[bytes], bytes]) -> Lay:
    """Other bytes as the architecture file."""

    def lay(folder: Path) -> None:
        file = folder / ARCHITECTURE_FILE
        file.write_bytes(edit(file.read_bytes()))

    return lay


def changed(**changes: object) -> Lay:
    """Other values under some of the architecture's keys; `model__hidden` is one within another."""

    def lay(folder: Path) -> None:
        plain = words(folder)
        for name, value in changes.items():
            *outer, last = name.split("__") if not name.startswith("_") else [name]
            place = plain
            for key in outer:
                place = place[key]
            place[last] = value
        (folder / ARCHITECTURE_FILE).write_text(json.dumps(plain))

    return lay


def text(old: str, new: str) -> Lay:
    """Another spelling somewhere in the architecture file."""

    def edit(before: bytes) -> bytes:
        assert old in before.decode()
        return before.decode().replace(old, new, 1).encode()

    return spelt(edit)


def bound(content: bytes | Callable[[bytes], bytes]) -> Lay:
    """Another parameters file, for which the architecture has the right hash."""

    def lay(folder: Path) -> None:
        before = (folder / PARAMETERS_FILE).read_bytes()
        after = content if isinstance(content, bytes) else content(before)
        (folder / PARAMETERS_FILE).write_bytes(after)
        changed(parameters_sha256=hashlib.sha256(after).hexdigest())(folder)

    return lay


def header(change: Callable[[dict[str, Any]], object]) -> Lay:
    """Another header before the same numbers, with the right hash."""

    def edit(before: bytes) -> bytes:
        length = int.from_bytes(before[:8], "little")
        plain = json.loads(before[8 : 8 + length])
        change(plain)
        after = json.dumps(plain).encode()
        return struct.pack("<Q", len(after)) + after + before[8 + length :]

    return bound(edit)


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Lay:
    """Other tensors, packed as ours are, with the right hashes."""

    def edit(before: bytes) -> bytes:
        length = int.from_bytes(before[:8], "little")
        found = load(before)
        change(found)
        return save(found, json.loads(before[8 : 8 + length])["__metadata__"])

    return bound(edit)


def put(file: str, make: Callable[[Path], object]) -> Lay:
    """Something else in the place of a file."""

    def lay(folder: Path) -> None:
        (folder / file).unlink()
        make(folder / file)

    return lay


def sparse(file: str, size: int) -> Lay:
    return lambda folder: os.truncate(folder / file, size)


def torch_file(legacy: bool, content: object) -> bytes:
    stream = BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def zipped(content: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", content)
    return stream.getvalue()


def packed(seed: int) -> bytes:
    """The parameters of a model of the same architecture with other numbers."""
    generator = torch.Generator().manual_seed(seed)
    numbers = {name: torch.rand(value.shape, generator=generator) for name, value in OURS.named_tensors().items()}
    return parameters.pack(numbers, OURS.architecture.sha256())


def padded(start: bytes) -> Callable[[bytes], bytes]:
    """A file of the right size that starts as another kind of file does."""
    return lambda before: (start + before)[: max(len(before), 1)]


def table(**changes: object) -> dict[str, object]:
    whole = {"kind": "table", "numbers": ["a", "b"], "flagged": [], "categories": ["c"], "levels": [["x"]]}
    return whole | changes


def renamed(found: dict[str, Any], old: str, new: str) -> None:
    found[new] = found.pop(old)


WEIGHT, BIAS = "network.layers.0.weight", "network.layers.0.bias"
MEMBER = {"model": {"hidden": [8, 4], "activation": "gelu", "dropout": 0.1}, "networks": 1, "weight": 1}
NOT_OURS, NO_TENSORS = "does not belong to architecture.json", "must be a safetensors file"
TOO_LONG = "must be JSON (Exceeds the limit"
PAIRS: dict[str, tuple[Lay, str]] = {
    # architecture.json: what is no JSON, or more of it than there is to say
    "empty": (architecture(b""), "must be JSON (Expecting value"),
    "random": (architecture(random.Random(0).randbytes(5000)), "must be JSON in UTF-8; got another byte at"),
    "pickle as architecture": (architecture(pickle.dumps(Runs())), "must be JSON in UTF-8"),
    "utf-16": (spelt(lambda before: before.decode().encode("utf-16")), "must be JSON in UTF-8"),
    "byte order mark": (spelt(lambda before: b"\xef\xbb\xbf" + before), "BOM"),
    **{
        f"trailing {end!r}": (spelt(lambda before, end=end: before + end), "must be JSON (Extra data")
        for end in (b"}", b"{}", b"1", b"\0")
    },
    "a key twice": (text('"task": ', '"task": "other", "task": '), "task: must be given once; got it 2 times"),
    "a key twice inside": (text('"hidden": ', '"hidden": [1], "hidden": '), "hidden: must be given once"),
    "NaN": (text('"dropout": 0.1', '"dropout": NaN'), "must have numbers that are finite; got NaN"),
    "infinity": (text('"dropout": 0.1', '"dropout": -Infinity'), "must have numbers that are finite; got -Infinity"),
    "infinity by size": (text('"dropout": 0.1', '"dropout": 1e999'), "model.dropout: Input should be a finite number"),
    "deep lists": (architecture(b"[" * 60_000), "must be JSON of a few levels; got a nest of brackets"),
    "deep objects": (architecture(b'{"a":' * 60_000), "must be JSON of a few levels"),
    "many lists": (architecture(b"[" + b"[]," * 1_000_000 + b"1]"), "at most 65,536 lists and objects; got 1,000,001"),
    "many keys": (architecture(b"{" + b'"a":1,' * 600_000 + b'"b":1}'), "at most 100 keys in one place; got 600,001"),
    "long number": (text('"format": 1', f'"format": {"9" * 100_000}'), TOO_LONG),
    "a list": (
        architecture(b"[1]"),
        "the file: Input should be a dictionary or an instance of Architecture; got a list",
    ),
    "larger than any": (architecture(b" " * (2**22 + 1)), "must have 0 to 4,194,304 bytes; got 4,194,305"),
    "a terabyte": (sparse(ARCHITECTURE_FILE, 2**40), "must have 0 to 4,194,304 bytes; got 1,099,511,627,776"),
    # words outside the vocabulary
    "_target_": (changed(_target_="os.system"), '_target_: Unexpected keyword argument; got "os.system"'),
    "import": (changed(**{"__import__('os')": 1}), "__import__('os'): Unexpected keyword argument"),
    "dotted": (changed(**{"model.hidden": [1]}), "model.hidden: Unexpected keyword argument; got a list of 1"),
    "homoglyph": (text('"task"', '"t\u0430sk"'), r"t\u0430sk: Unexpected keyword argument"),
    "a megabyte as key": (changed(**{"a" * 2**20: 1}), f"{'a' * 60}...: Unexpected keyword argument"),
    "a megabyte as name": (changed(task="a" * 2**20), "task: String should have at most 1000 characters; got"),
    "marks in a key": (changed(**{"a\n\x1b[2J\u202e": 1}), r"a\n\x1b[2J\u202e: Unexpected keyword argument"),
    "marks in a kind": (changed(head__kind="\n\x1b[31m\u202e"), r"head: Input tag '\n\x1b[31m\u202e' found"),
    "half a letter": (changed(task="\ud800"), "task: Input should be a valid string"),
    "a missing key": (architecture(b'{"format": 1}'), "task: Field required"),
    "newer format": (
        changed(format=3, quantum=True),
        "format: this version reads formats up to 2; got 3; install a newer version to read it",
    ),
    "no format": (changed(format=0), "format: Input should be greater than or equal to 1; got 0"),
    "true as format": (text('"format": 1', '"format": true'), "format: Input should be a valid integer; got True"),
    "a word for a size": (changed(inputs__size="8"), 'inputs.pictures.size: Input should be a valid integer; got "8"'),
    "unknown activation": (changed(model__activation="exec"), "model.activation: Input should be 'relu'"),
    "unknown head": (changed(head__kind="eval"), "head: Input tag 'eval' found using 'kind' does not match"),
    "a class twice": (
        changed(head__classes=["a", "a", "b"]),
        "head.softmax.classes: names must be unique; got a list of 3",
    ),
    "no class": (changed(head__classes=[]), "head.softmax.classes: Value should have at least 1 item"),
    "many wrong classes": (changed(head__classes=[1] * 1_000_000), "head.softmax.classes.0: Input should be a valid"),
    "falling edges": (
        changed(head={"kind": "bands", "edges": [2.0, 1.0], "unit": ""}),
        "head.bands.edges: edges must increase; got a list of 2",
    ),
    # sizes
    **{
        f"width {width!s:.9} {type(width).__name__}": (
            changed(model__hidden=[8, width]),
            f"model.hidden.1: {rule}",
        )
        for width, rule in {
            -1: "Input should be greater than or equal to 1; got -1",
            0: "Input should be greater than or equal to 1; got 0",
            2**63: "Input should be less than or equal to 65536; got 9223372036854775808",
            10**4000: "Input should be less than or equal to 65536; got 1000",
            "3": 'Input should be a valid integer; got "3"',
            True: "Input should be a valid integer; got True",
            8.5: "Input should be a valid integer; got 8.5",
            None: "Input should be a valid integer; got None",
        }.items()
    },
    "10^6 x 10^6": (
        changed(model__hidden=[10**6, 10**6]),
        "model.hidden.0: Input should be less than or equal to 65536",
    ),
    "10^7 layers": (
        text('"hidden": [', '"hidden": [' + "1, " * 10_000_000),
        "must have 0 to 4,194,304 bytes; got 30,000,",
    ),
    "10^6 layers": (changed(model__hidden=[1] * 1_000_000), "model.hidden: Tuple should have at most 20 items"),
    "widest": (
        changed(model__hidden=[65_536] * 20, parameters=2**31),
        "parameters: the layers have 81,618,468,867; got 2,147,483,648",
    ),
    "wide and true": (
        changed(model__hidden=[65_536, 9000], parameters=65_536 * 193 + 9000 * 65_537 + 3 * 9001),
        "must have at most 2,147,483,648 bytes of tensors; the architecture beside it needs ",
    ),
    "blocks of nothing": (changed(model__convolutions={}), "model.convolutions.channels: Field required"),
    "blocks that halve too often": (
        changed(model__convolutions={"channels": [1] * 8, "kernel": 3, "pooling": "max"}),
        "model.convolutions: images of 8 x 8 cannot be halved 8 times",
    ),
    "widest blocks": (
        changed(model__convolutions={"channels": [4096] * 3, "kernel": 7, "pooling": "max"}, parameters=2**31),
        "parameters: the layers have 1,644,826,683; got 2,147,483,648",
    ),
    "blocks that make too much of a picture": (
        changed(
            model__convolutions={"channels": [4096], "kernel": 3, "pooling": "max"},
            inputs={"kind": "pictures", "size": 512},
        ),
        "model.convolutions: a block may have 67,108,864 activations per image; this one has 1,073,741,824",
    ),
    "another count": (changed(parameters=3), "parameters: the layers have 1,595; got 3"),
    "more parameters": (changed(parameters=2**63), "parameters: Input should be less than or equal to"),
    "huge pictures": (changed(inputs__size=10**6), "inputs.pictures.size: Input should be less than or equal to 600"),
    # a table that does not fit itself
    "columns twice": (changed(inputs=table(numbers=["a", "a"])), "inputs.table.numbers: names must be unique"),
    "flag of no column": (changed(inputs=table(flagged=["z"])), "inputs.table: flagged: must be a subset of numbers"),
    "levels of no column": (changed(inputs=table(categories=[])), "inputs.table: levels: must have one list for each"),
    "ensemble of format 1": (changed(ensemble=[MEMBER]), "format: must be 2 for this model; got 1"),
    "ensemble of another model": (
        changed(format=2, ensemble=[MEMBER | {"model": MEMBER["model"] | {"hidden": [3]}}]),
        "ensemble: its first member must have the model of the file",
    ),
    "ensemble of too many networks": (
        changed(format=2, ensemble=[MEMBER | {"networks": 600}] * 2),
        "ensemble: must have at most 1,000 networks; got 1,200",
    ),
    "ensemble without its tensors": (changed(format=2, ensemble=[MEMBER]), "was trained with another architecture"),
    "bins of format 1": (
        changed(inputs=table(encoding="piecewise", bins=[3, 3])),
        "format: must be 2 for this model; got 1",
    ),
    "bins of no column": (
        changed(format=2, inputs=table(encoding="piecewise", bins=[3, 3, 3])),
        "inputs.table: bins: must have one count for each of numbers",
    ),
    "bins of no encoding": (changed(format=2, inputs=table(bins=[3])), "and none with encoding standard"),
    "too many bins": (
        changed(format=2, inputs=table(encoding="quantile", bins=[257])),
        "inputs.table.bins.0: Input should be less than or equal to 256; got 257",
    ),
    "encoding of no number": (
        changed(format=2, inputs=table(numbers=[], flagged=[], encoding="quantile")),
        "inputs.table: encoding: must be standard without numbers",
    ),
    "unknown encoding": (
        changed(format=2, inputs=table(encoding="eval", bins=[3])),
        "inputs.table.encoding: Input should be 'standard', 'quantile' or 'piecewise'; got \"eval\"",
    ),
    "dates of format 1": (
        changed(inputs=table(dates=[{"name": "d", "format": "ISO8601"}])),
        "format: must be 2 for this model; got 1",
    ),
    "unknown format of dates": (
        changed(format=2, inputs=table(dates=[{"name": "d", "format": "%c"}])),
        "inputs.table.dates.0.format: Input should be 'ISO8601'",
    ),
    "no column": (changed(inputs=table(numbers=[], categories=[], levels=[])), "must have at least one column"),
    # the pair
    "another activation": (changed(model__activation="relu"), "was trained with another architecture"),
    "another class name": (changed(head__classes=["a", "b", "\u0441"]), "was trained with another architecture"),
    "environment": (changed(task="${oc.env:HOME}"), "was trained with another architecture"),
    "path as task": (changed(task="../../etc/passwd"), "was trained with another architecture"),
    "no hash": (changed(parameters_sha256=None), NOT_OURS),
    "hash of nothing": (changed(parameters_sha256=""), "parameters_sha256: String should match pattern"),
    "two models": (put(PARAMETERS_FILE, lambda file: file.write_bytes(packed(seed=1))), NOT_OURS),
    # parameters.safetensors: other kinds of file, of another hash, then of the right one
    "pickle": (put(PARAMETERS_FILE, lambda file: file.write_bytes(pickle.dumps(Runs()))), "bytes; got"),
    "pickle with hash": (bound(padded(pickle.dumps(Runs()))), NO_TENSORS),
    "legacy torch": (bound(torch_file(True, {"a": torch.zeros(1595)})), NO_TENSORS),
    "torch": (bound(torch_file(False, {"a": torch.zeros(1595)})), NO_TENSORS),
    "checkpoint": (bound(torch_file(False, {"state_dict": {"a": torch.zeros(1595)}, "epoch": 1})), NO_TENSORS),
    "zip with code": (bound(padded(zipped(pickle.dumps(Runs())))), NO_TENSORS),
    "deflate bomb": (bound(padded(zipped(b"\0" * 50_000_000))), NO_TENSORS),
    "zlib bomb": (bound(padded(zlib.compress(b"\0" * 50_000_000))), NO_TENSORS),
    "no byte": (bound(b""), "must have 6,404 to 71,940 bytes; got 0"),
    "cut": (bound(lambda before: before[:-1]), NO_TENSORS),
    "longer": (bound(lambda before: before + b"\0"), NO_TENSORS),
    "header of 2^63": (
        bound(lambda before: struct.pack("<Q", 2**63) + before[8:]),
        "got a header of 9,223,372,036,854,",
    ),
    "header of nothing": (bound(lambda before: struct.pack("<Q", 0) + before[8:]), NO_TENSORS),
    "two gigabytes": (sparse(PARAMETERS_FILE, 2**31 - 1), "must have 6,404 to 71,940 bytes; got 2,147,483,647"),
    # its header
    "header of a list": (bound(lambda before: before[:8] + b"[" * 100 + before[108:]), "must be JSON"),
    "no metadata": (header(lambda found: found.pop("__metadata__")), "was trained with another architecture"),
    "more metadata": (header(lambda found: found["__metadata__"].update(format="pt")), "was trained with another"),
    "metadata of a list": (header(lambda found: found.update(__metadata__=[])), "was trained with another"),
    "extra tensor": (
        tensors(lambda found: found.update(extra=torch.zeros(0))),
        "must have the tensors of the architecture beside it and no others; got extra unexpected",
    ),
    "missing tensor": (header(lambda found: found.pop(WEIGHT)), f"got {WEIGHT} missing"),
    "renamed tensor": (
        header(lambda found: renamed(found, BIAS, "network.\x1b[2J\n")),
        rf"got network.\x1b[2J\n unexpected, {BIAS} missing",
    ),
    "many tensors": (
        header(lambda found: found.update({f"a{number}": 0 for number in range(200)})),
        "must have at most 100 keys in one place",
    ),
    "entry of more keys": (header(lambda found: found[BIAS].update(a=1)), f"{BIAS}: must have dtype, shape and"),
    "entry of a word": (header(lambda found: found.update({BIAS: "F32"})), f"{BIAS}: must have dtype, shape and"),
    "other shape": (
        header(lambda found: found[WEIGHT].update(shape=[192, 8])),
        "F32 [8, 192]; got F32 [192, 8]",
    ),
    "shape of fractions": (
        header(lambda found: found["input.mean"].update(shape=[3.0])),
        "is not a safetensors file (",
    ),
    "negative place": (header(lambda found: found[BIAS].update(data_offsets=[-1, 31])), "is not a safetensors file ("),
    "place of 2^63": (header(lambda found: found[BIAS].update(data_offsets=[0, 2**63])), "is not a safetensors file ("),
    "places that overlap": (
        header(lambda found: found["input.mean"].update(data_offsets=found["input.spread"]["data_offsets"])),
        "is not a safetensors file (",
    ),
    **{
        f"dtype {dtype}": (header(lambda found, dtype=dtype: found[BIAS].update(dtype=dtype)), f"[8]; got {dtype} [8]")
        for dtype in ("C64", "I8", "F64", "F16", "BF16", "BOOL", "X")
    },
    # its numbers
    **{
        f"weight {value}": (
            tensors(lambda found, value=value: found[WEIGHT].view(-1)[7:8].fill_(value)),
            f"{WEIGHT}: must be finite; got NaN or infinity",
        )
        for value in (float("nan"), float("inf"), float("-inf"))
    },
    # things that are no files
    "pipe as architecture": (put(ARCHITECTURE_FILE, os.mkfifo), "must be a plain file that can be read; got a pipe"),
    "pipe": (put(PARAMETERS_FILE, os.mkfifo), "must be a plain file that can be read; got a pipe"),
    "link as architecture": (
        put(ARCHITECTURE_FILE, lambda file: file.symlink_to("/etc/passwd")),
        "can be read; got: a link",
    ),
    "link to a device": (put(PARAMETERS_FILE, lambda file: file.symlink_to("/dev/zero")), "can be read; got: a link"),
    "link to itself": (put(PARAMETERS_FILE, lambda file: file.symlink_to(file)), "can be read; got: a link"),
    "folder as architecture": (put(ARCHITECTURE_FILE, Path.mkdir), "can be read; got a folder"),
    "folder": (put(PARAMETERS_FILE, Path.mkdir), "can be read; got a folder"),
    "no architecture": (put(ARCHITECTURE_FILE, lambda _: None), "no such file"),
    "no parameters": (put(PARAMETERS_FILE, lambda _: None), "no such file"),
}

WORDS = {
    "file://": ("file:///etc", "a folder that exists; got file:///etc"),
    "http://": ("http://127.0.0.1:9/model", "a folder that exists; got http://127.0.0.1:9/model"),
    "absolute": ("/nowhere/model", "a folder that exists; got /nowhere/model"),
    "upwards": ("../nowhere/../model", "a folder that exists; got ../nowhere/../model"),
    "a device": ("/dev/zero", "a folder that exists; got /dev/zero"),
    "a registry upwards": ("models:/../../x@champion", "no registry at /nowhere"),
    "a registry by file": ("models:/file:///etc/1", "no registry at /nowhere"),
    "marks": ("nowhere/\n\x1b[2J\u202e", r"a folder that exists; got nowhere/\n\x1b[2J\u202e"),
    "long": ("a" * 100_000, "File name too long"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each hostile pair and each hostile word came to, all in one process that is watched."""
    folders = tmp_path_factory.mktemp("hostile")
    OURS.save(folders / "good")
    for number, (lay, _) in enumerate(PAIRS.values()):
        OURS.save(folders / str(number))
        lay(folders / str(number))
    models = [str(folders / str(number)) for number in range(len(PAIRS))] + [word for word, _ in WORDS.values()]
    command = [sys.executable, "-m", "tests.watched", str(folders / "good")]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(models), capture_output=True, text=True, check=True)
    return dict(zip(["first", "good", *PAIRS, *WORDS], json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", [*PAIRS, *WORDS])
def test_is_refused_in_one_line(name: str, asked: dict[str, dict[str, Any]]) -> None:
    """Quickly, and with nothing written, imported, unpickled, started or called; no file is opened twice."""
    found, (_, said) = asked[name], (PAIRS | WORDS)[name]
    (line,) = found["errors"].splitlines()
    assert line.startswith("model: ") or name == "long"
    assert said in line
    assert MODEL_FILES_HINT in line or name in WORDS
    assert line.isprintable()
    assert len(line) < 700
    assert (found["code"], found["output"], found["events"]) == (2, "", [])
    assert len(found["opened"]) == len(set(found["opened"])) <= 2
    assert found["seconds"] < SECONDS
    assert found["megabytes"] < MEGABYTES


def test_watch_sees_what_a_good_model_needs(asked: dict[str, dict[str, Any]]) -> None:
    """Each of the two files is opened once: what replaces one of them after it was checked is not read."""
    assert asked["good"]["code"] == predict.EXIT_INCOMPLETE
    assert [Path(file).name for file in asked["good"]["opened"]] == [ARCHITECTURE_FILE, PARAMETERS_FILE]
    assert any(event.startswith("import ") for event in asked["first"]["events"])
    assert asked["first"]["megabytes"] > 1 or sys.platform != "linux"


def test_command_itself_refuses_in_one_line(tmp_path: Path) -> None:
    OURS.save(tmp_path / "model")
    changed(_target_="os.system")(tmp_path / "model")
    command = [sys.executable, "-m", "pipeline.predict", f"model={tmp_path}/model", MISSING_IMAGE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    said = f'{tmp_path}/model/architecture.json: _target_: Unexpected keyword argument; got "os.system"'
    assert done.stderr == f"model: {said}; {MODEL_FILES_HINT}\n"


def taken(folder: Path, file: str, count: int, seed: int) -> list[Architecture]:
    """Changes one byte of a file or cuts it, so many times; the models that are taken all the same."""
    drawn, whole, found = random.Random(seed), (folder / file).read_bytes(), []
    for _ in range(count):
        spoilt = bytearray(whole)
        if drawn.random() < 0.2:
            del spoilt[drawn.randrange(len(whole)) :]
        else:
            spoilt[drawn.randrange(len(whole))] ^= drawn.randrange(1, 256)
        (folder / file).write_bytes(spoilt)
        try:
            found.append(model_files.load_trained_model(folder).architecture)
        except ModelError:
            continue
    (folder / file).write_bytes(whole)
    return found


def test_changed_byte_or_cut_of_the_parameters_is_always_caught(tmp_path: Path) -> None:
    OURS.save(tmp_path)
    assert taken(tmp_path, PARAMETERS_FILE, 1_000, seed=0) == []


def test_changed_byte_or_cut_of_the_architecture_that_means_another_is_always_caught(tmp_path: Path) -> None:
    """What is taken has another space: how the file is laid out is not bound."""
    architecture = OURS.save(tmp_path)
    found = taken(tmp_path, ARCHITECTURE_FILE, 1_000, seed=0)
    assert all(each == architecture for each in found)
    assert len(found) < 50


def test_layout_of_the_architecture_may_change(tmp_path: Path) -> None:
    OURS.save(tmp_path)
    (tmp_path / ARCHITECTURE_FILE).write_text(json.dumps(words(tmp_path), sort_keys=True, indent=7))
    assert model_files.load_trained_model(tmp_path).architecture.task == "colours"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["format", "task", "inputs", "model", "head", "parameters", "parameters_sha256", "other"]


@settings(max_examples=100, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1))
def test_any_other_value_of_the_architecture_is_refused(
    changes: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    OURS.save(folder)
    before = words(folder)
    changed(**changes)(folder)
    if json.dumps(words(folder)) != json.dumps(before):
        with pytest.raises(ModelError):
            model_files.load_trained_model(folder)


@settings(max_examples=100, deadline=None)
@given(start=st.binary(max_size=200), place=st.integers(0, 600))
def test_any_other_bytes_of_the_parameters_are_refused_or_finite_numbers(
    start: bytes, place: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where the architecture has their hash."""
    folder = tmp_path_factory.mktemp("any")
    OURS.save(folder)
    bound(lambda before: before[:place] + start + before[place + len(start) :])(folder)
    try:
        found = model_files.load_trained_model(folder)
    except ModelError:
        return
    assert all(bool(value.isfinite().all()) for value in found.named_tensors().values())


def test_names_of_a_model_are_escaped_where_they_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = replace(OURS.architecture.head, classes=("red\x1b[2J", "gr\u202een", "blue\n=cmd()"))
    replace(OURS, architecture=replace(OURS.architecture, head=head)).save(tmp_path / "model")
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a\u202ephoto\x1b.png")
    (tmp_path / "b\n\x1b[2J.png").write_bytes(b"")
    photos = [str(file) for file in sorted(tmp_path.glob("*.png"))]
    assert predict.main([f"model={tmp_path}/model", *photos]) == 1
    assert predict.main([f"model={tmp_path}/model", *photos, f"output={tmp_path}/answers.csv"]) == 1
    out, errors = capsys.readouterr()
    written = (tmp_path / "answers.csv").read_text()
    assert all(letter.isprintable() or letter == "\n" for letter in out + errors + written)
    assert len(errors.splitlines()) == 2
    assert r"red\x1b[2J" in written
