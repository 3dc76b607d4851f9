"""The registered model behind MLflow's own server: the answers of predict, and one sentence where there is none."""

import base64
import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc.model import PythonModelContext
from PIL import Image

from pipeline import predict
from pipeline.artifact import model_files
from pipeline.data.images.safe_open import MAX_IMAGE_PIXELS
from pipeline.inference.serving import ModelServer, RequestError
from pipeline.tracking.client import download_model, store_uri
from pipeline.tracking.served import ServedModel
from tests.conftest import TINY, search
from tests.project.test_readme import COMMANDS

JSON = "application/json"
HOUSE = {"bedrooms": 3, "size_m2": 90, "family_size": 4, "wealth": 0.5, "zip_code": "10115"}


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The folder of a finished search for the price of drawn houses."""
    folder = tmp_path_factory.mktemp("houses")
    shutil.copy(empty_database, folder / "mlflow.db")
    sizes = [word for word in TINY if not word.startswith("dataset.size")]
    return search(folder, "task=house_price", *sizes, "budget.trials=1", "features.numbers=piecewise")


@contextmanager
def serving(study: Path) -> Iterator[int]:
    """MLflow's server of the champion of a study's task, as a process of its own; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    task, store = study.name.rpartition("-")[0], study.parents[1]
    words = ["models", "serve", "-m", f"models:/{task}@champion", "--env-manager", "local", "-p", str(port)]
    around = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": store_uri(store),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    with (store / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words], env=around, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.fixture(scope="module")
def ports(finished: Path, houses: Path) -> Iterator[dict[str, int]]:
    with serving(finished) as cats, serving(houses) as rows:
        for port, study in ((cats, finished), (rows, houses)):
            wait(port, study.parents[1] / "server.log")
        yield {"pictures": cats, "rows": rows}


def wait(port: int, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(log.read_text())


def asked(port: int, body: object, kind: str | None = JSON) -> tuple[int, str]:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    connection = HTTPConnection("127.0.0.1", port, timeout=100)
    try:
        connection.request("POST", "/invocations", content, {"Content-Type": kind} if kind else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def records(*rows: object) -> dict[str, Any]:
    return {"dataframe_records": list(rows)}


def encoded(picture: Image.Image, kind: str = "JPEG", **settings: Any) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **settings)
    return base64.b64encode(content.getvalue()).decode()


def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 50, 3), dtype=np.uint8))


def predicted(study: Path, *files: Path) -> list[dict[str, str]]:
    output = files[0].with_name("answers.csv")
    predict.main([f"model={study}/model", *map(str, files), f"output={output}"])
    with output.open(newline="") as stream:
        return list(csv.DictReader(stream))


def same(served: list[dict[str, Any]], rows: list[dict[str, str]]) -> None:
    assert len(served) == len(rows)
    for mine, theirs in zip(served, rows, strict=True):
        assert {*theirs} - {*mine} == {"file", "error"}
        assert mine["answer"] == theirs["answer"]
        numbers = {name: value for name, value in mine.items() if name != "answer"}
        assert numbers == pytest.approx({name: float(theirs[name]) for name in numbers}, abs=1e-5)


def test_pictures_are_answered_as_predict_answers(ports: dict[str, int], finished: Path, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    pictures = [encoded(photo()), encoded(photo(), exif=turned), encoded(photo().convert("LA"), "PNG")]
    files = [tmp_path / f"{number}.jpg" for number in range(3)]
    for file, text in zip(files, pictures, strict=True):
        file.write_bytes(base64.b64decode(text))
    status, body = asked(ports["pictures"], records(*({"image": text} for text in pictures)))
    assert status == 200
    same(json.loads(body)["predictions"], predicted(finished, *files))


def test_base64_may_have_lines(ports: dict[str, int]) -> None:
    text = encoded(photo())
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    assert asked(ports["pictures"], records({"image": lines})) == asked(ports["pictures"], records({"image": text}))


def test_rows_are_answered_as_predict_answers(ports: dict[str, int], houses: Path, tmp_path: Path) -> None:
    rows = [HOUSE, HOUSE | {"zip_code": None}, HOUSE | {"zip_code": "none such"}, HOUSE | {"size_m2": None}]
    pd.DataFrame(rows).to_csv(tmp_path / "houses.csv", index=False)
    expected = predicted(houses, tmp_path / "houses.csv")
    for body in (records(*rows), records(*(dict(reversed(row.items())) | {"more": 1} for row in rows))):
        status, answered = asked(ports["rows"], body)
        assert status == 200
        same(json.loads(answered)["predictions"], expected)
    status, answered = asked(ports["rows"], records(HOUSE | {"zip_code": 10115}, HOUSE | {"zip_code": None}))
    same(json.loads(answered)["predictions"], expected[:2])


def test_several_clients_at_once_get_their_own_answers(ports: dict[str, int]) -> None:
    bodies = [records(HOUSE | {"size_m2": size}) for size in range(40, 140, 10)]
    alone = [asked(ports["rows"], body) for body in bodies]
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(lambda body: asked(ports["rows"], body), bodies)) == alone
    assert len(set(alone)) == len(alone)


def large() -> str:
    return encoded(Image.new("1", (8001, MAX_IMAGE_PIXELS // 8000)), "PNG")


PICTURE = "the bytes of an image file in base64; got"
WRONG_PICTURES = [
    (records({}), f"each row must have a column image with {PICTURE} none"),
    (records({"picture": "x"}), f"each row must have a column image with {PICTURE} none"),
    (records(), f"each row must have a column image with {PICTURE} none"),
    (records({"image": None}), f"image 1: must be {PICTURE} nothing"),
    (records({"image": 5}), f"image 1: must be {PICTURE} int"),
    (records({"image": ""}), "image 1: empty file"),
    (records({"image": encoded(photo())}, {"image": "%%%"}), f"image 2: must be {PICTURE} something else"),
    (records({"image": encoded(photo())[:-3]}), f"image 1: must be {PICTURE} something else"),
    (records({"image": encoded(photo())[:400]}), "image 1: image file is truncated"),
    (records({"image": base64.b64encode(b"no picture").decode()}), "image 1: not an image of a supported format"),
    (records({"image": large()}), "image 1: 8001 x 8000 pixels; at most 64,000,000 are read"),
    (records(*[{"image": "x"}] * 257), "a request must have 1 to 256 images; got 257"),
]
WRONG_ROWS = [
    (records({name: HOUSE[name] for name in HOUSE if name != "wealth"}), "no column wealth; the model was trained"),
    (records({"more": 1}), "no column bedrooms, size_m2, family_size, wealth, zip_code; the model was trained"),
    (records(HOUSE, HOUSE | {"bedrooms": 1e999}), "row 2: bedrooms: no number"),
    (records(HOUSE | {"bedrooms": "many"}), "Failed to convert column bedrooms to type 'float64'"),
    (records(HOUSE | {"bedrooms": [1]}), "Failed to convert column bedrooms to type 'float64'"),
    ({"dataframe_split": {"columns": list(HOUSE), "data": []}}, "a request must have 1 to 100,000 rows; got 0"),
    ("", "Ensure that input is a valid JSON formatted string"),
    ("[" * 100_000, "It cannot be read (RecursionError)"),
    ("5", "The input must be a JSON dictionary"),
    ({"rows": [HOUSE]}, "The input must be a JSON dictionary with exactly one of the input fields"),
]


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [("pictures", *each) for each in WRONG_PICTURES] + [("rows", *each) for each in WRONG_ROWS],
    ids=lambda each: None if isinstance(each, dict) else str(each)[:40],
)
def test_wrong_request_is_one_sentence(ports: dict[str, int], kind: str, body: object, said: str) -> None:
    status, answered = asked(ports[kind], body)
    assert status == 400
    found = json.loads(answered)
    assert found.keys() == {"error_code", "message"}
    assert said in found["message"]
    assert len(found["message"].splitlines()) == 1
    assert len(found["message"]) < 320


@pytest.mark.parametrize(
    ("kind", "content", "status", "said"),
    [
        ("text/csv", "bedrooms\n" + "1\n" * 1_000_001, 400, "a request must have 1 to 100,000 rows; got 1,000,001"),
        ("text/csv", "", 400, "No columns to parse from file"),
        ("text/csv", "bedrooms\nmany", 400, "could not convert string to float"),
        ("application/vnd.apache.parquet", b"PAR1", 400, "Failed to parse input"),
        ("application/x-www-form-urlencoded", "x=1", 415, "only supports the following content types"),
        (None, "", 415, "only supports the following content types"),
    ],
)
def test_other_bodies_are_refused_without_a_traceback(
    ports: dict[str, int], kind: str | None, content: str | bytes, status: int, said: str
) -> None:
    found, answered = asked(ports["rows"], content, kind)
    assert (found, "Traceback" in answered) == (status, False)
    assert said in answered


def test_lines_of_the_readme_serve_and_ask(finished: Path, ports: dict[str, int], tmp_path: Path) -> None:
    """The server is up already, by the same words; the client's lines are run as they stand."""
    start, client = (line for line in COMMANDS if "mlflow models serve" in line or "curl" in line)
    words = "mlflow models serve -m models:/cat_species@champion --env-manager local -p 5001"
    assert " ".join(start.split()) == f"MLFLOW_TRACKING_URI=sqlite:///mlruns/mlflow.db {words}"
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    Image.effect_noise((1200, 900), 90).convert("RGB").save(tmp_path / "photo.jpg")  # more than a command line holds
    line = client.replace("127.0.0.1:5001", f"127.0.0.1:{ports['pictures']}")
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    same(json.loads(done.stdout)["predictions"], predicted(finished, tmp_path / "photo.jpg"))


@pytest.mark.parametrize("kind", ["pictures", "rows"])
def test_registered_model_has_a_signature_an_example_and_no_pickle(finished: Path, houses: Path, kind: str) -> None:
    study = finished if kind == "pictures" else houses
    task = study.name.rpartition("-")[0]
    version = MlflowClient(store_uri(study.parents[1])).get_model_version_by_alias(task, "champion")
    folder = Path(str(version.source))
    with download_model(f"models:/{task}@champion", study.parents[1]) as files:
        trained = model_files.load_trained_model(files)
        assert sorted(file.name for file in files.iterdir()) == ["architecture.json", "parameters.safetensors"]
    assert not [file for file in folder.rglob("*") if file.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    logged = Model.load(str(folder))
    assert logged.signature is not None
    columns = [*HOUSE] if kind == "rows" else ["image"]
    assert logged.signature.inputs.input_names() == columns
    assert logged.signature.outputs.input_names() == ["answer", *trained.architecture.head.output_names]
    assert logged.signature.params is None
    example = logged.load_input_example(str(folder))
    answered = ModelServer(trained, None, folder).predict(example)
    assert list(answered.columns) == logged.signature.outputs.input_names()
    requirements = (folder / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in requirements)
    assert {"mlflow", "torch", "pillow"} <= {line.partition("==")[0] for line in requirements}


def test_model_that_was_registered_before_is_still_read(finished: Path, store: Path) -> None:
    client = MlflowClient(store_uri(store))
    run = client.create_run(client.create_experiment("cat_species", str(store / "artifacts"))).info
    client.log_artifacts(run.run_id, str(finished / "model"), "versions/old")
    client.create_registered_model("cat_species")
    client.create_model_version("cat_species", f"{run.artifact_uri}/versions/old", run.run_id)
    with download_model("models:/cat_species/1", store) as files:
        assert model_files.load_trained_model(files).architecture.task == "cat_species"


def test_class_that_is_called_answer_makes_room(tmp_path: Path) -> None:
    from tests.artifact.test_model_files import trained

    ours = trained("table")
    assert list(ModelServer(ours, None, tmp_path).predict(pd.DataFrame({"size": [1], "age": [2], "zip": ["10"]}))) == [
        "answer",
        "prediction (USD)",
    ]
    from pipeline.inference.serving import format_column_names

    assert format_column_names(["answer", "question"]) == ["answer (probability)", "question"]


def test_backbone_of_a_served_model_is_that_of_the_search(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["task=day_night", "dataset.count=60", "model.backbone=efficientnet_lite0", "dataset.size=32", "cv.folds=3"]
    study = search(store, *words, "training.epochs=2", "compute=cpu", "budget.trials=1")
    trained = model_files.load_trained_model(study / "model")
    photo().save(tmp_path / "photo.png")
    frame = pd.DataFrame({"image": [base64.b64encode((tmp_path / "photo.png").read_bytes()).decode()]})
    served = ModelServer(trained, None, tmp_path).predict(frame)
    same(served.to_dict("records"), predicted(study, tmp_path / "photo.png"))
    monkeypatch.setenv("LAYERS_AND_NODES_WEIGHTS", str(tmp_path / "gone.pth"))
    context = PythonModelContext({"architecture": str(study / "model" / "architecture.json")}, None)
    with pytest.raises(MlflowException, match=r"gone.pth: No such file.*; LAYERS_AND_NODES_WEIGHTS=<file>"):
        ServedModel().load_context(context)
    monkeypatch.setenv("__pyfunc_model_path__", "in a server")
    with pytest.raises(SystemExit, match=r"gone.pth: No such file"):
        ServedModel().load_context(context)


def test_request_of_another_shape_is_refused_before_it_is_read(finished: Path, tmp_path: Path) -> None:
    served = ModelServer(model_files.load_trained_model(finished / "model"), None, tmp_path)
    with pytest.raises(RequestError, match=r"a request must have 1 to 256 images; got 0"):
        served.predict(pd.DataFrame({"image": []}))
