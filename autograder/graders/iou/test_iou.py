"""Hidden grader of `iou`."""

import math

import numpy as np
import pytest

from autograder import answers, grader

# --- Draws: two boxes whose sides stand in given relations ---------------------------------------------


def draw_boxes(rng, in_x, in_y):
    """Draw two boxes, (x_min, y_min, x_max, y_max) each, by how their sides stand to each other.

    Args:
        in_x, in_y: one of Allen's interval relations, read as "the first box … the second".
    """
    (ax_min, ax_max), (bx_min, bx_max) = draw_intervals(rng, in_x)
    (ay_min, ay_max), (by_min, by_max) = draw_intervals(rng, in_y)
    return (ax_min, ay_min, ax_max, ay_max), (bx_min, by_min, bx_max, by_max)


def draw_intervals(rng, relation):
    # Ends at least 2 apart, so that no share is so thin that a guard such as 1e-9 in a divisor would show.
    p, q, r, s = (rng.uniform(-9, 25) + np.cumsum(rng.uniform(2, 9, 4))).tolist()
    return {
        "before": ((p, q), (r, s)),
        "meets": ((p, q), (q, r)),
        "overlaps": ((p, r), (q, s)),
        "during": ((q, r), (p, s)),
        "equals": ((p, q), (p, q)),
        "contains": ((p, s), (q, r)),
        "overlapped by": ((q, s), (p, r)),
        "met by": ((q, r), (p, q)),
        "after": ((r, s), (p, q)),
    }[relation]


def draw_corners(rng, count):
    """Draw `count` boxes, (count, 4), all of which hold the origin, so that any two overlap."""
    return np.concatenate([rng.uniform(-30, -3, (count, 2)), rng.uniform(3, 20, (count, 2))], axis=1)


def draw_centers(rng, count):
    """Draw `count` boxes, (count, 4), as (x_center, y_center, width, height)."""
    return np.concatenate([rng.uniform(-30, 30, (count, 2)), rng.uniform(1, 20, (count, 2))], axis=1)


# --- center_to_corners ---------------------------------------------------------------------------------

question = grader.question("center_to_corners", points=1)


@question.reference
def center_to_corners(boxes):
    boxes = np.asarray(boxes, dtype=float)
    return boxes @ [[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]]


@question.draws
def any_centers(rng):
    centers = draw_centers(rng, rng.integers(7))
    return (np.round(centers).astype(rng.choice([int, float])) if rng.random() < 0.5 else centers,)


@question.slip(
    "A side is half the width away from the center, not a whole width: the boxes come out too large."
)
def corners_a_whole_side_away(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:], boxes[:, :2] + boxes[:, 2:]], axis=1)


@question.slip("The center was used as the top left corner: both corners lie half a side away from it.")
def corners_from_the_center(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@question.slip(
    "The first corner is right, but the last two numbers are still width and height, not the other corner."
)
def corners_keep_the_size(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


@question.slip("Width and height changed places: the width moves x, the height moves y.")
def corners_with_sides_swapped(boxes):
    return center_to_corners(boxes[:, [0, 1, 3, 2]])


@question.slip("The order is (x_min, y_min, x_max, y_max): the second number is y_min, not x_max.")
def corners_in_pairs_of_axes(boxes):
    return center_to_corners(boxes)[:, [0, 2, 1, 3]]


@question.slip(
    "Halves were cut off by // : an odd side puts the corners between two pixels, so divide by / ."
)
def corners_without_halves(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] // 2, boxes[:, :2] + boxes[:, 2:] // 2], axis=1)


@question.slip(
    "An array made like the boxes is one of whole numbers when they are, and drops the halves: make it float."
)
def corners_in_an_integer_array(boxes):
    corners = np.empty_like(boxes)
    corners[:] = center_to_corners(boxes)
    return corners


@question.slip("No boxes are still an array of shape (0, 4): collecting rows in a list loses the axis of 4.")
def corners_lose_the_empty_axis(boxes):
    return np.array([center_to_corners(box) for box in boxes])


@question.test
@pytest.mark.parametrize("count", [1, 3, 6])
def test_corners_lie_half_a_side_from_the_center(compare, rng, count):
    """puts the corners half the width and half the height away from the center"""
    compare(draw_centers(rng, count))


@question.test
@pytest.mark.parametrize("boxes", [np.array([[7, 4, 5, 3], [-2, 9, 2, 7]]), np.zeros((0, 4))])
def test_corners_of_whole_numbers_and_of_no_boxes(compare, rng, boxes):
    """keeps the halves where boxes are whole numbers, and gives no rows for no boxes"""
    compare(boxes)
    compare(draw_centers(rng, 2))


# --- corners_to_center ---------------------------------------------------------------------------------

question = grader.question("corners_to_center", points=1)


@question.reference
def corners_to_center(boxes):
    boxes = np.asarray(boxes, dtype=float)
    return boxes @ [[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]]


@question.draws
def any_corners(rng):
    corners = draw_corners(rng, rng.integers(7)) + rng.uniform(-20, 20)
    return (np.round(corners).astype(rng.choice([int, float])) if rng.random() < 0.5 else corners,)


@question.slip("Minimum and maximum were added but not halved: the center is their mean.")
def center_without_halving(boxes):
    return np.concatenate([boxes[:, :2] + boxes[:, 2:], boxes[:, 2:] - boxes[:, :2]], axis=1)


@question.slip("Half the side is how far the center is from the corner: add the corner to it.")
def center_from_the_corner(boxes):
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([sides / 2, sides], axis=1)


@question.slip("The first two numbers are still the corner: the center is half a side further in.")
def center_keeps_the_corner(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


@question.slip("The center is right, but the last two numbers are still a corner: give width and height.")
def center_without_the_size(boxes):
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:]], axis=1)


@question.slip("Width and height changed places: the width is the extent along x, and comes first.")
def center_with_sides_swapped(boxes):
    return corners_to_center(boxes)[:, [0, 1, 3, 2]]


@question.slip(
    "Coordinates are edges, not numbers of pixels: the width is x_max - x_min, without an extra 1."
)
def center_with_inclusive_sides(boxes):
    return corners_to_center(boxes) + np.array([0, 0, 1, 1])


@question.slip("The center was rounded down by // : it may lie between two pixels, so divide by / .")
def center_without_halves(boxes):
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) // 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


@question.slip(
    "An array made like the boxes holds whole numbers when they do, and drops half pixels: make it float."
)
def center_in_an_integer_array(boxes):
    centers = np.empty_like(boxes)
    centers[:] = corners_to_center(boxes)
    return centers


@question.slip("No boxes are still an array of shape (0, 4): rows collected in a list lose the second axis.")
def center_loses_the_empty_axis(boxes):
    return np.array([corners_to_center(box) for box in boxes])


@question.test
@pytest.mark.parametrize("count", [1, 3, 6])
def test_center_and_size(compare, rng, count):
    """gives the middle of each box, then its width and height"""
    compare(draw_corners(rng, count))


@question.test
@pytest.mark.parametrize("boxes", [np.array([[1, 2, 6, 5], [-7, 3, -3, 10]]), np.zeros((0, 4))])
def test_center_of_whole_numbers_and_of_no_boxes(compare, rng, boxes):
    """keeps half pixels where boxes are whole numbers, and gives no rows for no boxes"""
    compare(boxes)
    compare(draw_corners(rng, 2))


# --- iou -----------------------------------------------------------------------------------------------

question = grader.question("iou", points=2)


def refuse_inverted(*boxes):
    for x_min, y_min, x_max, y_max in boxes:
        if x_max < x_min or y_max < y_min:
            raise ValueError("a box's maximum is below its minimum")


def measure(box_a, box_b):
    """Return the shared width and height, negative where the boxes are apart, and both areas."""
    ax_min, ay_min, ax_max, ay_max = box_a
    bx_min, by_min, bx_max, by_max = box_b
    width = min(ax_max, bx_max) - max(ax_min, bx_min)
    height = min(ay_max, by_max) - max(ay_min, by_min)
    return width, height, (ax_max - ax_min) * (ay_max - ay_min), (bx_max - bx_min) * (by_max - by_min)


def ratio(part, whole):
    return part / whole if whole > 0 else 0.0


@question.reference
def iou(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    shared = max(width, 0) * max(height, 0)
    return ratio(shared, area_a + area_b - shared)


@question.draws
def any_two_boxes(rng):
    """Small whole numbers, so that edges meet and boxes are flat or invalid now and then, or fractions."""
    boxes = np.round(rng.uniform(-4, 8, (2, 4)), rng.choice([0, 0, 1, 3]))
    return tuple(tuple(arranged(box, rng.random() > 0.9).tolist()) for box in boxes)


def arranged(box, as_it_is=False):
    """Return `box` with its minima before its maxima."""
    return box if as_it_is else np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])


@question.slip(
    "Boxes that are apart have a negative width or height in common: make it 0 before you multiply."
)
def negative_sides(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    shared = width * height
    return ratio(shared, area_a + area_b - shared)


@question.slip(
    "Two negative sides multiply to a positive area: limit each side to at least 0, not their product."
)
def clamped_product(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    shared = max(width * height, 0)
    return ratio(shared, area_a + area_b - shared)


@question.slip("Boxes that only touch share no area: a common edge has a length but no width.")
def touching_boxes(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    # A common edge is counted as a line of pixels.
    width, height = width if width else 1, height if height else 1
    shared = max(width, 0) * max(height, 0)
    return ratio(shared, area_a + area_b - shared)


@question.slip(
    "Coordinates are edges, not numbers of pixels: a side is maximum minus minimum, without an extra 1."
)
def inclusive_pixels(box_a, box_b):
    refuse_inverted(box_a, box_b)
    ax_min, ay_min, ax_max, ay_max = box_a
    bx_min, by_min, bx_max, by_max = box_b
    return iou((ax_min, ay_min, ax_max + 1, ay_max + 1), (bx_min, by_min, bx_max + 1, by_max + 1))


@question.slip(
    "Look whether both boxes are any before you answer: an inverted one is refused, whatever its area."
)
def refuses_too_late(box_a, box_b):
    _, _, area_a, area_b = measure(box_a, box_b)
    return 0.0 if area_a <= 0 and area_b <= 0 else iou(box_a, box_b)


@question.slip("Where the first box is flat the second was not looked at: check both before you answer.")
def answers_for_a_flat_box(box_a, box_b):
    refuse_inverted(box_a)
    x_min, y_min, x_max, y_max = box_a
    return 0.0 if x_min == x_max or y_min == y_max else iou(box_a, box_b)


@question.slip("The two areas added count the shared part twice: the union has it once.")
def union_counts_twice(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    return ratio(max(width, 0) * max(height, 0), area_a + area_b)


@question.slip(
    "This is the Dice score, twice the shared area over the sum of both areas: IoU divides by the union."
)
def dice(box_a, box_b):
    return 2 * union_counts_twice(box_a, box_b)


@question.slip(
    "This divides by the smaller box, which gives 1 as soon as one box holds the other: divide by the union."
)
def over_the_smaller_box(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    return ratio(max(width, 0) * max(height, 0), min(area_a, area_b))


@question.slip(
    "This divides by the area of the first box only: the area outside it that the second covers counts too."
)
def over_the_first_box(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, _ = measure(box_a, box_b)
    return ratio(max(width, 0) * max(height, 0), area_a)


@question.slip(
    "This divides by the area of the second box only: what the first covers outside it counts too."
)
def over_the_second_box(box_a, box_b):
    return over_the_first_box(box_b, box_a)


@question.slip(
    "Either box may be the one on the left or on top: the shared part starts at the larger of both minima."
)
def first_box_comes_first(box_a, box_b):
    refuse_inverted(box_a, box_b)
    _, _, area_a, area_b = measure(box_a, box_b)
    shared = max(box_a[2] - box_b[0], 0) * max(box_a[3] - box_b[1], 0)
    return ratio(shared, area_a + area_b - shared)


@question.slip("The last two numbers are the far corner, not width and height.")
def reads_width_and_height(box_a, box_b):
    refuse_inverted(box_a, box_b)
    (ax, ay, a_width, a_height), (bx, by, b_width, b_height) = box_a, box_b
    width = max(min(ax + a_width, bx + b_width) - max(ax, bx), 0)
    height = max(min(ay + a_height, by + b_height) - max(ay, by), 0)
    return ratio(width * height, a_width * a_height + b_width * b_height - width * height)


@question.slip("A box is (x_min, y_min, x_max, y_max): here y_min and x_max changed places.")
def reads_pairs_of_axes(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(
        [box_a[i] for i in (0, 2, 1, 3)], [box_b[i] for i in (0, 2, 1, 3)]
    )
    shared = max(width, 0) * max(height, 0)
    return ratio(shared, area_a + area_b - shared)


@question.slip("Two boxes without area have a union of 0, and nothing can be divided by 0: answer 0.0 there.")
def divides_by_zero(box_a, box_b):
    refuse_inverted(box_a, box_b)
    width, height, area_a, area_b = measure(box_a, box_b)
    shared = max(width, 0) * max(height, 0)
    return shared / (area_a + area_b - shared)


@question.slip("0 / 0 is not a number in numpy: look for a union of 0 first, and answer 0.0 there.")
def nan_without_area(box_a, box_b):
    refuse_inverted(box_a, box_b)
    _, _, area_a, area_b = measure(box_a, box_b)
    return iou(box_a, box_b) if area_a + area_b else math.nan


@question.slip(
    "Equal boxes score 1 because of the area that they share: two equal boxes without area score 0."
)
def equal_boxes_first(box_a, box_b):
    return 1.0 if tuple(box_a) == tuple(box_b) else iou(box_a, box_b)


@question.slip("A box whose maximum lies below its minimum is no box: raise ValueError.")
def accepts_inverted(box_a, box_b):
    width, height, area_a, area_b = measure(box_a, box_b)
    shared = max(width, 0) * max(height, 0)
    return ratio(shared, area_a + area_b - shared)


@question.slip("Only the first box is checked: raise ValueError where the second is upside down too.")
def checks_the_first_box_only(box_a, box_b):
    refuse_inverted(box_a)
    return accepts_inverted(box_a, box_b)


@question.slip("Only x is checked: raise ValueError where y_max is below y_min too.")
def checks_x_only(box_a, box_b):
    if box_a[2] < box_a[0] or box_b[2] < box_b[0]:
        raise ValueError("a box ends before it begins")
    return accepts_inverted(box_a, box_b)


@question.slip(
    "A box of no width or height is a box, if a flat one: raise ValueError only where a maximum is below."
)
def refuses_flat_boxes(box_a, box_b):
    for x_min, y_min, x_max, y_max in (box_a, box_b):
        if x_max <= x_min or y_max <= y_min:
            raise ValueError("a box has no area")
    return iou(box_a, box_b)


@question.test
@pytest.mark.parametrize(
    ("in_x", "in_y"),
    [
        ("overlaps", "overlaps"),
        ("overlaps", "overlapped by"),
        ("overlapped by", "contains"),
        ("during", "contains"),
        ("during", "during"),
        ("equals", "overlapped by"),
        ("equals", "equals"),
    ],
)
def test_overlapping_boxes(compare, rng, in_x, in_y):
    """divides the shared area by the area of the union"""
    compare(*draw_boxes(rng, in_x, in_y))


@question.test
@pytest.mark.parametrize(
    ("in_x", "in_y"),
    [
        ("overlaps", "overlaps"),
        ("before", "overlaps"),
        ("during", "after"),
        ("before", "before"),
        ("after", "before"),
    ],
)
def test_boxes_apart(compare, rng, in_x, in_y):
    """boxes apart give 0"""
    compare(*draw_boxes(rng, in_x, in_y))


POINT, OTHER_POINT = (2.0, 3.0, 2.0, 3.0), (5.0, 3.0, 5.0, 3.0)
LINE, OTHER_LINE = (1.0, 3.0, 4.0, 3.0), (2.0, 0.0, 2.0, 6.0)


@question.test
@pytest.mark.parametrize(
    ("in_x", "in_y"),
    [("overlaps", "during"), ("meets", "overlaps"), ("contains", "met by"), ("met by", "meets")],
)
@pytest.mark.parametrize(("flat_a", "flat_b"), [(LINE, LINE), (POINT, OTHER_POINT), (LINE, OTHER_LINE)])
def test_boxes_that_touch_or_have_no_area(compare, rng, in_x, in_y, flat_a, flat_b):
    """boxes that only touch give 0, and so do boxes without area, even two equal ones"""
    box_a, box_b = draw_boxes(rng, in_x, in_y)
    compare(box_a, box_b)
    compare(flat_a, flat_b)
    compare((0.0, 0.0, 8.0, 7.0), flat_a)


@question.test
@pytest.mark.parametrize("inverted", [None, (2, 1, 0, 3), (1, 4, 5, 2), (3, 3, 1, 1)])
def test_inverted_boxes(compare, rng, inverted):
    """refuses a box whose maximum is below its minimum, in x or in y, first or second, and no other"""
    box_a, box_b = draw_boxes(rng, "overlapped by", "overlaps")
    compare(box_a, box_b)
    if inverted:
        compare(inverted, box_b)
        compare(box_a, inverted)
        compare(inverted, inverted)
        for flat in ((4, 3, 1, 3), (3, 4, 3, 1)):
            compare(flat, POINT)
            compare(POINT, flat)
        compare(LINE, inverted)


# --- pairwise_iou --------------------------------------------------------------------------------------

question = grader.question("pairwise_iou", points=3)


def measure_pairs(boxes_a, boxes_b):
    """Return what `measure` does for every pair: widths and heights (N, M), areas (N, 1) and (M,)."""
    # (N, 1) each against (M,) each
    ax_min, ay_min, ax_max, ay_max = np.hsplit(boxes_a, 4)
    bx_min, by_min, bx_max, by_max = boxes_b.T
    widths = np.minimum(ax_max, bx_max) - np.maximum(ax_min, bx_min)
    heights = np.minimum(ay_max, by_max) - np.maximum(ay_min, by_min)
    return widths, heights, (ax_max - ax_min) * (ay_max - ay_min), (bx_max - bx_min) * (by_max - by_min)


def ratios(parts, wholes):
    return np.divide(parts, wholes, out=np.zeros(parts.shape), where=wholes > 0)


@question.reference
def pairwise_iou(boxes_a, boxes_b):
    widths, heights, areas_a, areas_b = measure_pairs(boxes_a, boxes_b)
    shared = np.maximum(widths, 0) * np.maximum(heights, 0)
    return ratios(shared, areas_a + areas_b - shared)


@question.draws
def any_two_lists_of_boxes(rng):
    decimals = rng.choice([0, 0, 1, 3])
    return tuple(
        np.array([arranged(np.round(rng.uniform(-4, 8, 4), decimals)) for _ in range(count)]).reshape(-1, 4)
        for count in rng.integers(0, 5, 2)
    )


@question.slip(
    "Right, but too slow: let numpy compare a box with all others at once, not pair by pair in Python.",
    slow=True,
)
def double_loop(boxes_a, boxes_b):
    table = np.zeros((len(boxes_a), len(boxes_b)))
    for i, box_a in enumerate(boxes_a):
        for j, box_b in enumerate(boxes_b):
            table[i, j] = iou(box_a, box_b)
    return table


@question.slip("The table is turned over: boxes_a go down the rows, boxes_b along the columns.")
def pairwise_transposed(boxes_a, boxes_b):
    return pairwise_iou(boxes_b, boxes_a)


@question.slip(
    "Box i of one list meets only box i of the other: with an extra axis on one of them, every pair meets."
)
def pairwise_in_step(boxes_a, boxes_b):
    sides = np.minimum(boxes_a[:, 2:], boxes_b[:, 2:]) - np.maximum(boxes_a[:, :2], boxes_b[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas_a = (boxes_a[:, 2:] - boxes_a[:, :2]).prod(axis=1)
    areas_b = (boxes_b[:, 2:] - boxes_b[:, :2]).prod(axis=1)
    return ratios(shared, areas_a + areas_b - shared)


@question.slip("Pairs that are apart have negative sides in common: make each of them 0 before you multiply.")
def pairwise_negative_sides(boxes_a, boxes_b):
    widths, heights, areas_a, areas_b = measure_pairs(boxes_a, boxes_b)
    shared = widths * heights
    return ratios(shared, areas_a + areas_b - shared)


@question.slip(
    "A negative width times a negative height is a positive area: limit widths and heights, not the product."
)
def pairwise_clamped_product(boxes_a, boxes_b):
    widths, heights, areas_a, areas_b = measure_pairs(boxes_a, boxes_b)
    shared = np.maximum(widths * heights, 0)
    return ratios(shared, areas_a + areas_b - shared)


@question.slip("Every side has an extra 1, as if coordinates numbered pixels: they are edges here.")
def pairwise_inclusive_pixels(boxes_a, boxes_b):
    one_pixel = np.array([0, 0, 1, 1])
    return pairwise_iou(boxes_a + one_pixel, boxes_b + one_pixel)


@question.slip("The sum of both areas has the shared part in it twice: take it off once.")
def pairwise_union_counts_twice(boxes_a, boxes_b):
    widths, heights, areas_a, areas_b = measure_pairs(boxes_a, boxes_b)
    return ratios(np.maximum(widths, 0) * np.maximum(heights, 0), areas_a + areas_b)


@question.slip(
    "The table holds Dice scores, twice the shared area over both areas: IoU divides by the union."
)
def pairwise_dice(boxes_a, boxes_b):
    return 2 * pairwise_union_counts_twice(boxes_a, boxes_b)


@question.slip(
    "Each row is divided by the area of its own box in boxes_a: divide each entry by that pair's union."
)
def pairwise_over_the_first_box(boxes_a, boxes_b):
    widths, heights, areas_a, _ = measure_pairs(boxes_a, boxes_b)
    shared = np.maximum(widths, 0) * np.maximum(heights, 0)
    return ratios(shared, np.broadcast_to(areas_a, shared.shape))


@question.slip("Each entry is divided by the pair's smaller box: divide by the union of the two.")
def pairwise_over_the_smaller_box(boxes_a, boxes_b):
    widths, heights, areas_a, areas_b = measure_pairs(boxes_a, boxes_b)
    return ratios(np.maximum(widths, 0) * np.maximum(heights, 0), np.minimum(areas_a, areas_b))


@question.slip("Where neither box of a pair has an area, 0 / 0 gave nan: such a pair scores 0.")
def pairwise_nan_without_area(boxes_a, boxes_b):
    _, _, areas_a, areas_b = measure_pairs(boxes_a, boxes_b)
    return np.where(areas_a + areas_b > 0, pairwise_iou(boxes_a, boxes_b), np.nan)


@question.slip(
    "Whole coordinates gave a table of whole numbers, every share cut down to 0: make it one of floats."
)
def pairwise_in_whole_numbers(boxes_a, boxes_b):
    return pairwise_iou(boxes_a, boxes_b).astype(np.result_type(boxes_a, boxes_b))


@question.slip("Rows collected in a list lose the columns when there is no row: make the (N, M) table first.")
def pairwise_loses_the_empty_axis(boxes_a, boxes_b):
    return np.array([pairwise_iou(box[None], boxes_b)[0] for box in boxes_a])


@question.test(points=1)
@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (6, 2), (4, 4), (1, 3)])
def test_every_pair(compare, rng, rows, columns):
    """compares every box of the first list, by row, with every box of the second, by column"""
    boxes_a, boxes_b = draw_corners(rng, rows), draw_corners(rng, columns)
    compare(boxes_a, boxes_b)
    compare(*(np.round(10 * boxes).astype(int) for boxes in (boxes_a, boxes_b)))


@question.test(points=0.5)
@pytest.mark.parametrize("draw", range(3))
def test_pairs_without_shared_area(compare, rng, draw):
    """gives 0 to pairs that are apart, that touch or that have no area"""
    relations = [("before", "after"), ("after", "during"), ("overlaps", "met by"), ("overlaps", "contains")]
    pairs = [draw_boxes(rng, *relation) for relation in relations]
    boxes_a = np.array([*(box_a for box_a, _ in pairs), LINE, POINT])
    boxes_b = np.array([OTHER_POINT, *(box_b for _, box_b in pairs), LINE])
    compare(boxes_a, boxes_b)


@question.test(points=0.5)
@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (0, 3), (4, 0), (0, 0)])
def test_no_boxes(compare, rng, rows, columns):
    """keeps the table's shape where a list has no boxes"""
    compare(draw_corners(rng, rows), draw_corners(rng, columns))


@question.test(points=1)
def test_many_boxes(compare, rng):
    """compares 2000 boxes with 2000 others in less than 2 seconds of processor time"""
    compare.within(cpu_seconds=2)(draw_corners(rng, 2000), draw_corners(rng, 2000))


# --- mask_iou ------------------------------------------------------------------------------------------

question = grader.question("mask_iou", points=1)


@question.reference
def mask_iou(mask_a, mask_b):
    return ratio(np.count_nonzero(mask_a & mask_b), np.count_nonzero(mask_a | mask_b))


@question.draws
def any_two_masks(rng):
    shape, share = rng.integers(1, 6, 2), rng.choice([0, 0.1, 0.5, 0.9, 1], 2)
    return rng.random(shape) < share[0], rng.random(shape) < share[1]


@question.slip("Two empty masks have no pixel in their union: answer 0.0 there, not nan.")
def masks_without_pixels_nan(mask_a, mask_b):
    return mask_iou(mask_a, mask_b) if (mask_a | mask_b).any() else math.nan


@question.slip(
    "Two empty masks agree, but by this course's convention they score 0.0, as boxes without area do."
)
def masks_without_pixels_agree(mask_a, mask_b):
    return mask_iou(mask_a, mask_b) if (mask_a | mask_b).any() else 1.0


@question.slip("This is pixel accuracy: pixels that are in neither mask must not count.")
def masks_agreement(mask_a, mask_b):
    return np.mean(mask_a == mask_b)


@question.slip(
    "The shared pixels are divided by the whole picture: divide them by the pixels in either mask."
)
def masks_over_the_picture(mask_a, mask_b):
    return np.mean(mask_a & mask_b)


@question.slip(
    "The masks' pixels added count the shared ones twice: the union is the pixels in one mask or the other."
)
def masks_union_counts_twice(mask_a, mask_b):
    return ratio(np.sum(mask_a & mask_b), np.sum(mask_a) + np.sum(mask_b))


@question.slip("This is the Dice score of the masks: divide the shared pixels by those of the union.")
def masks_dice(mask_a, mask_b):
    return 2 * masks_union_counts_twice(mask_a, mask_b)


@question.slip("Exclusive or leaves the shared pixels out of the union: use or.")
def masks_exclusive_or(mask_a, mask_b):
    return ratio(np.sum(mask_a & mask_b), np.sum(mask_a ^ mask_b))


@question.slip(
    "The shared pixels are divided by those of the first mask only: divide them by those of the union."
)
def masks_over_the_first(mask_a, mask_b):
    return ratio(np.sum(mask_a & mask_b), np.sum(mask_a))


@question.slip(
    "'and' stands where 'or' belongs: the union is the pixels that are in at least one of the masks."
)
def masks_and_for_or(mask_a, mask_b):
    return ratio(np.sum(mask_a & mask_b), np.sum(mask_a & mask_b))


@question.test
@pytest.mark.parametrize("shape", [(9, 13), (12, 7), (10, 11)])
def test_masks(compare, rng, shape):
    """divides the pixels that are in both masks by those that are in either"""
    mask_a, mask_b = rng.random(shape) < 0.3, rng.random(shape) < 0.5
    compare(mask_a, mask_b & ~mask_a)
    compare(mask_a, mask_b)
    one_pixel = np.zeros(shape, dtype=bool)
    one_pixel.flat[rng.integers(one_pixel.size)] = True
    compare(one_pixel, one_pixel)


@question.test
@pytest.mark.parametrize(("share_a", "share_b"), [(0, 0), (0, 0.5), (0.5, 0), (0.4, 0.6)])
def test_empty_masks(compare, rng, share_a, share_b):
    """gives 0 where one mask is empty, or both are, and only there"""
    compare(rng.random((8, 11)) < share_a, rng.random((8, 11)) < share_b)


# --- mean_iou ------------------------------------------------------------------------------------------

question = grader.question("mean_iou", points=2)


def class_counts(y_true, y_pred, n_classes):
    """Return for each class how many pixels are rightly predicted, true, and predicted: (n_classes,) each."""
    pairs = np.ravel(y_true).astype(int) * n_classes + np.ravel(y_pred)
    confusion = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    return np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)


def mean_of(ratio_of_class, present):
    """Return the mean over the classes that are present, 0.0 where none is."""
    return ratio(np.sum(ratio_of_class[present]), np.sum(present))


@question.reference
def mean_iou(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    union = true + predicted - right
    return mean_of(ratios(right, union), union > 0)


@question.draws
def any_label_maps(rng):
    n_classes = int(rng.integers(1, 7))
    shape = tuple(rng.integers(0, 6, rng.integers(1, 4)))
    seen = rng.choice(n_classes, rng.integers(1, n_classes + 1), replace=False)
    also_seen = rng.choice(n_classes, rng.integers(1, n_classes + 1), replace=False)
    return (
        rng.choice(seen, shape),
        rng.choice(rng.choice([seen[0], also_seen[0]], 1) if rng.random() < 0.2 else also_seen, shape),
        n_classes,
    )


@question.slip("A class that is in neither picture was counted as 0: leave it out of the mean.")
def mean_absent_as_zero(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return np.mean(ratios(right, true + predicted - right))


@question.slip(
    "A class that is in neither picture was counted as 1, a perfect match: leave it out of the mean."
)
def mean_absent_as_one(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    union = true + predicted - right
    return np.mean(np.where(union > 0, ratios(right, union), 1.0))


@question.slip(
    "A class that is in neither picture made 0 / 0, and one nan makes the mean nan: leave such classes out."
)
def mean_absent_as_nan(y_true, y_pred, n_classes):
    _, true, predicted = class_counts(y_true, y_pred, n_classes)
    return mean_iou(y_true, y_pred, n_classes) if np.all(true + predicted) else math.nan


@question.slip(
    "Only true classes were averaged: a class that is predicted but nowhere true scores 0, and counts."
)
def mean_over_true_classes(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return mean_of(ratios(right, true + predicted - right), true > 0)


@question.slip(
    "Only predicted classes were averaged: a class that was missed altogether scores 0, and counts."
)
def mean_over_predicted_classes(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return mean_of(ratios(right, true + predicted - right), predicted > 0)


@question.slip(
    "This is pixel accuracy, where large classes decide: work out each class's IoU, then take the mean."
)
def mean_as_pixel_accuracy(y_true, y_pred, n_classes):
    right, true, _ = class_counts(y_true, y_pred, n_classes)
    return ratio(np.sum(right), np.sum(true))


@question.slip(
    "Class 0 was counted where it is in neither picture: it is a class like the others, and left out."
)
def mean_with_background_always(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    union = true + predicted - right
    return mean_of(ratios(right, union), (union > 0) | (np.arange(n_classes) == 0))


@question.slip("Labels of a byte each run over 255 when they are multiplied: turn them into `int` first.")
def mean_in_bytes(y_true, y_pred, n_classes):
    pairs = (np.ravel(y_true) * n_classes + np.ravel(y_pred)).astype(int)
    return mean_iou(pairs // n_classes, pairs % n_classes, n_classes)


@question.slip("A class that is in both pictures, but never in the same place, scores 0, and counts.")
def mean_over_hit_classes(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    one_sided = (true == 0) | (predicted == 0)
    return mean_of(
        ratios(right, true + predicted - right), (right > 0) | (one_sided & (true + predicted > 0))
    )


@question.slip("Class 0 was left out: the background is a class like the others here.")
def mean_without_background(y_true, y_pred, n_classes):
    right, true, predicted = (counts[1:] for counts in class_counts(y_true, y_pred, n_classes))
    union = true + predicted - right
    return mean_of(ratios(right, union), union > 0)


@question.slip("This is the mean recall: pixels wrongly given to a class belong to its union as well.")
def mean_recall(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return mean_of(ratios(right, true), true + predicted > 0)


@question.slip("This is the mean precision: pixels of a class that were missed belong to its union as well.")
def mean_precision(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return mean_of(ratios(right, predicted), true + predicted > 0)


@question.slip("This is the mean Dice score: divide each class's shared pixels by its union.")
def mean_dice(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return mean_of(ratios(2 * right, true + predicted), true + predicted > 0)


@question.slip(
    "Intersections and unions were summed over the classes first: divide class by class, then average."
)
def mean_of_pooled_counts(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return ratio(np.sum(right), np.sum(true + predicted - right))


@question.slip("Classes were weighted by how many pixels they have: each present class weighs the same.")
def mean_weighted_by_pixels(y_true, y_pred, n_classes):
    right, true, predicted = class_counts(y_true, y_pred, n_classes)
    return ratio(np.sum(true * ratios(right, true + predicted - right)), np.sum(true))


def draw_labels(rng, shape, classes):
    """Draw true and predicted labels, alike for the most part; each of `classes` is in both, 0 most often."""
    classes = np.array(classes, dtype=int)
    y_true = rng.permutation(np.resize(classes, math.prod(shape))) * (rng.random(math.prod(shape)) < 0.7)
    y_pred = np.where(rng.random(y_true.size) < 0.6, y_true, rng.choice(classes, y_true.size))
    y_true[: len(classes)] = y_pred[: len(classes)] = classes
    return y_true.reshape(shape), y_pred.reshape(shape)


@question.test(points=1)
@pytest.mark.parametrize(("shape", "n_classes"), [((9, 14), 3), ((2, 8, 7), 4), ((90,), 5)])
def test_mean_over_classes(compare, rng, shape, n_classes):
    """averages the IoU of the classes, background included, each with the same weight"""
    y_true, y_pred = draw_labels(rng, shape, range(n_classes))
    compare(y_true, y_pred, n_classes)
    y_true, y_pred = y_true.copy(), y_pred.copy()
    pixel = rng.integers(y_true.size)
    y_true.flat[pixel] = y_pred.flat[pixel] = n_classes  # a class of one pixel is a class
    compare(y_true, y_pred, n_classes + 1)
    y_true, y_pred = draw_labels(rng, (25, 16), range(21))
    compare(y_true.astype(np.uint8), y_pred.astype(np.uint8), 21)


@question.test(points=0.5)
@pytest.mark.parametrize(("classes", "n_classes"), [((0, 1, 2), 5), ((0, 2, 3), 4), ((0, 3), 6), ((), 3)])
def test_absent_classes(compare, rng, classes, n_classes):
    """leaves out classes that are nowhere in either picture; without pixels the mean is 0"""
    y_true, y_pred = draw_labels(rng, (7, 12) if classes else (0,), classes)
    compare(y_true, y_pred, n_classes)
    compare(y_true + 1, y_pred + 1, n_classes + 1)


@question.test(points=0.5)
@pytest.mark.parametrize(("true", "predicted"), [(3, None), (None, 4), (3, 4), (3, 3)])
def test_classes_that_are_never_hit(compare, rng, true, predicted):
    """counts a class that is only true, or only predicted, or never both at once, with an IoU of 0"""
    y_true, y_pred = draw_labels(rng, (8, 11), range(3))
    if true:
        y_true[2:4, 5:8] = true
    if predicted:
        y_pred[5:7, 1:5] = predicted
    compare(y_true, y_pred, 5)


# --- generalized_iou -----------------------------------------------------------------------------------

question = grader.question("generalized_iou", points=2)


def measure_hull(box_a, box_b):
    """Return the shared area of two boxes, the area of their union and that of their hull."""
    width, height, area_a, area_b = measure(box_a, box_b)
    shared = max(width, 0) * max(height, 0)
    hull_width = max(box_a[2], box_b[2]) - min(box_a[0], box_b[0])
    hull_height = max(box_a[3], box_b[3]) - min(box_a[1], box_b[1])
    return shared, area_a + area_b - shared, hull_width * hull_height


@question.reference
def generalized_iou(box_a, box_b):
    shared, union, hull = measure_hull(box_a, box_b)
    return shared / union + union / hull - 1


@question.draws
def any_two_boxes_with_areas(rng):
    boxes = rng.integers(-4, 6, (2, 2)).astype(float), rng.integers(1, 7, (2, 2)).astype(float)
    corners, sides = (part + rng.choice([0, 1]) * rng.uniform(0, 0.9, (2, 2)) for part in boxes)
    return tuple(tuple(box.tolist()) for box in np.concatenate([corners, corners + sides], axis=1))


@question.slip("This is plain IoU: take off the share of the hull that the union leaves empty.")
def generalized_without_hull(box_a, box_b):
    return iou(box_a, box_b)


@question.slip("This is the loss, 1 - GIoU: return the score, which is 1 for identical boxes.")
def generalized_loss(box_a, box_b):
    return 1 - generalized_iou(box_a, box_b)


@question.slip("The empty part of the hull is divided by the union: it is a share of the hull.")
def generalized_over_the_union(box_a, box_b):
    shared, union, hull = measure_hull(box_a, box_b)
    return shared / union - (hull - union) / union


@question.slip(
    "The empty part is the hull without the union: here only the shared area was taken from the hull."
)
def generalized_hull_without_shared(box_a, box_b):
    shared, union, hull = measure_hull(box_a, box_b)
    return shared / union - (hull - shared) / hull


@question.slip(
    "The hull took the place of the union: GIoU starts from plain IoU, and then takes something off."
)
def generalized_hull_for_union(box_a, box_b):
    shared, _, hull = measure_hull(box_a, box_b)
    return shared / hull


@question.slip("The empty part of the hull was added: it is a penalty, so take it off.")
def generalized_added(box_a, box_b):
    shared, union, hull = measure_hull(box_a, box_b)
    return shared / union + (hull - union) / hull


@question.slip("The filled share of the hull was taken off: the penalty is the share that stays empty.")
def generalized_takes_off_the_filled(box_a, box_b):
    shared, union, hull = measure_hull(box_a, box_b)
    return shared / union - union / hull


@question.slip("The score stops at 0: below 0 is where it tells near boxes from far ones.")
def generalized_stops_at_zero(box_a, box_b):
    return max(generalized_iou(box_a, box_b), 0.0)


@question.slip(
    "Boxes that are apart share nothing: limit the shared width and height to at least 0 here too."
)
def generalized_negative_sides(box_a, box_b):
    width, height, area_a, area_b = measure(box_a, box_b)
    _, _, hull = measure_hull(box_a, box_b)
    shared = width * height
    union = area_a + area_b - shared
    return shared / union + union / hull - 1


@question.slip(
    "The two areas added are not the union: take the shared area off once, for IoU and for the empty part."
)
def generalized_union_counts_twice(box_a, box_b):
    shared, union, hull = measure_hull(box_a, box_b)
    return shared / (union + shared) - (hull - union - shared) / hull


@question.test(points=1)
@pytest.mark.parametrize(
    ("in_x", "in_y"), [("overlaps", "overlaps"), ("overlapped by", "contains"), ("overlaps", "overlapped by")]
)
def test_generalized_of_overlapping_boxes(compare, rng, in_x, in_y):
    """takes the empty share of the hull off the IoU"""
    compare(*draw_boxes(rng, in_x, in_y))


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("in_x", "in_y"), [("before", "after"), ("after", "during"), ("overlaps", "before"), ("met by", "before")]
)
def test_generalized_of_boxes_apart(compare, rng, in_x, in_y):
    """goes below 0 for boxes that are apart, the further the lower"""
    compare(*draw_boxes(rng, in_x, in_y))


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("in_x", "in_y"),
    [("overlaps", "during"), ("during", "during"), ("equals", "equals"), ("meets", "equals")],
)
def test_generalized_where_the_hull_is_full(compare, rng, in_x, in_y):
    """is plain IoU where the boxes fill their hull, and only there"""
    compare(*draw_boxes(rng, in_x, in_y))


# --- box_with_iou --------------------------------------------------------------------------------------

question = grader.question("box_with_iou", points=1)


@question.reference
def box_with_iou(box, target):
    x_min, y_min, x_max, y_max = box
    return x_min, y_min, x_max, y_min + target * (y_max - y_min)


@question.draws(right=lambda answer, box, target: len(answer) == 4 and abs(iou(box, answer) - target) < 1e-6)
def any_box_and_target(rng):
    corners, sides = rng.uniform(-20, 20, 2), rng.uniform(0.5, 20, 2)
    if rng.random() < 0.3:
        corners, sides = corners.astype(int), np.ceil(sides).astype(int)
    return (*corners.tolist(), *(corners + sides).tolist()), float(rng.choice([1.0, rng.uniform(0.01, 1)]))


@question.slip("Both sides were scaled by the target, so the area shrank by its square: scale one side only.")
def scales_both_sides(box, target):
    x_min, y_min, x_max, y_max = box
    return x_min, y_min, x_min + target * (x_max - x_min), y_min + target * (y_max - y_min)


@question.slip(
    "Shrunk about its center in both directions, the box keeps only target² of its area: shrink one side."
)
def scales_both_sides_about_the_center(box, target):
    x_min, y_min, x_max, y_max = box
    dx, dy = (1 - target) * (x_max - x_min) / 2, (1 - target) * (y_max - y_min) / 2
    return x_min + dx, y_min + dy, x_max - dx, y_max - dy


@question.slip(
    "A shifted box loses area on one side and adds as much to the union on the other: shift it less."
)
def shifts_by_the_rest(box, target):
    x_min, y_min, x_max, y_max = box
    shift = (1 - target) * (x_max - x_min)
    return x_min + shift, y_min, x_max + shift, y_max


@question.slip(
    "The box grew by what the target lacks of 1: the old area must be the target's share of the new one."
)
def grows_by_the_rest(box, target):
    x_min, y_min, x_max, y_max = box
    return x_min, y_min, x_max + (1 - target) * (x_max - x_min), y_max


@question.slip(
    "A coordinate was scaled, not a side: measure from the box's own edge, since boxes rarely begin at 0."
)
def scales_the_coordinate(box, target):
    x_min, y_min, x_max, y_max = box
    return x_min, y_min, target * x_max, y_max


@question.slip("The target's share was cut away, and the rest kept: keep the target's share.")
def cuts_the_target_off(box, target):
    return box_with_iou(box, 1 - target)


@question.slip("An array made of whole numbers drops every fraction: make it float before you scale a side.")
def scales_in_an_integer_array(box, target):
    scaled = np.array(box)
    scaled[2] = scaled[0] + target * (scaled[2] - scaled[0])
    return scaled


def as_box(answer):
    """Return a student's box as four floats; fails the check where it is no such thing."""
    if (
        answers.difference(answer, np.zeros(4), tolerance=math.inf)
        or np.iscomplexobj(answer)
        or not np.isfinite(answer).all()
    ):
        grader.fail("the answer is not a box of four finite numbers")
    x_min, y_min, x_max, y_max = np.asarray(answer, dtype=float).tolist()
    if x_max < x_min or y_max < y_min:
        grader.fail("the answer is not a box: a maximum is below its minimum")
    return x_min, y_min, x_max, y_max


@question.test
@pytest.mark.parametrize("target", [0.06, 0.41, 0.77, 1.0])
def test_box_meets_the_target(submission, rng, target):
    """returns a box whose IoU with the given one is the target"""
    anywhere, _ = draw_boxes(rng, "overlaps", "during")
    across_the_origin = tuple(draw_corners(rng, 1)[0].tolist())
    for box in (anywhere, across_the_origin, (-3, 2, 4, 9)):
        answer = as_box(submission.box_with_iou(box, target))
        if not answers.agree(iou(answer, box), target):
            grader.fail("the IoU of the answer and the given box is not the target")
