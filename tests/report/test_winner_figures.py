"""The figures of the winner: made-up answers with known figures, and real searches of each kind of task."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.artifact import model_files
from pipeline.artifact.model_files import TrainedModel
from pipeline.config import schema
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import Training
from pipeline.data.examples import Features, Pictures
from pipeline.models.heads import AnyHead, BandsHead, NumberHead, SigmoidHead, SigmoidsHead, SoftmaxHead
from pipeline.report.activations import Layer, layers
from pipeline.report.drawing import render_matplotlib, render_plotly
from pipeline.report.drawing.figure import Chart, Figure, Gallery, Grid
from pipeline.report.figures import calibration, top_activating_images
from pipeline.report.figures.first_layer_weights import drawn
from pipeline.report.heldout_predictions import Choices, Evidence, distinct, short
from pipeline.report.winner_figures import answered, figures
from pipeline.study.problem import Question
from pipeline.training.engine import Member, Seeds
from pipeline.training.fit import refit
from pipeline.training.fold_data import Preparation
from tests.conftest import picture_examples, question, table_examples

CATS = ("birman", "persian", "siamese")


def evidence(head: AnyHead, targets: list[object], answers: list[list[float]], *, pictures: bool = True) -> Evidence:
    rows = len(targets)
    pixels = np.full((rows, 3, 4, 4), np.arange(rows)[:, None, None, None], dtype=np.uint8)
    kind = np.int64 if isinstance(head, SoftmaxHead | SigmoidHead) else np.float32
    constants = head.learn(np.array(targets, dtype=kind))
    names = tuple(f"folder/{row}.jpg" if pictures else str(row) for row in range(rows))
    seen = Pictures(pixels) if pictures else None
    values = np.array(answers, dtype=np.float32)
    return Evidence(head, constants, names, np.arange(rows), np.array(targets, dtype=kind), values, seen)


def by_name(made: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in made}


def calm(chances: list[float]) -> list[list[float]]:
    """Probabilities of three classes, that of the first as given."""
    return [[chance, (1 - chance) * 0.6, (1 - chance) * 0.4] for chance in chances]


def test_calibrated_model_has_nearly_no_calibration_error() -> None:
    noise = np.random.default_rng(0)
    first = noise.uniform(0.5, 1, 20_000)
    truth = np.where(noise.random(20_000) < first, 0, 1)
    choices = Choices(CATS, np.stack([first, 1 - first, 0 * first], axis=1), truth)
    found = calibration.bins(choices.sure, choices.right)
    assert calibration.expected_error(found) < 0.01
    assert "no more than chance" in calibration.of_classes(choices).words


def test_calibration_error_is_how_far_it_is_off() -> None:
    """Of a hundred answers that are 0.9 sure sixty are right."""
    truth = np.array([0] * 60 + [1] * 40)
    choices = Choices(CATS, np.array(calm([0.9] * 100)), truth)
    words = calibration.of_classes(choices).words
    assert words.startswith(
        "Expected calibration error 0.300 over 100 answers: on average it is 0.30 surer than it is right."
    )
    (bin_,) = calibration.bins(choices.sure, choices.right)
    assert (bin_.answers, bin_.said, bin_.true) == (100, pytest.approx(0.9), 0.6)


def test_chance_alone_is_told_from_a_wrong_probability() -> None:
    """Three answers that are 0.9 sure, two of them right, say nothing against it."""
    choices = Choices(CATS, np.array(calm([0.9] * 3)), np.array([0, 0, 1]))
    assert "no more than chance" in calibration.of_classes(choices).words


def test_reliability_has_counts_and_intervals() -> None:
    choices = Choices(CATS, np.array(calm([0.9] * 100 + [0.6])), np.array([0] * 101))
    drawn = calibration.of_classes(choices).drawn
    assert isinstance(drawn, Chart)
    points = drawn.series[-1]
    assert list(points.labels) == ["1 answer", "100 answers"]
    assert all(low <= share <= high for low, share, high in zip(points.low, points.y, points.high, strict=True))


def test_most_surely_wrong_picture_comes_first() -> None:
    answers = calm([0.5, 0.97, 0.6, 0.99])
    made = by_name(answered(evidence(SoftmaxHead("softmax", CATS), [0, 2, 1, 0], answers)))
    wrong = made["mistakes"]
    assert isinstance(wrong.drawn, Gallery)
    assert wrong.words == "Most surely wrong: 1.jpg is siamese, said birman 0.97. 2 of 4 test rows are wrong."
    assert wrong.drawn.captions == ("siamese, said birman 0.97: 1.jpg", "persian, said birman 0.60: 2.jpg")
    assert [int(picture[0, 0, 0]) for picture in wrong.drawn.pictures] == [1, 2]
    assert made["unsure"].words.startswith("Least sure: 0.jpg, said birman 0.50, is birman.")


def test_nothing_wrong_is_no_figure_of_mistakes() -> None:
    made = by_name(answered(evidence(SoftmaxHead("softmax", CATS), [0, 0], calm([0.9, 0.8]))))
    assert "mistakes" not in made
    assert made["confusion"].words == "2 of 2 right (1.000)."


def test_confusion_counts_truth_by_answer() -> None:
    answers = [*calm([0.9] * 5), [0.1, 0.8, 0.1]]
    made = by_name(answered(evidence(SoftmaxHead("softmax", CATS), [0, 0, 1, 1, 1, 1], answers)))
    drawn = made["confusion"].drawn
    assert isinstance(drawn, Grid)
    assert drawn.values.tolist() == [[2, 0, 0], [3, 1, 0], [0, 0, 0]]  # of the last class there is no test row
    assert made["confusion"].words == "3 of 6 right (0.500). Most often confused: persian taken for birman (3 of 4)."


def test_of_many_classes_the_most_confused_are_shown_and_named() -> None:
    classes = tuple(f"breed {number:03}" for number in range(1_000))
    said = np.zeros((1_000, 1_000))
    truth = np.arange(1_000)
    said[truth, truth] = 0.9
    truth[500:510] = 700  # ten rows of one class that are taken for ten others
    made = by_name(answered(evidence(SoftmaxHead("softmax", classes), truth.tolist(), said.tolist())))
    drawn = made["confusion"].drawn
    assert isinstance(drawn, Grid)
    assert drawn.values.shape == (20, 20)
    assert "breed 700" in drawn.rows
    assert drawn.values.sum() >= 11
    assert "breed 700 taken for breed 500 (1 of 11)" in made["confusion"].words
    assert "the 20 of 1,000 classes" in made["confusion"].words


def test_labels_are_judged_one_by_one() -> None:
    head = SigmoidsHead("sigmoids", ("cat", "lion"))
    made = by_name(answered(evidence(head, [[1, 0], [1, 1], [0, 0]], [[0.9, 0.2], [0.1, 0.8], [0.3, 0.6]])))
    drawn = made["confusion"].drawn
    assert isinstance(drawn, Grid)
    assert dict(zip(drawn.rows, drawn.values.tolist(), strict=True)) == {"cat": [1, 1, 0, 1], "lion": [1, 0, 1, 1]}
    assert made["confusion"].words.startswith("Every label right on 1 of 3 rows (0.333).")
    assert made["mistakes"].words == (
        "Most surely wrong: 1.jpg: cat, said 0.10. 2 of 3 test rows are wrong about a label."
    )
    assert made["unsure"].words == "Least sure: 2.jpg: no lion, said 0.60."
    assert "6 answers" in made["calibration"].words


def test_numbers_are_held_against_the_truth() -> None:
    head = NumberHead("number", "relu", "l1", "years")
    made = by_name(answered(evidence(head, [1.0, 2.0, 3.0], [[1.0], [6.0], [2.0]])))
    assert list(made) == ["residuals", "error_spread", "mistakes"]
    assert made["residuals"].words == "The answers are 1.667 years from the truth on average."
    assert made["mistakes"].words == "Farthest off: 1.jpg is 2 years, said 6 years."


def test_rows_of_a_table_are_bars_with_their_names() -> None:
    head = NumberHead("number", "relu", "l1", "USD")
    rows = evidence(head, [100_000.0, 200_000.0], [[150_000.0], [190_000.0]], pictures=False)
    drawn = by_name(answered(rows))["mistakes"].drawn
    assert isinstance(drawn, Chart)
    (bars,) = drawn.series
    assert list(bars.x) == ["row 0", "row 1"]
    assert list(bars.y) == [50_000, -10_000]
    assert bars.labels[0] == "100,000 USD, said 150,000 USD"


def test_bands_are_confused_and_off_in_years() -> None:
    head = BandsHead("bands", (2.0, 8.0), "years")
    made = by_name(answered(evidence(head, [1.0, 5.0, 9.0], [[0.8, 0.2, 0], [0.7, 0.2, 0.1], [0, 0.1, 0.9]])))
    assert {"confusion", "calibration", "residuals", "error_spread", "mistakes", "unsure"} == set(made)
    assert "2 to 8 years taken for under 2 years (1 of 1)" in made["confusion"].words
    assert "years from the truth" in made["residuals"].words


@pytest.mark.parametrize(
    ("head", "target", "answer"),
    [
        (SoftmaxHead("softmax", CATS), 1, [0.2, 0.5, 0.3]),
        (SigmoidHead("sigmoid", ("no", "yes")), 0, [0.2, 0.8]),
        (SigmoidsHead("sigmoids", ("cat", "lion")), [1, 0], [0.2, 0.8]),
        (NumberHead("number", "relu", "l1", ""), 3.0, [2.0]),
        (BandsHead("bands", (2.0,), ""), 3.0, [0.2, 0.8]),
    ],
)
@pytest.mark.parametrize("pictures", [True, False])
def test_one_test_row_is_enough(head: AnyHead, target: object, answer: list[float], pictures: bool) -> None:
    for figure in answered(evidence(head, [target], [answer], pictures=pictures)):
        finite(figure)


def finite(figure: Figure) -> None:
    """Nothing that is drawn or said is no number."""
    assert figure.words
    assert "nan" not in figure.words.lower().split()
    if isinstance(figure.drawn, Grid):
        assert np.isfinite(figure.drawn.values).all()
    elif isinstance(figure.drawn, Gallery):
        assert len(figure.drawn.pictures) == len(figure.drawn.captions) > 0
        assert all(each.dtype == np.uint8 and each.shape[2] == 3 for each in figure.drawn.pictures)
    else:
        for series in figure.drawn.series:
            numbers = [
                value for value in (*series.x, *series.y, *series.low, *series.high) if not isinstance(value, str)
            ]
            assert np.isfinite(numbers).all()


def test_names_are_printable_and_short() -> None:
    assert short("cats/\x1b[31mred\n.jpg") == "\\x1b[31mred\\n.jpg"
    assert short("a" * 200 + "17.jpg").endswith("a17.jpg")
    assert len(short("a" * 200 + "17.jpg")) == 32
    assert distinct(("a" * 100, "a" * 101, "b")) == (f"{'a' * 25}... (0)", f"{'a' * 25}... (1)", "b")


SEEN = ["confusion", "calibration", "mistakes", "unsure"]
NUMBERS = ["residuals", "error_spread", "mistakes"]


def posed(kind: str) -> Question:
    """A small question of each kind."""
    pictures = picture_examples(90, 2 if kind == "sigmoid" else 3)
    if kind in ("number", "bands"):
        targets = pictures.targets.astype(np.float32) * 3 + 1
        aged = replace(pictures, targets=targets, kind="numbers", classes=()).with_fingerprint()
        head = (
            schema.Number("number", "relu", "l1", "years")
            if kind == "number"
            else schema.Bands("bands", (3.0,), "years")
        )
        return question(aged, head, "mean_absolute_error")
    if kind == "sigmoids":
        there = np.stack([pictures.targets != each for each in range(3)], axis=1).astype(np.float32)
        labelled = replace(pictures, targets=there, kind="labels").with_fingerprint()
        return question(labelled, schema.Sigmoids("sigmoids"), "f1_macro")
    if kind == "table":
        return question(table_examples(), schema.Number("number", "relu", "l1", "USD"), "mean_absolute_error")
    if kind == "features":
        assert isinstance(pictures.inputs, Pictures)
        means = pictures.inputs.pixels.mean(axis=(2, 3)).astype(np.float32)
        seen = replace(pictures, inputs=Features((means, means + 1), "resnet18", "0" * 64, 8))
        return replace(question(seen, schema.Softmax("softmax"), "accuracy"), pictures=pictures.inputs)
    head = schema.Sigmoid("sigmoid") if kind == "sigmoid" else schema.Softmax("softmax")
    return question(pictures, head, "accuracy")


def trained(asked: Question, network: Model) -> TrainedModel:
    data = Preparation(asked.examples, asked.inputs, asked.head, torch.device("cpu")).all_rows(asked.splits.development)
    training = Training(2, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)
    weights = refit(asked.task, Member(network, training, Seeds(0, 0), data), 2)
    described = model_files.describe("colours", asked.inputs, network, asked.head)
    return TrainedModel(described, weights, data.input_constants, data.target_constants)


HIDDEN, NONE = Model((8, 6), "gelu", 0.1), Model((), "relu", 0.0)
BLOCKS = Model((4,), "relu", 0.0, Convolutions((4, 6), 3, "max"))


@pytest.mark.parametrize(
    ("kind", "network", "names"),
    [
        ("softmax", HIDDEN, [*SEEN, "first_layer", "excite_1", "excite_2"]),
        ("softmax", NONE, [*SEEN, "first_layer"]),
        ("softmax", BLOCKS, [*SEEN, "first_layer", "excite_1", "excite_2", "excite_3"]),
        ("sigmoid", NONE, [*SEEN, "first_layer"]),
        ("sigmoids", HIDDEN, [*SEEN, "first_layer", "excite_1", "excite_2"]),
        ("number", HIDDEN, [*NUMBERS, "first_layer", "excite_1", "excite_2"]),
        ("bands", NONE, ["confusion", "calibration", *NUMBERS, "unsure", "first_layer"]),
        ("features", HIDDEN, [*SEEN, "excite_1", "excite_2"]),
        ("features", NONE, SEEN),
        ("table", HIDDEN, NUMBERS),
    ],
)
def test_every_kind_of_task_and_network_has_its_figures(
    kind: str, network: Model, names: list[str], tmp_path: Path
) -> None:
    asked = posed(kind)
    trained(asked, network).write(tmp_path / "model")
    made = figures(asked, tmp_path)
    found = [figure.name for figure in made]
    assert found == [name for name in names if name in found]
    assert set(names) - set(found) <= {"mistakes"}  # where nothing is wrong
    for figure in made:
        finite(figure)


def test_weights_are_drawn_symmetrically_around_grey() -> None:
    weights = torch.zeros(3, 8, 8)
    weights[0, 0, 0], weights[0, 1, 1], weights[0, 2, 2] = 2.0, -2.0, 1.0
    picture = drawn(weights)[3::6, 3::6]  # each weight was enlarged to 6 x 6
    assert picture.shape == (8, 8, 3)
    assert (picture[0, 0, 0], picture[1, 1, 0], picture[5, 5, 0]) == (255, 0, 128)
    assert picture[2, 2, 0] in range(190, 256)
    assert (drawn(torch.zeros(3, 4, 4)) == 128).all()


def test_node_that_answers_to_one_colour_is_excited_by_it(tmp_path: Path) -> None:
    """Planted: node 2 of 3 reads the red of the pictures, the others nothing; class `a` is red."""
    asked = posed("softmax")
    planted = trained(asked, Model((3,), "relu", 0.0))
    planted.weights["layers.0.weight"].zero_()
    planted.weights["layers.0.weight"][2, :64] = 0.1
    planted.weights["layers.1.weight"].fill_(1.0)
    (layer,) = layers(planted, asked.examples.inputs, asked.splits.development)
    assert layer.most_used(1) == [2]
    planted.write(tmp_path / "model")
    excited = by_name(figures(asked, tmp_path))["excite_1"]
    assert isinstance(excited.drawn, Gallery)
    rows = [int(caption.removeprefix("node 2: ").removesuffix(".png")) for caption in excited.drawn.captions]
    assert {row % 3 for row in rows} == {0}
    assert set(rows) <= set(asked.splits.development.tolist())
    assert "Two that excite the same node are of one class in 100% of cases" in excited.words


@pytest.mark.parametrize("shown", [1, 4])
def test_picture_at_which_a_node_is_silent_is_not_shown_as_exciting_it(shown: int) -> None:
    """Planted: node 0 answers to so many of 90 pictures, node 1 to all of them, node 2 to none."""
    asked, rows = posed("softmax"), np.arange(90)
    assert asked.pictures is not None
    answers = np.stack([np.maximum(0, shown - rows), rows, np.ones(90)], axis=1).astype(np.float32)
    layer = Layer("hidden layer 1", "node", rows, answers, np.array([3.0, 2.0, 1.0]))
    excited = top_activating_images.figure(layer, 1, asked.pictures, asked.examples)
    assert isinstance(excited.drawn, Gallery)
    captions = excited.drawn.captions
    assert captions[:shown] == tuple(f"node 0: {row}.png" for row in range(shown))
    assert captions[shown:6] == ("node 0: no other excites it",) * (6 - shown)
    assert captions[6:] == tuple(f"node 1: {row}.png" for row in range(89, 83, -1))
    assert (excited.drawn.pictures[5] == top_activating_images.GREY).all()
    assert "the 2 most used of 3 nodes of hidden layer 1 most" in excited.words


def test_layer_that_is_dead_shows_no_picture_and_says_so() -> None:
    asked, rows = posed("softmax"), np.arange(90)
    assert asked.pictures is not None
    dead = Layer("block 1", "channel", rows, np.zeros((90, 4), np.float32), np.zeros(4))
    excited = top_activating_images.figure(dead, 1, asked.pictures, asked.examples)
    assert excited.words == "None of the 4 channels of block 1 makes any difference between pictures."
    assert render_plotly.fragment(excited) == ""
    assert render_matplotlib.png(excited)[:4] == b"\x89PNG"


def test_wrong_pictures_of_a_backbone_are_the_pictures_themselves(tmp_path: Path) -> None:
    asked = posed("features")
    trained(asked, NONE).write(tmp_path / "model")
    made = by_name(figures(asked, tmp_path))["unsure"].drawn
    assert isinstance(made, Gallery)
    assert made.pictures[0].shape == (8, 8, 3)


def test_finished_search_leaves_them_in_its_report(finished: Path) -> None:
    left = {file.stem for file in (finished / "report" / "figures").iterdir()}
    assert {"confusion", "calibration", "mistakes", "unsure", "first_layer", "more_data"} <= left
    assert (finished / "report" / "more_data.json").is_file()
