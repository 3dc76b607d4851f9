"""The README's blocks do what it says: each is run, in a small form where it would take long."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from pipeline import compare, export, predict, search, sync
from pipeline.data.synthetic_images.scenes import draw_scene
from pipeline.data.synthetic_images.subjects import make_rng, make_scene
from pipeline.report import build
from tests.conftest import SHARED
from tests.data.test_data import picture

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.replace("\\\n", " ").splitlines()]
SEARCHES = [shlex.split(line) for line in COMMANDS if "pipeline.search" in line]
SMALL = ["budget.trials=1", "training.epochs=1", "compute=cpu", "cv.folds=3", "cv.repeats=1"]


def test_every_block_is_known() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert (kinds.count("bash"), kinds.count("yaml"), kinds.count("json"), len(kinds)) == (18, 1, 1, 20)
    assert len(SEARCHES) == 20
    others = [line for line in COMMANDS if "pipeline.search" not in line]
    assert sum("make " in line for line in others) == 3
    assert sum("pipeline.predict" in line for line in others) == 3
    assert sum("pipeline.ui" in line for line in others) == 1
    assert sum("pipeline.sync" in line for line in others) == 2
    assert sum("pipeline.cache" in line for line in others) == 1
    assert sum("pipeline.compare" in line for line in others) == 1
    assert sum("mlflow models serve" in line or "curl" in line for line in others) == 2
    assert sum("pipeline.export" in line for line in others) == 1
    assert len(others) == 14


@pytest.fixture
def place(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with everything that the README's commands name."""
    for number in range(30):
        for kind in ("asleep", "awake"):
            picture(tmp_path / "my_photos" / kind / f"{number}.jpg", hash_of(kind, number))
    rows = [
        f"my_photos/{kind}/{n}.jpg,{int(kind == 'awake')},{n % 2}" for n in range(30) for kind in ("asleep", "awake")
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,cat,lion", *rows]))
    houses = [f"{n // 2},today,{40 + n},{10115 + n % 4},{1000 * n + 5}" for n in range(90)]
    (tmp_path / "houses.csv").write_text("\n".join(["id,date,size,zipcode,price", *houses]))
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.jpg")
    (tmp_path / "my_conf" / "task").mkdir(parents=True)
    (yaml,) = [text for kind, text in BLOCKS if kind == "yaml"]
    (tmp_path / "my_conf" / "task" / "mine.yaml").write_text(yaml)
    assert store == tmp_path / "mlruns"
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hash_of(kind: str, number: int) -> int:
    return number + (1000 if kind == "awake" else 0)


def small(words: list[str]) -> list[str]:
    """The same search with less of everything."""
    keys = {word.partition("=")[0] for word in SMALL}
    kept = [word for word in words if word.partition("=")[0] not in keys]
    drawn = "dataset" not in " ".join(words)
    return [*kept, *SMALL, *(["dataset.count=120", "dataset.size=8"] if drawn else [])]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("words", SEARCHES, ids=[" ".join(words[3:6])[:60] for words in SEARCHES])
def test_search_of_the_readme_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if any("../shared" in word for word in words):
        if not SHARED.is_dir():
            pytest.skip("the real data sets are not here")
        words = [word.replace("../shared/data", str(SHARED)) for word in words]
    assert words[:3] == ["python", "-m", "pipeline.search"]
    if "--cfg" in words:
        done = subprocess.run([".venv/bin/python", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout[:9]) == (0, "question:")
        return
    with mock.patch.object(build, "build_report"):  # other tests read it
        assert search.main(small(words[3:])) == 0
    assert "winner" in capsys.readouterr().out


def test_predictions_of_the_readme_run(finished: Path, place: Path) -> None:
    shutil.rmtree(place / "mlruns")
    (place / "mlruns").symlink_to(finished.parents[1])
    for line in COMMANDS:
        if "pipeline.predict" in line:
            assert predict.main(shlex.split(line)[3:]) == 0
    assert len((place / "predictions.csv").read_text().splitlines()) == 1 + 1 + 60
    assert len((place / "predictions.jsonl").read_text().splitlines()) == 60
    with Image.open(place / "sheet.png", formats=["PNG"]) as sheet:
        assert sheet.width > 1000


def test_export_of_the_readme_runs(finished: Path, place: Path) -> None:
    shutil.rmtree(place / "mlruns")
    (place / "mlruns").symlink_to(finished.parents[1])
    (line,) = (line for line in COMMANDS if "pipeline.export" in line)
    assert export.main(shlex.split(line)[3:]) == 0
    assert len(list(place.glob("cat_species-opset*.onnx"))) == 1


def test_syncs_of_the_readme_run(finished: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished.parent, place / "mlruns" / "studies")
    for line in COMMANDS:
        if "pipeline.sync" in line:
            words = [word.replace("cat_species-1a2b3c4d", finished.name) for word in shlex.split(line)[3:]]
            assert sync.main(words) == 0
    assert "MLflow has 4 trials, 4 of them written now" in capsys.readouterr().out


def test_comparisons_of_the_readme_run(finished: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search.main(small(["task=day_night"])) == 0
    shutil.copytree(finished, place / "mlruns" / "studies" / finished.name)
    for line in COMMANDS:
        if "pipeline.compare" in line:
            assert compare.main(shlex.split(line)[3:]) == 0
    assert "written: mlruns/compare.html" in capsys.readouterr().out


def test_make_targets_of_the_readme_are_there() -> None:
    for line in COMMANDS:
        if line.startswith("make "):
            words = ["make", "--dry-run", *shlex.split(line)[1:]]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_picture_of_the_readme_is_one_that_the_program_draws() -> None:
    drawn, labels = make_scene(1, "together", 71)
    pixels = draw_scene(drawn, 64, make_rng(1, "together", 71))
    assert labels == [1, 0, 1]
    assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(Image.open(ROOT / "docs" / "cat_and_lion.png")))


def test_table_of_the_packages_names_every_package() -> None:
    text = (ROOT / "README.md").read_text()
    rooms = text[text.index("## The packages") :]
    missing = {file.name for file in (ROOT / "pipeline").iterdir() if file.name not in rooms}
    assert missing <= {"__init__.py", "__pycache__"}


def test_korean_readme_has_the_same_commands_tables_and_pictures() -> None:
    def parts(name: str, other: str) -> dict[str, list[str]]:
        text = (ROOT / name).read_text(encoding="utf-8")
        fenced = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
        prose = fenced.sub("", text)
        links = re.findall(r"(?<!!)\[[^]]*\]\((?!\w+:)([^)]+)\)", prose)
        assert links.count(other) == 1
        return {
            "blocks": fenced.findall(text),
            "headings": re.findall(r"^#+(?= )", prose, re.MULTILINE),
            "rows": [re.sub(r"[^|]", "", line) for line in prose.splitlines() if line.startswith("|")],
            "pictures": re.findall(r"!\[[^]]*\]\(([^)]+)\)", prose),
            "links": [link for link in links if link != other],
        }

    english, korean = parts("README.md", "README.ko.md"), parts("README.ko.md", "README.md")
    assert all(english.values())
    assert korean == english
