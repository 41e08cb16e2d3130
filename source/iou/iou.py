# %% [markdown]
# # Intersection over union
#
# A detector draws a box around a digit, a segmenter paints its pixels. How good is the box, and how good is
# the paint? Nearly every answer in the field is built on one number between 0 and 1, the **intersection over
# union** (IoU, also called the Jaccard index). You will write it for boxes, for tables of boxes, for masks
# and for whole label maps, and then meet the variant that detectors are trained with. Non-maximum suppression
# and mean average precision stand on it too.
#
# **How this notebook works.** Write each function, then run the cell below it. Those visible tests are
# friendly and incomplete: passing them does not guarantee full marks. The hidden tests ask the same of your
# function with other boxes, other sizes, and the corner cases that the text names.
#
# **Conventions**
# - A box is `(x_min, y_min, x_max, y_max)`; x runs to the right and y runs *down*, as in every picture.
# - Where a name says *center*, a box is `(x_center, y_center, width, height)`.
# - Coordinates are edges, not numbers of pixels: a box from `x_min = 2` to `x_max = 5` is 3 wide. They may be
#   fractions, and they may be negative.
# - A list of boxes is an array of shape (N, 4); N may be 0. Nested lists are as good as an array where an
#   answer is described as one.

# %% provided="pictures" tags=["picture"]
import matplotlib.pyplot as plt

# %% provided="setup"
import numpy as np

# %% provided="picture-boxes" tags=["picture"]
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#8fd3bb", "#999999"


def draw_box(axes, box, color, label="", shade=0.0, **style):
    """Add a box to a picture, shaded from 0 (clear) to 1 (opaque), its label at the top right corner."""
    left, top, right, bottom = box
    style = {"edgecolor": color, "facecolor": (color, shade), "linewidth": 2} | style
    axes.add_patch(plt.Rectangle((left, top), right - left, bottom - top, **style))
    axes.text(right - 0.12, top + 0.12, label, color=color, ha="right", va="top", weight="bold")


def prepare_axes(axes, width, height, title):
    """Make room for boxes inside (0, 0, width, height), with y running down."""
    axes.set(xlim=(-0.3, width + 0.3), ylim=(height + 0.3, -0.3), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


# %% [markdown]
# ## Question 1: from the center to the corners  (1 point)
#
# Networks like to predict a box as a center and a size, because the four numbers then mean much the same for
# every object. Overlap is easier to work out from corners. So boxes are converted all the time, a whole array
# at once.
#
# Write `center_to_corners`. A box of width 4 around $x = 10$ reaches from 8 to 12; find out what holds for
# any box. Whole numbers may come in, but corners may fall on halves: a width of 5 around 10 ends at 12.5.

# %% [markdown] hint="center_to_corners"
# `boxes[:, :2]` are all centers at once and `boxes[:, 2:]` all sizes, so both axes can be handled in one
# line. `np.concatenate(..., axis=1)` puts two (N, 2) arrays side by side.


# %% solution="center_to_corners"
def center_to_corners(boxes):
    """Convert boxes from centers and sizes to corners.

    Args:
        boxes: array of shape (N, 4), whole numbers or floats; each row is
            (x_center, y_center, width, height).

    Returns:
        Array of shape (N, 4), each row (x_min, y_min, x_max, y_max).

    >>> center_to_corners(np.array([[10, 6, 4, 2]]))
    array([[ 8.,  5., 12.,  7.]])
    """
    ### BEGIN SOLUTION
    # (N, 2) each
    centers, sizes = np.hsplit(np.asarray(boxes, dtype=float), 2)
    # (N, 4)
    return np.hstack([centers - sizes / 2, centers + sizes / 2])
    ### END SOLUTION


# %% test="center_to_corners"
corners = np.asarray(center_to_corners(np.array([[10.0, 6.0, 4.0, 2.0], [0.0, 1.0, 3.0, 8.0]])))
assert corners.shape == (2, 4), "two boxes come in, so two boxes must come out, four numbers each"
assert np.allclose(corners[0], [8, 5, 12, 7]), "the first box should be the one of the docstring"
assert np.isclose(corners[1, 2] - corners[1, 0], 3), "the second box should stay 3 wide"
print("The corners are where they belong.")

# %% [markdown] explain="center_to_corners"
# Each side lies half the size away from the center, in both directions. Splitting the array into centers and
# sizes treats x and y in one go, and leaves no index to get wrong. The commonest mistakes: a whole width
# instead of half of it, `//` (or an integer array to write into), which cuts off half pixels, and the corners
# in the order x, x, y, y.

# %% [markdown]
# ## Question 2: and back again  (1 point)
#
# Write `corners_to_center`, the way back. Converting there and back must return the boxes you began with.

# %% [markdown] hint="corners_to_center"
# Where is the middle of an interval whose two ends you know? Try it on one that begins at 8 and ends at 12,
# and be careful not to give its length.


# %% solution="corners_to_center"
def corners_to_center(boxes):
    """Convert boxes from corners to centers and sizes.

    Args:
        boxes: array of shape (N, 4), whole numbers or floats; each row is (x_min, y_min, x_max, y_max).

    Returns:
        Array of shape (N, 4), each row (x_center, y_center, width, height).

    >>> corners_to_center(np.array([[8, 5, 12, 7]]))
    array([[10.,  6.,  4.,  2.]])
    """
    ### BEGIN SOLUTION
    # (N, 2) each
    minima, maxima = np.hsplit(np.asarray(boxes, dtype=float), 2)
    # (N, 4)
    return np.hstack([(minima + maxima) / 2, maxima - minima])
    ### END SOLUTION


# %% test="corners_to_center"
boxes = np.array([[8.0, 5.0, 12.0, 7.0], [-1.0, 0.0, 3.0, 9.0]])
centers = np.asarray(corners_to_center(boxes))
assert np.allclose(centers[0], [10, 6, 4, 2]), "the first box should be the one of the docstring"
assert centers[1, 3] == 9, "the last number is the height, and the second box is 9 high"
assert np.allclose(center_to_corners(centers), boxes), "there and back again should change nothing"
print("There and back again.")

# %% [markdown] explain="corners_to_center"
# The center is the mean of the two corners, the size their difference. It is easy to forget one of the two
# steps: the sum without the half, or half the size without the corner that it starts from.

# %% [markdown]
# ## Question 3: intersection over union of two boxes  (2 points)
#
# How well does box $B$ match box $A$? The area that they share is a start, but a box as large as the picture
# shares all of $A$ and is a poor match. So the shared area is compared with everything that at least one of
# them covers:
#
# $$\text{IoU}(A, B) = \frac{|A \cap B|}{|A \cup B|}$$

# %% provided="picture-iou" tags=["picture"]
figure, panels = plt.subplots(1, 3, figsize=(10, 2.4))
box_a, box_b, shared = (0, 0, 5, 3.2), (3, 1.2, 7, 4), (3, 1.2, 5, 3.2)
for axes, title in zip(panels, ["two boxes", "intersection", "union"], strict=True):
    prepare_axes(axes, 7, 4, title)
    for box in {"two boxes": [], "intersection": [shared], "union": [box_a, box_b]}[title]:
        draw_box(axes, box, "none", facecolor=GREEN)
    draw_box(axes, box_a, BLUE, "A")
    draw_box(axes, box_b, ORANGE, "B")
arrow = {"arrowstyle": "->", "color": GREY}
panels[0].annotate("(x_min, y_min)", (0, 0), (0.5, 1.6), fontsize=8, arrowprops=arrow)
panels[0].annotate("(x_max, y_max)", (7, 4), (3.3, 3.7), fontsize=8, arrowprops=arrow)
figure.tight_layout()
plt.show()

# %% [markdown]
# Write `iou`. It must hold for every pair of boxes:
# - identical boxes score 1.0;
# - boxes that are apart score 0.0, and so do boxes that only touch: a line has no area;
# - where neither box has an area there is no union to divide by: such a pair scores 0.0, even two identical
#   ones;
# - a box whose maximum lies below its minimum is no box at all: raise `ValueError`, and let its message say
#   so, for whoever reads it. (A maximum *equal* to the minimum is fine: a flat box.)
#
# Here are some pairs with their scores. Cover the captions and guess first.

# %% provided="EXAMPLE_PAIRS"
EXAMPLE_PAIRS = {
    "identical": ((0, 0, 5, 4), (0, 0, 5, 4), "1"),
    "half a box to the side": ((0, 0, 4, 4), (2, 0, 6, 4), "1/3"),
    "diagonal": ((0, 0, 4, 3), (2, 1, 6, 4), "1/5"),
    "one inside the other": ((0, 0, 6, 4), (2, 1, 5, 3), "1/4"),
    "crossing": ((0, 1, 6, 2), (2, 0, 3, 4), "1/9"),
    "side by side": ((0, 1, 3, 4), (3, 0, 6, 3), "0"),
    "corner to corner": ((0, 0, 3, 2), (3, 2, 6, 4), "0"),
    "apart": ((0, 0, 2, 2), (4, 3, 6, 4), "0"),
}
"""Name → box, other box, and their IoU as a fraction."""

# %% provided="picture-pairs" tags=["picture"]
figure, panels = plt.subplots(2, 4, figsize=(10, 4.4))
for axes, (name, (box_a, box_b, fraction)) in zip(panels.flat, EXAMPLE_PAIRS.items(), strict=True):
    prepare_axes(axes, 6, 4, name)
    draw_box(axes, box_a, BLUE, shade=0.3)
    draw_box(axes, box_b, ORANGE, shade=0.4, linestyle="--")
    axes.set_xlabel(f"IoU = {fraction}")
figure.tight_layout()
plt.show()

# %% [markdown] hint="iou"
# The shared part is itself a box. Take the x axis alone first: where does the stretch that both boxes cover
# begin, and where does it end? What comes out when there is no such stretch? For the union, think of laying
# both boxes on a table: which part lies there twice?


# %% solution="iou"
def iou(box_a, box_b):
    """Return the intersection over union of two boxes.

    Args:
        box_a, box_b: four numbers each, (x_min, y_min, x_max, y_max).

    Returns:
        A float from 0.0 to 1.0; 0.0 where neither box has an area.

    Raises:
        ValueError: a box's maximum is below its minimum, in x or in y.

    >>> iou((0, 0, 6, 4), (3, 1, 6, 3))
    0.25
    """
    ### BEGIN SOLUTION
    for box in (box_a, box_b):
        x_min, y_min, x_max, y_max = box
        if x_max < x_min or y_max < y_min:
            raise ValueError(f"{box} is not a box: a maximum is below its minimum")
    ax_min, ay_min, ax_max, ay_max = box_a
    bx_min, by_min, bx_max, by_max = box_b
    # Where the boxes are apart on an axis, the difference is negative: they share nothing there.
    width = max(min(ax_max, bx_max) - max(ax_min, bx_min), 0.0)
    height = max(min(ay_max, by_max) - max(ay_min, by_min), 0.0)
    intersection = width * height
    union = (ax_max - ax_min) * (ay_max - ay_min) + (bx_max - bx_min) * (by_max - by_min) - intersection
    return intersection / union if union > 0 else 0.0
    ### END SOLUTION


# %% test="iou"
for name, (box_a, box_b, fraction) in EXAMPLE_PAIRS.items():
    numerator, _, denominator = fraction.partition("/")
    expected = int(numerator) / int(denominator or 1)
    assert np.isclose(iou(box_a, box_b), expected), f"the pair '{name}' in the picture has IoU {fraction}"
    assert np.isclose(iou(box_b, box_a), expected), f"the order of the boxes should not matter: '{name}'"
print("All pairs of the picture, both ways round.")

# %% [markdown] explain="iou"
# On each axis the shared stretch runs from the larger minimum to the smaller maximum. If that is negative the
# boxes are apart, and it must become 0 *before* width and height are multiplied: two negative sides would
# make a positive area. The two areas added hold the intersection twice, so the union takes it off once. Other
# mistakes that are seen often: dividing by one box's area (then a box as large as the picture matches
# everything), the Dice score $2|A \cap B| / (|A| + |B|)$, and adding 1 to every side, a convention of old
# datasets whose coordinates numbered pixels.

# %% [markdown]
# **A trap in the lecture notes.** They recommend `tf.keras.metrics.MeanIoU` for judging predicted boxes. That
# class counts *labels*: it takes a class number a pixel and belongs to segmentation (question 6). Given
# coordinates, it would read 37.0 as "class 37". For boxes you need the function you have just written.

# %% [markdown]
# ## Question 4: every box against every other  (3 points)
#
# A detector proposes thousands of boxes, and each has to be compared with each true box, or with all the
# other proposals. Write `pairwise_iou`: a table with a row for each of the first boxes and a column for each
# of the second. `table[i, j]` is what `iou(boxes_a[i], boxes_b[j])` would say.
#
# For 2 000 boxes against 2 000, two loops in Python make four million rounds and take many seconds. The
# hidden test allows two seconds of processor time; numpy needs a small part of that. The idea is
# **broadcasting**: an axis of length 1 stretches to meet the other array.
#
# | array | shape |
# |---|---|
# | `heights[:, None]` | (N, 1) |
# | `widths[None, :]` | (1, M) |
# | `heights[:, None] * widths[None, :]` | (N, M): every height with every width |
#
# All boxes are valid here, so there is nothing to refuse. They may be flat, though, and either list may be
# empty: no boxes against three make a table of shape (0, 3). Return a numpy array: four
# million numbers in nested lists take long to make.

# %% [markdown] hint="pairwise_iou"
# Your `iou` hardly changes: `max` and `min` of two numbers become `np.maximum` and `np.minimum` of a column
# of numbers and a row. What stands in for "if the union is not 0"? `np.divide` has a `where`, and `np.where`
# helps too.


# %% solution="pairwise_iou"
def pairwise_iou(boxes_a, boxes_b):
    """Return the intersection over union of every box of one list with every box of another.

    Args:
        boxes_a: array of shape (N, 4), each row (x_min, y_min, x_max, y_max); N may be 0.
        boxes_b: array of shape (M, 4); M may be 0.

    Returns:
        Array of shape (N, M), 0.0 where neither box of a pair has an area.

    >>> pairwise_iou(np.array([[0, 0, 6, 4]]), np.array([[3, 1, 6, 3], [0, 0, 6, 4], [7, 0, 9, 4]]))
    array([[0.25, 1.  , 0.  ]])
    """
    ### BEGIN SOLUTION
    # (N, 1) each, and (M,) each
    ax_min, ay_min, ax_max, ay_max = np.hsplit(np.asarray(boxes_a, dtype=float), 4)
    bx_min, by_min, bx_max, by_max = np.asarray(boxes_b, dtype=float).T
    # (N, 1) against (M,) → (N, M)
    widths = np.maximum(np.minimum(ax_max, bx_max) - np.maximum(ax_min, bx_min), 0)
    heights = np.maximum(np.minimum(ay_max, by_max) - np.maximum(ay_min, by_min), 0)
    intersections = widths * heights
    unions = (ax_max - ax_min) * (ay_max - ay_min) + (bx_max - bx_min) * (by_max - by_min) - intersections
    return np.divide(intersections, unions, out=np.zeros_like(unions), where=unions > 0)
    ### END SOLUTION


# %% test="pairwise_iou"
boxes_a = np.array([[0, 0, 6, 4], [3, 1, 6, 3]])
boxes_b = np.array([[3, 1, 6, 3], [0, 0, 6, 4], [7, 0, 9, 4]])
table = np.asarray(pairwise_iou(boxes_a, boxes_b))
assert table.shape == (2, 3), "two boxes against three make two rows and three columns"
assert np.allclose(table[:, :2], [[0.25, 1], [1, 0.25]]), "each entry should be the IoU of its own pair"
assert np.allclose(table[:, 2], 0), "the last box is apart from both others"
print("Every box has met every other.")

# %% [markdown] explain="pairwise_iou"
# The same steps as for two boxes, with (N, 1) columns against (M,) rows. Keeping the four coordinates apart
# makes arrays of (N, M) and never of (N, M, 2), and that is what is fast. `np.divide` with `where` leaves the
# 0 of `out` where the union is empty. A shape like (0, 3) comes out by itself, while rows collected in a list
# forget their columns when there are no rows. One loop over the rows, with numpy inside, is quick enough as
# well.

# %% [markdown]
# ## Question 5: masks  (1 point)
#
# The definition never asked for boxes. A segmenter answers with a **mask**, an array of truth values that is
# True on the object's pixels, and its areas are numbers of pixels.
#
# Write `mask_iou` for two masks of the same shape. By the same convention as before, two empty masks score
# 0.0.
#
# Note what does *not* enter: pixels that are in neither mask. A small object on a large empty picture would
# otherwise score nearly 1, whatever you predict.

# %% [markdown] hint="mask_iou"
# Boolean arrays have operators for "both" and for "at least one", and `sum` counts the pixels that are True.


# %% solution="mask_iou"
def mask_iou(mask_a, mask_b):
    """Return the intersection over union of two masks.

    Args:
        mask_a, mask_b: boolean arrays of the same shape, (H, W).

    Returns:
        A float from 0.0 to 1.0; 0.0 where both masks are empty.

    >>> mask_iou(np.array([[True, True, False]]), np.array([[False, True, False]]))
    0.5
    """
    ### BEGIN SOLUTION
    union = np.logical_or(mask_a, mask_b).sum()
    return float(np.logical_and(mask_a, mask_b).sum() / union) if union else 0.0
    ### END SOLUTION


# %% test="mask_iou"
mask = np.zeros((5, 8), dtype=bool)
mask[1:3, 2:6] = True
top_row_only = mask.copy()
top_row_only[2] = False
assert mask_iou(mask, mask) == 1, "a mask compared with itself has IoU 1"
assert np.isclose(mask_iou(mask, top_row_only), 0.5), "half of the mask was found, and nothing besides"
assert mask_iou(mask, ~mask) == 0, "a mask and its opposite share no pixel"
print("Masks work too.")

# %% [markdown] explain="mask_iou"
# `logical_and` is the intersection, `logical_or` the union, and counting is summing. Adding the two masks'
# pixels instead of taking "or" counts the shared ones twice; comparing with `==` counts the background as a
# success.

# %% [markdown]
# ## Question 6: mean IoU over classes  (2 points)
#
# Semantic segmentation gives every pixel a class. The pixels of one class form a mask, in the truth and in
# the prediction, and those two masks have an IoU. The **mean IoU** averages it over the classes, each with
# the same weight, however small. Class 0, often the background, is a class like any other.

# %% provided="EXAMPLE_LABELS"
EXAMPLE_LABELS = {
    "true": np.array(
        [[0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 3, 0], [0, 0, 0, 0, 0, 3, 0], [0] * 7]
    ),
    "predicted": np.array(
        [[0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 3, 0], [0] * 7]
    ),
}
"""Two label maps of four classes, (5, 7) each; no pixel has class 2."""

# %% provided="picture-labels" tags=["picture"]
figure, panels = plt.subplots(1, 2, figsize=(8, 3))
# Red, green and blue of the classes 0 to 3
palette = np.array([[238, 238, 238], [0, 114, 178], [0, 158, 115], [230, 159, 0]], dtype=np.uint8)
for axes, (title, labels) in zip(panels, EXAMPLE_LABELS.items(), strict=True):
    axes.imshow(palette[labels])
    axes.set(title=title, xticks=np.arange(0.5, 6), yticks=np.arange(0.5, 4), xticklabels=[], yticklabels=[])
    axes.grid(color="white", linewidth=2)
    axes.tick_params(length=0)
    for (row, column), label in np.ndenumerate(labels):
        axes.text(column, row, label, ha="center", va="center", color="white" if label else GREY)
figure.tight_layout()
plt.show()

# %% [markdown]
# In this picture nine pixels in ten are right, and yet class 1 has been painted half again too large, and
# half of class 3 was missed. Check by hand that class 0 has an IoU of $27/30$, class 1 of $4/6$ and class 3
# of $1/2$.
#
# And class 2? It is nowhere, neither in the truth nor in the prediction: there is nothing to judge, so it is
# **left out** of the mean, which is over three classes here. A class that is in *one* of the two maps does
# count: it was missed, or imagined, and its IoU is 0.
#
# Write `mean_iou`, which gives what `keras.metrics.MeanIoU` gives. The label maps may have any shape, the
# same for both. Where there are no pixels at all, the mean is 0.0.

# %% [markdown] hint="mean_iou"
# `y_true == 3` is the mask of class 3, so one question of this notebook already does most of the work. Before
# you use its answer, ask whether the class is there at all.


# %% solution="mean_iou"
def mean_iou(y_true, y_pred, n_classes):
    """Return the IoU of the classes, averaged over those that are in either label map.

    Args:
        y_true, y_pred: integer arrays of the same shape, a class number from 0 to n_classes - 1 a pixel.
        n_classes: how many classes there are.

    Returns:
        A float from 0.0 to 1.0, the same as keras.metrics.MeanIoU; 0.0 where there are no pixels.

    >>> mean_iou(np.array([0, 0, 1]), np.array([0, 1, 1]), n_classes=2)
    0.5
    """
    ### BEGIN SOLUTION
    scores = []
    for label in range(n_classes):
        # (H, W) masks of one class
        true, predicted = np.equal(y_true, label), np.equal(y_pred, label)
        if true.any() or predicted.any():
            scores.append(mask_iou(true, predicted))
    return float(np.mean(scores)) if scores else 0.0
    ### END SOLUTION


# %% test="mean_iou"
y_true, y_pred = EXAMPLE_LABELS["true"], EXAMPLE_LABELS["predicted"]
assert np.isclose(mean_iou(y_true, y_true, 4), 1), "a perfect prediction has a mean IoU of 1"
assert np.isclose(mean_iou(y_true, y_pred, 4), 0.68889, atol=1e-5), (
    "look again at the picture, class by class"
)
print("Every class has had its say.")

# %% [markdown] explain="mean_iou"
# One mask a class, one IoU a mask, and the mean over the classes that occur. Counting an absent class as 0
# (or as 1) makes the score depend on how many classes the *list* has rather than on the picture. Taking the
# classes from `y_true` only forgives imagined ones. Pixel accuracy and a mean weighted by size let the
# background decide, and recall, class by class, forgives painting too much.

# %% [markdown]
# ## Question 7: generalized IoU  (2 points)
#
# IoU has a flat spot: for boxes that are apart it is 0, whether they miss each other by a hair or by half a
# picture. A network that is trained on it gets no hint which way to move. Rezatofighi and others (2019) mend
# that with the **hull** $H$, the smallest box that holds both: what share of the hull is left empty by both
# boxes?
#
# $$\text{GIoU} = \text{IoU} - \text{the empty share of the hull}$$

# %% provided="picture-hull" tags=["picture"]
figure, panels = plt.subplots(1, 3, figsize=(10, 2.2))
scenes = {
    "overlapping: IoU > 0, little is empty": ((1, 0.5, 4, 3), (3, 1, 6, 3.5), (1, 0.5, 6, 3.5)),
    "near: IoU = 0, some is empty": ((1, 0.5, 4, 3), (4.4, 1, 7.4, 3.5), (1, 0.5, 7.4, 3.5)),
    "far: IoU = 0, much is empty": ((0, 0, 3, 2.5), (6, 1.5, 9, 4), (0, 0, 9, 4)),
}
for axes, (title, (box_a, box_b, hull)) in zip(panels, scenes.items(), strict=True):
    prepare_axes(axes, 9, 4, title)
    draw_box(axes, hull, GREY, hatch="////", linestyle=":")
    draw_box(axes, box_a, "none", facecolor="white")
    draw_box(axes, box_b, "none", facecolor="white")
    draw_box(axes, box_a, BLUE, "A", shade=0.2)
    draw_box(axes, box_b, ORANGE, "B", shade=0.2)
figure.tight_layout()
plt.show()

# %% [markdown]
# Hatched is what both boxes leave empty of their hull. Write `generalized_iou`. All boxes are valid here, and
# each has an area. The score is 1 for identical boxes, plain IoU where nothing of the hull is empty, and it
# falls towards -1, never quite reaching it, as the boxes move apart. Two boxes of $1 \times 1$ that touch
# only at a corner, for instance, have an IoU of 0 and fill half of their hull: their GIoU is $-1/2$.

# %% [markdown] hint="generalized_iou"
# The hull has the shared part's recipe with larger and smaller exchanged. You need the union's area as well:
# work it out again, or get it back from the two areas and their IoU.


# %% solution="generalized_iou"
def generalized_iou(box_a, box_b):
    """Return the generalized intersection over union of two boxes (Rezatofighi et al., 2019).

    Args:
        box_a, box_b: four numbers each, (x_min, y_min, x_max, y_max), of positive area.

    Returns:
        A float above -1.0, and up to 1.0.

    >>> generalized_iou((0, 0, 1, 1), (1, 1, 2, 2))
    -0.5
    """
    ### BEGIN SOLUTION
    overlap = iou(box_a, box_b)
    ax_min, ay_min, ax_max, ay_max = box_a
    bx_min, by_min, bx_max, by_max = box_b
    # Both areas together are intersection + union, which is (IoU + 1) · union.
    areas = (ax_max - ax_min) * (ay_max - ay_min) + (bx_max - bx_min) * (by_max - by_min)
    union = areas / (1 + overlap)
    hull = (max(ax_max, bx_max) - min(ax_min, bx_min)) * (max(ay_max, by_max) - min(ay_min, by_min))
    return overlap - (hull - union) / hull
    ### END SOLUTION


# %% test="generalized_iou"
near = generalized_iou((0, 0, 2, 3), (3, 0, 5, 3))
far = generalized_iou((0, 0, 2, 3), (9, 0, 11, 3))
assert np.isclose(generalized_iou((1, 2, 4, 9), (1, 2, 4, 9)), 1), "identical boxes score 1"
assert np.isclose(generalized_iou((0, 0, 1, 1), (1, 1, 2, 2)), -0.5), (
    "corner to corner, half of the hull is empty"
)
assert -1 < far < near < 0, "boxes that are apart score below 0, the further the lower, and never reach -1"
print("Even boxes that miss now know by how much.")

# %% [markdown] explain="generalized_iou"
# The hull runs from the smaller minimum to the larger maximum. Its empty part is the hull without the
# *union*, as a share of the *hull*; dividing by the union instead would let the score fall without limit.
# What one trains with is the loss $1 - \text{GIoU}$, from 0 to 2: don't mistake one for the other. Stopping
# the score at 0 would bring the flat spot back.

# %% [markdown]
# ## Question 8: the other way round  (1 point)
#
# Half of what a metric means is knowing what its values look like. So: given a box and a number, find a box
# whose IoU with it is that number. There are many right answers, and every one of them is accepted.
#
# Write `box_with_iou`. Try shrinking, growing or shifting, and work out on paper what happens to the
# intersection and to the union. Beware of intuition: move a box by half its width and the IoU is not $1/2$
# (look at the pictures of question 3).

# %% [markdown] hint="box_with_iou"
# Which move changes only one of the two areas, intersection or union, and leaves the other alone? Change one
# side, and keep the edge opposite to it where it is.


# %% solution="box_with_iou"
def box_with_iou(box, target):
    """Return a box whose intersection over union with `box` is `target`.

    Args:
        box: four numbers, (x_min, y_min, x_max, y_max), of positive area.
        target: the IoU wanted, above 0.0 and up to 1.0.

    Returns:
        Four numbers, (x_min, y_min, x_max, y_max); any such box will do.

    >>> iou((2, 1, 6, 4), box_with_iou((2, 1, 6, 4), target=0.5))
    0.5
    """
    ### BEGIN SOLUTION
    x_min, y_min, x_max, y_max = box
    # Inside the box the intersection is the new box itself, and the union is the old one.
    return x_min, y_min, x_min + target * (x_max - x_min), y_max
    ### END SOLUTION


# %% test="box_with_iou"
for target in (1.0, 0.6):
    found = iou((0, 0, 5, 8), box_with_iou((0, 0, 5, 8), target))
    assert np.isclose(found, target), f"asked for a box with IoU {target}, your iou finds {found:.4f}"
print("Right on target.")

# %% [markdown] explain="box_with_iou"
# A box inside the other one: the intersection is the small box, the union the large one, and one side scaled
# by the target scales the area by the target. Scaling *both* sides gives the target's square. A shift by a
# share $d$ of the width gives $(1 - d) / (1 + d)$, since what leaves the intersection joins the union; that,
# solved for $d$, is another right answer, and so is growing one side by $1 / \text{target}$. Coordinates must
# not be scaled, only sides: the box seldom begins at 0.

# %% [markdown]
# ## What to take away
#
# - IoU is the shared area over the area of the union: 1 for a perfect match, 0 for none, and symmetric.
# - The mistakes are in the corners: boxes apart on *both* axes, boxes that touch, boxes without area, empty
#   lists.
# - An IoU is stricter than it sounds: half a box to the side is 1/3, and 0.5 is commonly taken as a hit.
# - Boxes, masks and label maps share the definition; mean IoU gives each class that is there the same weight.
# - Plain IoU can't guide training where boxes don't meet. Generalized IoU can, and $1 - \text{GIoU}$ is the
#   loss.
