"""The figures of the winner: made-up answers with known figures, and real searches of each kind of task."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.artifact.architecture import build_architecture
from pipeline.artifact.model_files import TrainedModel
from pipeline.config.heads import BandsConfig, NumberConfig, SigmoidConfig, SigmoidsConfig, SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import Training
from pipeline.data.examples import BackboneFeatures, Images
from pipeline.models.heads import AnyHead, BandsHead, NumberHead, SigmoidHead, SigmoidsHead, SoftmaxHead
from pipeline.report.activations import LayerActivations, compute_activations
from pipeline.report.drawing import render_matplotlib, render_plotly
from pipeline.report.drawing.figure import Chart, Figure, Heatmap, ImageGrid
from pipeline.report.figures import calibration, top_activating_images
from pipeline.report.figures.first_layer_weights import weights_to_image
from pipeline.report.heldout_predictions import (
    ClassPredictions,
    HeldoutPredictions,
    make_unique_labels,
    shorten_file_name,
)
from pipeline.report.winner_figures import build_prediction_figures, build_winner_figures
from pipeline.study.problem import Problem
from pipeline.training.engine import Member, StreamSeeds
from pipeline.training.fit import refit
from tests.conftest import picture_examples, question, table_examples

CATS = ("birman", "persian", "siamese")


def evidence(
    head: AnyHead, targets: list[object], answers: list[list[float]], *, images: bool = True
) -> HeldoutPredictions:
    rows = len(targets)
    pixels = np.full((rows, 3, 4, 4), np.arange(rows)[:, None, None, None], dtype=np.uint8)
    kind = np.int64 if isinstance(head, SoftmaxHead | SigmoidHead) else np.float32
    constants = head.fit(np.array(targets, dtype=kind))
    names = tuple(f"folder/{row}.jpg" if images else str(row) for row in range(rows))
    seen = Images(pixels) if images else None
    values = np.array(answers, dtype=np.float32)
    return HeldoutPredictions(head, constants, names, np.arange(rows), np.array(targets, dtype=kind), values, seen)


def by_name(made: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in made}


def calm(chances: list[float]) -> list[list[float]]:
    """Probabilities of three classes, that of the first as given."""
    return [[chance, (1 - chance) * 0.6, (1 - chance) * 0.4] for chance in chances]


def test_calibrated_model_has_nearly_no_calibration_error() -> None:
    noise = np.random.default_rng(0)
    first = noise.uniform(0.5, 1, 20_000)
    truth = np.where(noise.random(20_000) < first, 0, 1)
    choices = ClassPredictions(CATS, np.stack([first, 1 - first, 0 * first], axis=1), truth)
    found = calibration.bin_predictions(choices.confidence, choices.is_correct)
    assert calibration.expected_calibration_error(found) < 0.01
    assert "within chance for a perfectly calibrated model" in calibration.plot_class_calibration(choices).caption


def test_calibration_error_is_how_far_it_is_off() -> None:
    """Of a hundred answers that are 0.9 sure sixty are right."""
    truth = np.array([0] * 60 + [1] * 40)
    choices = ClassPredictions(CATS, np.array(calm([0.9] * 100)), truth)
    words = calibration.plot_class_calibration(choices).caption
    assert words.startswith(
        "Expected calibration error 0.300 over 100 predictions: the mean confidence is 0.30 above the accuracy."
    )
    (bin_,) = calibration.bin_predictions(choices.confidence, choices.is_correct)
    assert (bin_.n_predictions, bin_.mean_probability, bin_.observed_share) == (100, pytest.approx(0.9), 0.6)


def test_chance_alone_is_told_from_a_wrong_probability() -> None:
    """Three answers that are 0.9 sure, two of them right, say nothing against it."""
    choices = ClassPredictions(CATS, np.array(calm([0.9] * 3)), np.array([0, 0, 1]))
    assert "within chance for a perfectly calibrated model" in calibration.plot_class_calibration(choices).caption


def test_reliability_has_counts_and_intervals() -> None:
    choices = ClassPredictions(CATS, np.array(calm([0.9] * 100 + [0.6])), np.array([0] * 101))
    drawn = calibration.plot_class_calibration(choices).content
    assert isinstance(drawn, Chart)
    points = drawn.series[-1]
    assert list(points.point_labels) == ["1 prediction", "100 predictions"]
    assert all(low <= share <= high for low, share, high in zip(points.low, points.y, points.high, strict=True))


def test_most_surely_wrong_picture_comes_first() -> None:
    answers = calm([0.5, 0.97, 0.6, 0.99])
    made = by_name(build_prediction_figures(evidence(SoftmaxHead("softmax", CATS), [0, 2, 1, 0], answers)))
    wrong = made["mistakes"]
    assert isinstance(wrong.content, ImageGrid)
    assert (
        wrong.caption
        == "Most confident mistake: 1.jpg, siamese predicted as birman (0.97). 2 of 4 test rows are wrong."
    )
    assert wrong.content.captions == (
        "siamese predicted as birman (0.97): 1.jpg",
        "persian predicted as birman (0.60): 2.jpg",
    )
    assert [int(picture[0, 0, 0]) for picture in wrong.content.images] == [1, 2]
    assert made["unsure"].caption.startswith("Least confident: 0.jpg, birman predicted as birman (0.50).")


def test_nothing_wrong_is_no_figure_of_mistakes() -> None:
    made = by_name(build_prediction_figures(evidence(SoftmaxHead("softmax", CATS), [0, 0], calm([0.9, 0.8]))))
    assert "mistakes" not in made
    assert made["confusion"].caption == "2 of 2 correct (1.000)."


def test_confusion_counts_truth_by_answer() -> None:
    answers = [*calm([0.9] * 5), [0.1, 0.8, 0.1]]
    made = by_name(build_prediction_figures(evidence(SoftmaxHead("softmax", CATS), [0, 0, 1, 1, 1, 1], answers)))
    drawn = made["confusion"].content
    assert isinstance(drawn, Heatmap)
    assert drawn.values.tolist() == [[2, 0, 0], [3, 1, 0], [0, 0, 0]]  # of the last class there is no test row
    assert (
        made["confusion"].caption
        == "3 of 6 correct (0.500). Most often confused: persian predicted as birman (3 of 4)."
    )


def test_of_many_classes_the_most_confused_are_shown_and_named() -> None:
    classes = tuple(f"breed {number:03}" for number in range(1_000))
    said = np.zeros((1_000, 1_000))
    truth = np.arange(1_000)
    said[truth, truth] = 0.9
    truth[500:510] = 700  # ten rows of one class that are taken for ten others
    made = by_name(build_prediction_figures(evidence(SoftmaxHead("softmax", classes), truth.tolist(), said.tolist())))
    drawn = made["confusion"].content
    assert isinstance(drawn, Heatmap)
    assert drawn.values.shape == (20, 20)
    assert "breed 700" in drawn.row_names
    assert drawn.values.sum() >= 11
    assert "breed 700 predicted as breed 500 (1 of 11)" in made["confusion"].caption
    assert "The 20 of 1,000 classes" in made["confusion"].caption


def test_labels_are_judged_one_by_one() -> None:
    head = SigmoidsHead("sigmoids", ("cat", "lion"))
    made = by_name(
        build_prediction_figures(evidence(head, [[1, 0], [1, 1], [0, 0]], [[0.9, 0.2], [0.1, 0.8], [0.3, 0.6]]))
    )
    drawn = made["confusion"].content
    assert isinstance(drawn, Heatmap)
    assert dict(zip(drawn.row_names, drawn.values.tolist(), strict=True)) == {"cat": [1, 1, 0, 1], "lion": [1, 0, 1, 1]}
    assert made["confusion"].caption.startswith("Every label correct on 1 of 3 rows (0.333).")
    assert made["mistakes"].caption == (
        "Most confident mistake: 1.jpg, cat, predicted 0.10. 2 of 3 test rows are wrong about a label."
    )
    assert made["unsure"].caption == "Least confident: 2.jpg, no lion, predicted 0.60."
    assert "6 predictions" in made["calibration"].caption


def test_numbers_are_held_against_the_truth() -> None:
    head = NumberHead("number", "relu", "l1", "years")
    made = by_name(build_prediction_figures(evidence(head, [1.0, 2.0, 3.0], [[1.0], [6.0], [2.0]])))
    assert list(made) == ["residuals", "error_spread", "mistakes"]
    assert made["residuals"].caption == "Mean absolute error 1.667 years."
    assert made["mistakes"].caption == "Largest error: 1.jpg, 2 years predicted as 6 years."


def test_rows_of_a_table_are_bars_with_their_names() -> None:
    head = NumberHead("number", "relu", "l1", "USD")
    rows = evidence(head, [100_000.0, 200_000.0], [[150_000.0], [190_000.0]], images=False)
    drawn = by_name(build_prediction_figures(rows))["mistakes"].content
    assert isinstance(drawn, Chart)
    (bars,) = drawn.series
    assert list(bars.x) == ["row 0", "row 1"]
    assert list(bars.y) == [50_000, -10_000]
    assert bars.point_labels[0] == "100,000 USD predicted as 150,000 USD"


def test_bands_are_confused_and_off_in_years() -> None:
    head = BandsHead("bands", (2.0, 8.0), "years")
    made = by_name(
        build_prediction_figures(evidence(head, [1.0, 5.0, 9.0], [[0.8, 0.2, 0], [0.7, 0.2, 0.1], [0, 0.1, 0.9]]))
    )
    assert {"confusion", "calibration", "residuals", "error_spread", "mistakes", "unsure"} == set(made)
    assert "2 to 8 years predicted as under 2 years (1 of 1)" in made["confusion"].caption
    assert "Mean absolute error" in made["residuals"].caption


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
    for figure in build_prediction_figures(evidence(head, [target], [answer], images=pictures)):
        finite(figure)


def finite(figure: Figure) -> None:
    """Nothing that is drawn or said is no number."""
    assert figure.caption
    assert "nan" not in figure.caption.lower().split()
    if isinstance(figure.content, Heatmap):
        assert np.isfinite(figure.content.values).all()
    elif isinstance(figure.content, ImageGrid):
        assert len(figure.content.images) == len(figure.content.captions) > 0
        assert all(each.dtype == np.uint8 and each.shape[2] == 3 for each in figure.content.images)
    else:
        for series in figure.content.series:
            numbers = [
                value for value in (*series.x, *series.y, *series.low, *series.high) if not isinstance(value, str)
            ]
            assert np.isfinite(numbers).all()


def test_names_are_printable_and_short() -> None:
    assert shorten_file_name("cats/\x1b[31mred\n.jpg") == "\\x1b[31mred\\n.jpg"
    assert shorten_file_name("a" * 200 + "17.jpg").endswith("a17.jpg")
    assert len(shorten_file_name("a" * 200 + "17.jpg")) == 32
    assert make_unique_labels(("a" * 100, "a" * 101, "b")) == (f"{'a' * 25}... (0)", f"{'a' * 25}... (1)", "b")


SEEN = ["confusion", "calibration", "mistakes", "unsure"]
NUMBERS = ["residuals", "error_spread", "mistakes"]


def posed(kind: str) -> Problem:
    """A small question of each kind."""
    pictures = picture_examples(90, 2 if kind == "sigmoid" else 3)
    if kind in ("number", "bands"):
        targets = pictures.targets.astype(np.float32) * 3 + 1
        aged = replace(pictures, targets=targets, target_kind="numbers", classes=()).with_fingerprint()
        head = (
            NumberConfig("number", "relu", "l1", "years") if kind == "number" else BandsConfig("bands", (3.0,), "years")
        )
        return question(aged, head, "mean_absolute_error")
    if kind == "sigmoids":
        there = np.stack([pictures.targets != each for each in range(3)], axis=1).astype(np.float32)
        labelled = replace(pictures, targets=there, target_kind="labels").with_fingerprint()
        return question(labelled, SigmoidsConfig("sigmoids"), "f1_macro")
    if kind == "table":
        return question(table_examples(), NumberConfig("number", "relu", "l1", "USD"), "mean_absolute_error")
    if kind == "features":
        assert isinstance(pictures.inputs, Images)
        means = pictures.inputs.pixels.mean(axis=(2, 3)).astype(np.float32)
        seen = replace(pictures, inputs=BackboneFeatures((means, means + 1), "resnet18", "0" * 64, 8))
        return replace(question(seen, SoftmaxConfig("softmax"), "accuracy"), images=pictures.inputs)
    head = SigmoidConfig("sigmoid") if kind == "sigmoid" else SoftmaxConfig("softmax")
    return question(pictures, head, "accuracy")


def trained(asked: Problem, network: Model) -> TrainedModel:
    data = asked.fold_data_builder().build_refit_data(asked.splits.development)
    training = Training(2, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)
    weights = refit(asked.task, Member(network, training, StreamSeeds(0, 0), data), 2)
    described = build_architecture("colours", asked.task.inputs, network, asked.task.head)
    return TrainedModel.from_network(described, weights, data.input_constants, data.target_constants)


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
    trained(asked, network).save(tmp_path / "model")
    made = build_winner_figures(asked, tmp_path)
    found = [figure.name for figure in made]
    assert found == [name for name in names if name in found]
    assert set(names) - set(found) <= {"mistakes"}  # where nothing is wrong
    for figure in made:
        finite(figure)


def test_weights_are_drawn_symmetrically_around_grey() -> None:
    weights = torch.zeros(3, 8, 8)
    weights[0, 0, 0], weights[0, 1, 1], weights[0, 2, 2] = 2.0, -2.0, 1.0
    picture = weights_to_image(weights)[3::6, 3::6]  # each weight was enlarged to 6 x 6
    assert picture.shape == (8, 8, 3)
    assert (picture[0, 0, 0], picture[1, 1, 0], picture[5, 5, 0]) == (255, 0, 128)
    assert picture[2, 2, 0] in range(190, 256)
    assert (weights_to_image(torch.zeros(3, 4, 4)) == 128).all()


def test_node_that_answers_to_one_colour_is_excited_by_it(tmp_path: Path) -> None:
    """Planted: node 2 of 3 reads the red of the pictures, the others nothing; class `a` is red."""
    asked = posed("softmax")
    planted = trained(asked, Model((3,), "relu", 0.0))
    planted.networks[0].weights["layers.0.weight"].zero_()
    planted.networks[0].weights["layers.0.weight"][2, :64] = 0.1
    planted.networks[0].weights["layers.1.weight"].fill_(1.0)
    (layer,) = compute_activations(planted, asked.examples.inputs, asked.splits.development)
    assert layer.select_most_used(1) == [2]
    planted.save(tmp_path / "model")
    excited = by_name(build_winner_figures(asked, tmp_path))["excite_1"]
    assert isinstance(excited.content, ImageGrid)
    rows = [int(caption.removeprefix("node 2: ").removesuffix(".png")) for caption in excited.content.captions]
    assert {row % 3 for row in rows} == {0}
    assert set(rows) <= set(asked.splits.development.tolist())
    assert "Two top images of the same node have the same class in 100% of cases" in excited.caption


@pytest.mark.parametrize("shown", [1, 4])
def test_picture_at_which_a_node_is_silent_is_not_shown_as_exciting_it(shown: int) -> None:
    """Planted: node 0 answers to so many of 90 pictures, node 1 to all of them, node 2 to none."""
    asked, rows = posed("softmax"), np.arange(90)
    assert asked.images is not None
    answers = np.stack([np.maximum(0, shown - rows), rows, np.ones(90)], axis=1).astype(np.float32)
    layer = LayerActivations("hidden layer 1", "node", rows, answers, np.array([3.0, 2.0, 1.0]))
    excited = top_activating_images.plot_top_activating_images(layer, 1, asked.images, asked.examples)
    assert isinstance(excited.content, ImageGrid)
    captions = excited.content.captions
    assert captions[:shown] == tuple(f"node 0: {row}.png" for row in range(shown))
    assert captions[shown:6] == ("node 0: no other image activates it",) * (6 - shown)
    assert captions[6:] == tuple(f"node 1: {row}.png" for row in range(89, 83, -1))
    assert (excited.content.images[5] == top_activating_images.PADDING_GRAY).all()
    assert "the 2 most used of 3 nodes of hidden layer 1 most" in excited.caption


def test_layer_that_is_dead_shows_no_picture_and_says_so() -> None:
    asked, rows = posed("softmax"), np.arange(90)
    assert asked.images is not None
    dead = LayerActivations("block 1", "channel", rows, np.zeros((90, 4), np.float32), np.zeros(4))
    excited = top_activating_images.plot_top_activating_images(dead, 1, asked.images, asked.examples)
    assert excited.caption == "None of the 4 channels of block 1 responds differently to different images."
    assert render_plotly.render_html(excited) == ""
    assert render_matplotlib.render_png(excited)[:4] == b"\x89PNG"


def test_wrong_pictures_of_a_backbone_are_the_pictures_themselves(tmp_path: Path) -> None:
    asked = posed("features")
    trained(asked, NONE).save(tmp_path / "model")
    made = by_name(build_winner_figures(asked, tmp_path))["unsure"].content
    assert isinstance(made, ImageGrid)
    assert made.images[0].shape == (8, 8, 3)


def test_finished_search_leaves_them_in_its_report(finished: Path) -> None:
    left = {file.stem for file in (finished / "report" / "figures").iterdir()}
    assert {"confusion", "calibration", "mistakes", "unsure", "first_layer", "more_data"} <= left
    assert (finished / "report" / "more_data.json").is_file()
