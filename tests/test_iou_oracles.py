"""The references of `iou` against oracles of another kind: counted pixels, and Keras's own metric."""

import itertools
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from autograder.catalog import Problem
from autograder.grader import load
from autograder.notebook import reference_namespace

HEIGHT, WIDTH = 9, 13


def reference(name):
    return load("iou")[name].answer


@pytest.fixture
def rng():
    return np.random.default_rng(14)


@pytest.fixture(scope="module")
def notebook():
    """What the notebook's own cells define."""
    return reference_namespace(Problem("iou").source)


def draw_boxes(rng, count, smallest_side=0):
    """Draw `count` boxes with whole-number corners inside a grid of HEIGHT × WIDTH pixels."""
    x_min = rng.integers(0, WIDTH - smallest_side, count)
    y_min = rng.integers(0, HEIGHT - smallest_side, count)
    x_max = rng.integers(x_min + smallest_side, WIDTH + 1)
    y_max = rng.integers(y_min + smallest_side, HEIGHT + 1)
    return np.stack([x_min, y_min, x_max, y_max], axis=1)


def paint(box):
    """Return the mask of the pixels inside a box, (HEIGHT, WIDTH)."""
    x_min, y_min, x_max, y_max = box
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y_min:y_max, x_min:x_max] = True
    return mask


def count_iou(mask_a, mask_b):
    """Return the IoU of two masks by looking at one pixel after the other."""
    pixels = list(zip(mask_a.flat, mask_b.flat, strict=True))
    either = sum(a or b for a, b in pixels)
    return sum(a and b for a, b in pixels) / either if either else 0.0


def test_iou_of_boxes_is_what_counting_pixels_gives(rng):
    """Boxes that overlap, touch, are apart or are flat: the areas are those of their pixels."""
    scores = []
    for box_a, box_b in zip(draw_boxes(rng, 200), draw_boxes(rng, 200), strict=True):
        scores.append(reference("iou")(tuple(box_a), tuple(box_b)))
        assert scores[-1] == pytest.approx(count_iou(paint(box_a), paint(box_b)))
    assert 0.0 in scores
    assert max(scores) > 0.25


def test_mask_iou_is_what_counting_pixels_gives(rng):
    """Masks of every density, the empty and the full one among them."""
    for share in np.linspace(0, 1, 11):
        mask_a, mask_b = rng.random((2, HEIGHT, WIDTH)) < share
        assert reference("mask_iou")(mask_a, mask_b) == pytest.approx(count_iou(mask_a, mask_b))


def test_pairwise_iou_is_what_counting_pixels_gives_pair_by_pair(rng):
    """Rows are the first boxes, columns the second."""
    boxes_a, boxes_b = draw_boxes(rng, 6), draw_boxes(rng, 9)
    counted = [[count_iou(paint(a), paint(b)) for b in boxes_b] for a in boxes_a]
    np.testing.assert_allclose(reference("pairwise_iou")(boxes_a, boxes_b), counted)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (4, 0), (0, 0)])
def test_pairwise_iou_keeps_the_shape_of_empty_lists(rng, rows, columns):
    """No boxes make a table without rows, or without columns."""
    table = reference("pairwise_iou")(draw_boxes(rng, rows), draw_boxes(rng, columns))
    assert table.shape == (rows, columns)


def test_generalized_iou_is_what_counting_pixels_gives(rng):
    """The hull is the rows and columns from the first painted one to the last."""
    for box_a, box_b in zip(draw_boxes(rng, 200, 1), draw_boxes(rng, 200, 1), strict=True):
        union = paint(box_a) | paint(box_b)
        rows, columns = np.nonzero(union)
        hull = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        expected = count_iou(paint(box_a), paint(box_b)) - (hull - union.sum()) / hull
        assert reference("generalized_iou")(tuple(box_a), tuple(box_b)) == pytest.approx(expected)


def test_generalized_iou_stays_above_minus_one():
    """Two specks in opposite corners of a huge hull come close to -1 and do not reach it."""
    score = reference("generalized_iou")((0, 0, 1, 1), (999, 999, 1000, 1000))
    assert -1 < score < -0.99999


def test_centers_and_sizes_are_those_of_the_painted_pixels(rng):
    """The center is the pixels' mean place, and the sides are the rows and columns that they fill."""
    boxes = draw_boxes(rng, 50, 1)
    centers = reference("corners_to_center")(boxes)
    for box, center in zip(boxes, centers, strict=True):
        rows, columns = np.nonzero(paint(box))
        middle = [columns.mean() + 0.5, rows.mean() + 0.5]
        np.testing.assert_allclose(center, [*middle, len(set(columns)), len(set(rows))])
    np.testing.assert_allclose(reference("center_to_corners")(centers), boxes)


@pytest.mark.parametrize(
    ("box_a", "box_b", "expected"),
    [
        ((1, 2, 4, 9), (1, 2, 4, 9), 1.0),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
        ((0, 0, 2, 2), (2, 2, 4, 4), 0.0),
        ((0, 0, 2, 2), (5, 7, 6, 9), 0.0),
        ((3, 3, 3, 3), (3, 3, 3, 3), 0.0),
        ((1, 3, 5, 3), (1, 3, 5, 3), 0.0),
        ((1, 3, 5, 3), (0, 0, 6, 6), 0.0),
    ],
)
def test_iou_at_its_edges(box_a, box_b, expected):
    """Identical boxes score 1; boxes that touch, are apart or have no area score 0."""
    assert reference("iou")(box_a, box_b) == expected
    assert reference("iou")(box_b, box_a) == expected


@pytest.mark.parametrize("inverted", [(2, 0, 1, 5), (0, 5, 2, 1), (2, 5, 0, 1)])
def test_iou_refuses_inverted_boxes(inverted):
    """A maximum below its minimum is an error, whichever box has it."""
    with pytest.raises(ValueError, match="below its minimum"):
        reference("iou")(inverted, (0, 0, 1, 1))
    with pytest.raises(ValueError, match="below its minimum"):
        reference("iou")((0, 0, 1, 1), inverted)


@pytest.mark.parametrize("target", [Fraction(1, 10), Fraction(2, 5), Fraction(1)])
def test_box_with_iou_meets_its_target_to_the_last_digit(target):
    """In exact fractions there is no rounding to hide behind."""
    box = (Fraction(-3), Fraction(2), Fraction(4), Fraction(13))
    assert reference("iou")(reference("box_with_iou")(box, target), box) == target


def test_mean_iou_is_that_of_keras(rng):
    """Random label maps, in some of which classes are missing from the truth, the prediction or both."""
    import keras

    for n_classes in (2, 5):
        metric = keras.metrics.MeanIoU(num_classes=n_classes)
        for n_true, n_predicted in itertools.product(range(1, n_classes + 1), repeat=2):
            y_true, guess = rng.integers(0, n_true, (2, 4, 5)), rng.integers(0, n_predicted, (2, 4, 5))
            y_pred = np.where((rng.random(guess.shape) < 0.5) & (y_true < n_predicted), y_true, guess)
            metric.reset_state()
            metric.update_state(y_true, y_pred)
            expected = float(metric.result())
            assert reference("mean_iou")(y_true, y_pred, n_classes) == pytest.approx(expected, abs=1e-6)


def test_mean_iou_without_pixels_is_that_of_keras():
    """Keras's metric says 0 before it has seen anything."""
    import keras

    nothing = np.zeros((0,), dtype=int)
    expected = float(keras.metrics.MeanIoU(num_classes=3).result())
    assert reference("mean_iou")(nothing, nothing, 3) == expected == 0.0


def test_keras_takes_coordinates_for_class_numbers():
    """The notebook says that MeanIoU is not made for boxes: it cuts their coordinates to whole numbers."""
    import keras

    box, other = np.array([3.0, 4.0, 10.0, 12.0]), np.array([3.9, 4.9, 10.9, 12.9])
    metric = keras.metrics.MeanIoU(num_classes=13)
    metric.update_state(box, other)
    assert float(metric.result()) == pytest.approx(1.0, abs=1e-6)
    assert reference("iou")(box, other) < 0.7


def test_the_notebook_captions_its_pairs_rightly(notebook):
    """The scores under the pictures are those of the pixels."""
    for box_a, box_b, fraction in notebook["EXAMPLE_PAIRS"].values():
        assert count_iou(paint(box_a), paint(box_b)) == pytest.approx(float(Fraction(fraction)))


def test_the_notebook_tells_the_truth_about_its_label_maps(notebook):
    """Nine pixels in ten are right, and the classes score 27/30, 4/6, nothing and 1/2."""
    y_true, y_pred = notebook["EXAMPLE_LABELS"]["true"], notebook["EXAMPLE_LABELS"]["predicted"]
    assert round(np.mean(y_true == y_pred), 1) == 0.9
    scores = [count_iou(y_true == label, y_pred == label) for label in range(4)]
    assert scores == pytest.approx([27 / 30, 4 / 6, 0, 1 / 2])
    assert not np.any(y_true == 2)
    assert not np.any(y_pred == 2)


def test_the_grader_needs_no_tensorflow():
    """Importing it, references and slips included, loads neither TensorFlow nor Keras."""
    code = "import sys; from autograder.grader import load; load('iou'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"tensorflow", "keras", "tf_keras"} & set(loaded.split())
