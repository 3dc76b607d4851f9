"""Prediction from the two files: answers, mistakes, and files that cannot be answered."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor

from pipeline import predict
from pipeline.artifact import model_files
from pipeline.data.examples import Images, RawInputs
from pipeline.data.images.decode import read_image
from pipeline.inference import predictions, writers
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import NumberHead
from pipeline.runtime.text import escape_csv_cell
from tests.conftest import TINY, search

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_picture_is_answered_as_the_network_answers(finished: Path, photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.csv"
    assert predict.main([f"model={finished}/model", str(photo), f"output={output}"]) == 0
    (row,) = rows(output)
    trained = model_files.load_trained_model(finished / "model")
    expected = trained.predict(Images(read_image(photo, 8).pixels[None]))[0]
    columns = trained.architecture.head.output_names
    assert list(row) == ["file", *columns, "answer", "error"]
    assert [float(row[name]) for name in columns] == pytest.approx(expected.tolist(), abs=1e-6)
    assert row["answer"] == columns[int(expected.argmax())]


def test_any_mode_and_size_and_folders_are_answered(finished: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for mode in ("L", "RGBA", "CMYK"):
        suffix = "jpg" if mode == "CMYK" else "png"
        Image.open(photo).convert(mode).resize((300, 9)).save(tmp_path / "more" / f"{mode}.{suffix}")
    output = tmp_path / "answers.csv"
    assert predict.main([f"model={finished}/model", str(photo), str(tmp_path / "more"), f"output={output}"]) == 0
    assert [Path(row["file"]).name for row in rows(output)] == ["photo.png", "CMYK.jpg", "L.png", "RGBA.png"]


def test_bad_files_cost_a_line_and_the_others_are_answered(
    finished: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    output = tmp_path / "answers.csv"
    words = [f"model={finished}/model", str(tmp_path / "broken.jpg"), str(tmp_path / "gone.jpg"), str(photo)]
    assert predict.main([*words, f"output={output}"]) == 1
    broken, gone, answered = rows(output)
    assert "not an image" in broken["error"]
    assert "No such file" in gone["error"]
    assert answered["answer"]
    assert not answered["error"]
    told, *errors = capsys.readouterr().err.splitlines()
    assert told.startswith("cat_species: a demonstration, trained on synthetic data")
    assert len(errors) == 2


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is said beside the answers, but for the first line: that the model is a demonstration."""
    return capsys.readouterr().err.splitlines()[1:]


def test_folder_without_a_picture_is_said(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([f"model={finished}/model", str(tmp_path)]) == 1
    assert errors(capsys) == [f"{tmp_path}: no image in this folder (JPEG, PNG, WEBP, BMP)"]


def test_champion_of_the_registry_is_used_by_its_task(
    finished: Path, photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    store = finished.parents[1]
    for name in ("cat_species", "models:/cat_species@champion", "models:/cat_species/1"):
        assert predict.main([f"model={name}", f"store={store}", str(photo)]) == 0
        assert "photo.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=x"], "name the inputs: image files, folders of images or tables"),
        (["photo.png"], "model: say which"),
        (["modle=x", "photo.png"], "modle: no such key (did you mean model?)"),
        (["model=nowhere", "photo.png", "store=/nowhere"], "model: models:/nowhere@champion: no registry at /nowhere"),
        (["model=no/where", "photo.png"], "model: a folder that exists; got no/where"),
        (["model=x", "photo.png", "output=/nowhere/a.csv"], "output: must be a file in a folder that exists"),
        (
            ["model=x", "photo.png", "output=/tmp"],
            "output: must be a file, such as /tmp/predictions.csv; got /tmp, which is a folder",
        ),
        (["model=x", "photo.png", "output="], "output: must be a file in a folder that exists; got nothing"),
        (["model=x", "photo.png", "output=a.json"], "output: must end in .csv or .jsonl; got a.j"),
        (["model=x", "photo.png", "sheet=a.jpg"], "sheet: must end in .png; got a.jpg"),
        (["model=x", "photo.png", "sheet=/nowhere/a.png"], "sheet: must be a file in a folder that exists"),
        (["model=x", "photo.png", "shet=a.png"], "shet: no such key (did you mean sheet?)"),
        (["model=x", "model=y", "photo.png"], "model: given twice; got x and y"),
    ],
)
def test_wrong_word_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.png").touch()
    assert predict.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_all_wrong_words_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(["--model=x", "phto.jpg", "shet=a.png", "output=a.json"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--model=x: options have no dashes; type model=x",
        "shet: no such key (did you mean sheet?); known: model, output, sheet, store, weights",
        "output: must end in .csv or .jsonl; got a.json",
        "phto.jpg: no such file",
    ]


def test_existing_path_wins_over_a_key(
    finished: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo.rename(tmp_path / "output=photo.png")
    words = predict.parse_arguments([f"model={finished}/model", "output=photo.png"])
    assert (words.paths, words.output) == ((Path("output=photo.png"),), None)


def test_what_is_answered_for_is_not_overwritten(
    finished: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, words = photo.read_bytes(), [f"model={finished}/model", str(photo)]
    (tmp_path / "linked.png").symlink_to(photo)
    assert predict.main([*words, f"sheet={tmp_path}/linked.png"]) == 2
    assert "sheet: must not be one of the inputs, nor in a folder of them" in capsys.readouterr().err
    assert predict.main([f"model={finished}/model", str(tmp_path), f"sheet={tmp_path}/new.png"]) == 2
    photo.rename(tmp_path / "photo")
    assert predict.main([f"model={finished}/model", f"{tmp_path}/photo", f"output={tmp_path}/photo"]) == 2
    assert "output: must not be one of the inputs" in capsys.readouterr().err
    assert (tmp_path / "photo").read_bytes() == before


def test_json_lines_say_what_the_csv_says(finished: Path, photo: Path, tmp_path: Path) -> None:
    words = [f"model={finished}/model", str(photo), str(tmp_path / "gone\u202e\x9b\U000e0041고.jpg")]
    for file in ("answers.csv", "answers", "answers.jsonl"):
        assert predict.main([*words, f"output={tmp_path / file}"]) == 1
    text = (tmp_path / "answers.jsonl").read_text()
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "고" in text
    answered, gone = map(json.loads, text.splitlines())
    first, _ = rows(tmp_path / "answers.csv")
    assert list(answered) == ["file", "answer", "probabilities", "error"]
    assert (answered["file"], answered["answer"], answered["error"]) == (str(photo), first["answer"], None)
    assert {name: repr(value) for name, value in answered["probabilities"].items()} == {
        name: first[name] for name in answered["probabilities"]
    }
    assert gone == {"file": words[2], "answer": None, "probabilities": None, "error": "No such file or directory"}
    assert (tmp_path / "answers").read_bytes() == (tmp_path / "answers.csv").read_bytes()


def test_name_that_is_no_text_is_the_same_name_in_json_lines(finished: Path, photo: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff.png")
    photo.rename(odd)
    assert predict.main([f"model={finished}/model", str(odd), f"output={tmp_path}/a.jsonl"]) == 0
    assert json.loads((tmp_path / "a.jsonl").read_text())["file"] == str(odd)


def test_what_is_no_number_is_null_in_json_lines() -> None:
    stream = io.StringIO()
    writers._make_json_lines_writer(stream, NumberHead("number", "relu", "l1", "USD"))(
        Prediction("a", (float("inf"),), "inf USD")
    )
    assert json.loads(stream.getvalue()) == {"file": "a", "answer": "inf USD", "prediction": None, "error": None}


def test_file_of_answers_is_whole_or_not_there(
    finished: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the fourth picture is answered for: the file of before is still there."""
    files = [Path(shutil.copy(photo, tmp_path / f"{number}.png")) for number in range(6)]
    output = tmp_path / "answers.jsonl"
    output.write_text("before")
    monkeypatch.setattr(predictions, "IMAGE_BATCH_SIZE", 2)
    seen = model_files.TrainedModel.predict

    def stopped(trained: model_files.TrainedModel, raw: RawInputs) -> Tensor:
        if (tmp_path / "0.png").exists():
            (tmp_path / "0.png").unlink()
            return seen(trained, raw)
        raise KeyboardInterrupt

    monkeypatch.setattr(model_files.TrainedModel, "predict", stopped)
    words = [f"model={finished}/model", *map(str, files), f"output={output}", f"sheet={tmp_path}/sheet.png"]
    assert predict.main(words) == 130
    assert errors(capsys) == ["Stopped. Nothing was written."]
    assert output.read_text() == "before"
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".jsonl"}
    assert not (tmp_path / "sheet.png").exists()


def test_pipe_gets_the_answers_as_they_are(finished: Path, photo: Path) -> None:
    command = [sys.executable, "-m", "pipeline.predict", f"model={finished}/model", str(photo), "output=/dev/stdout"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    header, row, said = done.stdout.splitlines()
    assert header.startswith("file,")
    assert row.startswith(str(photo))
    assert said == "1 prediction in /dev/stdout"
    assert len(done.stderr.splitlines()) == 1  # that the model is a demonstration


def test_link_to_a_file_of_answers_stays_a_link(finished: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "answers.csv")
    assert predict.main([f"model={finished}/model", str(photo), f"output={tmp_path}/link.csv"]) == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert len(rows(tmp_path / "answers.csv")) == 1


def test_files_that_are_no_pictures_are_counted(
    finished: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep" / ".git").mkdir(parents=True)
    for name in ("deep/notes.txt", ".hidden", "deep/.git/config"):
        (tmp_path / name).write_text("text")
    assert predict.main([f"model={finished}/model", str(tmp_path)]) == 0
    assert errors(capsys) == ["skipped 1 file that is not an image"]
    (tmp_path / "more.csv").write_text("text")
    assert predict.main([f"model={finished}/model", str(tmp_path), str(photo)]) == 0
    assert errors(capsys) == ["skipped 2 files that are not images"]


def test_copy_of_a_registered_model_does_not_stay(
    finished: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert predict.main(["model=cat_species", f"store={finished.parents[1]}", str(photo)]) == 0
    assert list((tmp_path / "temporary").iterdir()) == []


def test_table_is_answered_row_by_row(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [word for word in TINY if not word.startswith("dataset.size")]
    folder = search(store, "task=house_price", *sizes, "budget.trials=1")
    houses = pd.DataFrame(
        {
            "zip_code": ["10115", "none such", None, "10152"],
            "bedrooms": [3, 2, 1, "many"],
            "size_m2": [90, None, 40, 100],
            "family_size": [4, 2, 1, 2],
            "wealth": [0.5, 0.4, 0.3, 0.2],
        }
    )
    houses.to_csv(tmp_path / "houses.csv", index=False)
    output = tmp_path / "answers.csv"
    assert predict.main([f"model={folder}/model", str(tmp_path / "houses.csv"), f"output={output}"]) == 1
    answered = rows(output)
    assert list(answered[0]) == ["file", "prediction (USD)", "answer", "error"]
    assert [row["file"] for row in answered] == [f"{tmp_path}/houses.csv row {number}" for number in (1, 2, 3, 4)]
    assert all(float(row["prediction (USD)"]) >= 0 for row in answered[:3])
    assert answered[3]["error"] == "bedrooms: no number"
    assert predict.main([f"model={folder}/model", str(tmp_path / "houses.csv"), f"output={tmp_path}/a.jsonl"]) == 1
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [repr(line["prediction"]) for line in lines[:3]] == [row["prediction (USD)"] for row in answered[:3]]
    assert predict.main([f"model={folder}/model", str(tmp_path / "houses.csv"), f"sheet={tmp_path}/a.png"]) == 2
    assert "sheet: shows images, and the inputs of this model are the rows of a table" in capsys.readouterr().err
    houses.drop(columns="wealth").to_csv(tmp_path / "less.csv", index=False)
    assert predict.main([f"model={folder}/model", str(tmp_path / "less.csv"), f"output={output}"]) == 1
    assert rows(output)[0]["error"] == "no column wealth; the model was trained with it"


ODD = ("=cmd()", "<b>bold", "\x1b[31mred", "two\nlines", "\u202egpj", "[bold]:cat:", "-2+3", os.fsdecode(b"\xff"))


@pytest.fixture
def odd(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A model whose classes have odd names, and pictures here that are called so too; one of them is empty."""
    for number, name in enumerate(ODD):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for copy in range(8):
            pixels = np.random.default_rng([number, copy]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{copy}.png")
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "=bad\x1b[31m.png").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    words = ["dataset=folder", "dataset.root=photos", "cv.folds=2", "training.epochs=2", "compute=cpu"]
    found = search(store, "task=cat_species", *words, "dataset.size=8", "budget.trials=1")
    return f"model={found}/model", sorted(path.name for path in tmp_path.glob("*.png"))


def test_odd_names_are_escaped_on_the_terminal(odd: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    model_word, files = odd
    assert predict.main([model_word, *files]) == 1
    said = capsys.readouterr()  # the search's words and the answers
    assert not {letter for letter in said.out + said.err if not letter.isprintable()} - {"\n"}
    assert "=bad\\x1b[31m.png: empty file" in said.err
    assert "[bold]:cat:.png" in said.out


def test_odd_names_are_escaped_in_the_answers_and_are_no_formulas(odd: tuple[str, list[str]]) -> None:
    model_word, files = odd
    assert predict.main([model_word, *files, "output=answers.csv"]) == 1
    answered = rows(Path("answers.csv"))
    assert len(answered) == len(files)
    assert {"'=cmd()", "<b>bold", "\\x1b[31mred", "two\\nlines", "'-2+3", "\\udcff"} <= set(answered[0])
    cells = [cell for row in answered for cell in (*row, row["file"], row["answer"], row["error"])]
    assert not [cell for cell in cells if not cell.isprintable() or cell.startswith(("=", "-", "+", "@"))]


def test_number_below_zero_stays_a_number_and_only_other_signs_are_quoted() -> None:
    for text in ("-3.5 USD", "+1,200", "-1e-05", "cat", "2 + 3", ""):
        assert escape_csv_cell(text) == text
    for text in ("-2+3+cmd|' /C calc'!A0", "=1", "@SUM(A1)", "+cmd"):
        assert escape_csv_cell(text) == f"'{text}"


def test_labels_of_any_name_are_searched(store: Path, tmp_path: Path) -> None:
    labels = ["=cmd()", "<script>", "cat (black)", "cat [black]", "a/../b", "..", "x" * 300]
    lines = [",".join(["path", *labels])]
    for row in range(30):
        pixels = np.random.default_rng(row).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
        lines.append(",".join([f"{row}.png", *(str((row >> bit) % 2) for bit in (0, 1, 2, 0, 1, 2, 0))]))
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    words = ["dataset=labels", f"dataset.file={tmp_path}/labels.csv", "dataset.size=8", "cv.folds=2"]
    folder = search(
        store, "task=animals_together", *words, "training.epochs=2", "compute=cpu", "budget.trials=1", "seed=3"
    )
    others = json.loads((folder / "summary.json").read_text())["test"]["others"]
    assert {"f1/_cmd__", "f1/_script_", "f1/cat _black_ 2", "f1/cat _black_ 3", "f1/a_.._b", "f1/_"} <= set(others)
