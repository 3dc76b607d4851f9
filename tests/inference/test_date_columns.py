"""A model of a table with dates takes them as written: predict, a server, and the numbers that an ONNX file takes."""

import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from pipeline import export, predict
from pipeline.artifact.model_files import load_trained_model
from pipeline.inference.serving import ModelServer, RequestError
from pipeline.study.description import read_description
from pipeline.tracking.model_package import build_input_example, build_signature
from tests.conftest import search

NUMBERS = ["sold (year)", "sold (month)", "sold (weekday)", "sold (days)", "size"]
COLUMNS = ["size", "sold", "kind"]
ANSWER = "prediction (USD)"


@pytest.fixture(scope="module")
def houses() -> pd.DataFrame:
    days = pd.Series(pd.date_range("2019-01-01", periods=120, freq="5D"))
    sizes = np.random.default_rng(0).normal(100, 20, 120).round(1)
    kinds = ["flat", "house"] * 60
    prices = sizes + 10 * days.dt.month
    return pd.DataFrame({"sold": days.dt.strftime("%d.%m.%Y"), "size": sizes, "kind": kinds, "price": prices})


@pytest.fixture(scope="module")
def study(houses: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    store = tmp_path_factory.mktemp("dates")
    (store / "mlflow.db").write_bytes(empty_database.read_bytes())
    houses.to_csv(store / "houses.csv", index=False)
    words = ["dataset=table", f"dataset.file={store}/houses.csv", "dataset.target=price", "training.epochs=3"]
    return search(store, "task=house_price", *words, "cv.folds=3", "budget.trials=1", "features.numbers=piecewise")


def predicted(study: Path, file: Path) -> list[dict[str, str]]:
    output = file.with_name("answers.csv")
    predict.main([f"model={study}/model", str(file), f"output={output}"])
    with output.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_file_of_the_model_names_the_dates(study: Path) -> None:
    plain = json.loads((study / "model" / "architecture.json").read_text())
    assert (plain["format"], plain["inputs"]["numbers"]) == (2, NUMBERS)
    assert plain["inputs"]["dates"] == [{"name": "sold", "format": "%d.%m.%Y"}]


def test_predict_and_the_server_take_dates_as_written(study: Path, houses: pd.DataFrame, tmp_path: Path) -> None:
    rows = houses.drop(columns="price").assign(sold=houses["sold"].where(houses.index != 3))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    answers = predicted(study, tmp_path / "rows.csv")
    assert [row["error"] for row in answers] == [""] * 120
    server = ModelServer(load_trained_model(study / "model"), None, tmp_path)
    served = server.predict(rows)
    assert served[ANSWER].tolist() == pytest.approx([float(row[ANSWER]) for row in answers], rel=1e-5)
    rows.assign(sold="2019-01-01").to_csv(tmp_path / "rows.csv", index=False)
    assert predicted(study, tmp_path / "rows.csv")[0]["error"] == "sold: no date in the format %d.%m.%Y"
    with pytest.raises(RequestError, match=r"row 1: sold: no date in the format %d\.%m\.%Y"):
        server.predict(rows.assign(sold="2019-01-01"))


def test_onnx_takes_the_numbers_of_a_date(study: Path, houses: pd.DataFrame, tmp_path: Path) -> None:
    assert export.main([f"model={study}/model", "format=onnx", f"output={tmp_path}"]) == 0
    (file,) = tmp_path.glob("*.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["numbers"]) == NUMBERS
    parts = "of a date its year, month, weekday (0 is Monday) and days since 1970-01-01, NaN where one is missing"
    assert json.loads(said["inputs"])["numbers"].endswith(parts)
    day = pd.to_datetime(houses["sold"], format="%d.%m.%Y").dt
    days = (day.tz_localize("UTC") - pd.Timestamp(0, tz="UTC")).dt.days
    numbers = np.stack([day.year, day.month, day.day_of_week, days, houses["size"]], axis=1).astype(np.float32)
    codes = (houses["kind"] == "house").to_numpy(dtype=np.int64)[:, None]
    (answers,) = session.run(None, {"numbers": numbers, "codes": codes})
    houses.to_csv(tmp_path / "rows.csv", index=False)
    expected = [float(row[ANSWER]) for row in predicted(study, tmp_path / "rows.csv")]
    assert answers[:, 0] == pytest.approx(np.array(expected), rel=1e-5)


def test_registered_model_takes_a_text_for_the_date_and_its_example_is_the_median(study: Path) -> None:
    description = read_description(study)
    assert list(description.input_columns) == COLUMNS
    signature = build_signature(description)
    assert signature.inputs is not None
    assert [(each.name, each.type.name) for each in signature.inputs.inputs] == [
        ("size", "double"), ("sold", "string"), ("kind", "string"),
    ]  # fmt: skip
    example = build_input_example(description, study / "model" / "parameters.safetensors")
    assert list(example) == COLUMNS
    assert example["sold"][0].endswith(".2019")
