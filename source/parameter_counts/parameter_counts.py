# %% [markdown]
# # How many numbers does a network learn?
#
# Before a network is trained, and even before it is built, you can say how many numbers it will have to
# learn. That count decides how much memory the model takes, how much data it wants, and which layer to
# change when it is too large. It is also the quickest check of a design: when your count and the one that
# `model.summary()` prints are the same, you have understood every layer.
#
# **How this notebook works.** Write the functions below and run the cell under each. Those visible tests
# are friendly and few: they catch the first mistakes, and passing them never guarantees full marks. The
# hidden tests ask for other sizes: kernels that are not square, images that are not square, layers without
# biases, networks you have not seen.
#
# **Conventions**
# - Shapes carry no batch: a feature map is `(height, width, channels)`, after a flatten or a global pool a
#   layer's output is `(features,)`.
# - A kernel size, a pool size or a stride is one integer or a `(height, width)` pair.
# - A parameter is a number that the layer stores between two batches. Answers are whole numbers.
# - A network is a list of dicts, one a layer, in order. Missing keys take the defaults in brackets:
#
# | `"type"` | other keys (defaults) |
# |---|---|
# | `"conv"` | `"filters"`, `"kernel_size"`, `"strides"` (1), `"padding"` (`"valid"`), `"use_bias"` (True) |
# | `"max_pool"`, `"avg_pool"` | `"pool_size"` (2), `"strides"` (None: pool size), `"padding"` (`"valid"`) |
# | `"global_avg_pool"`, `"flatten"` | |
# | `"dense"` | `"units"`, `"use_bias"` (True) |
# | `"batch_norm"` | |
# | `"dropout"` | `"rate"` |

# %% provided="setup"
import math

import numpy as np


def as_pair(size):
    """Return `size`, an integer or a (height, width) pair, as a (height, width) pair."""
    return (size, size) if isinstance(size, int) else tuple(size)


# %% [markdown]
# ## Question 1: a convolution (2 points)
#
# A filter slides over height and width, but it does not slide over the channels: it reaches through all of
# them at once. At each place it multiplies every number under it by a weight of its own, sums all the
# products, whatever channel they came from, adds its bias, and writes **one** number into its feature map.
# Then it moves on *with the same weights*. The picture shows it for three channels and two filters.
#
# So the size of the image plays no role here. A small example: over an input of 2 channels a 3×3 filter
# covers 2 · 9 = 18 numbers, so it has 18 weights and a bias. Four such filters learn 4 · 19 = 76 numbers,
# on a thumbnail and on a poster alike.

# %% provided="picture-filter" tags=["picture"]
import matplotlib.pyplot as plt
from matplotlib.patches import Circle, Polygon

INK, PAPER = "#333333", "#f4f4f4"
CHANNELS = {"channel 3": "#88bbdd", "channel 2": "#99cc99", "channel 1": "#ee9988"}


def draw_plane(axes, x, y, cells, window=None, color="white", window_color=None):
    """Draw a plane of cells × cells seen at a slant, and on it a window (row, column, side)."""

    def corner(row, column):
        return x + 0.22 * column, y - 0.30 * row + 0.11 * column

    def tile(row, column, side, **style):
        corners = [(row, column), (row, column + side), (row + side, column + side), (row + side, column)]
        axes.add_patch(Polygon([corner(*c) for c in corners], closed=True, **style))

    tile(0, 0, cells, facecolor=color, edgecolor=INK, linewidth=1.2)
    if window:
        top, left, side = window
        for row in range(side):
            for column in range(side):
                tile(top + row, left + column, 1, facecolor=window_color, edgecolor="white", linewidth=0.8)
    row, column, side = window or (0, 0, cells)
    return corner(row + side / 2, column + side)


figure, axes = plt.subplots(figsize=(9.5, 4.2))
ends = []
for depth, (name, color) in enumerate(CHANNELS.items()):
    x, y = 2.1 - 1.05 * depth, 2.95 - 0.12 * depth
    ends.append(draw_plane(axes, x, y, 7, window=(1, 3, 3), color=PAPER, window_color=color))
    axes.text(x + 0.45, y - 2.1, name, fontsize=8, color=INK, rotation=26, ha="center", va="center")
for height, label_height, filter_color, name in [
    (2.75, 3.15, "#aa3377", "filter 1"),
    (0.85, 0.45, "#997700", "filter 2"),
]:
    for end in ends:
        axes.plot([end[0], 5.02], [end[1], height], color=filter_color, linewidth=0.9, alpha=0.7)
    axes.add_patch(Circle((5.3, height), 0.28, facecolor="white", edgecolor=filter_color, linewidth=2))
    axes.text(5.3, height, "Σ + b", ha="center", va="center", fontsize=8, color=INK)
    axes.text(
        5.3, label_height, f"one sum of {name}", ha="center", va="center", fontsize=8, color=filter_color
    )
    target = draw_plane(axes, 7.0, height + 0.45, 5, window=(1, 2, 1), color=PAPER, window_color=filter_color)
    axes.annotate(
        "",
        xy=(target[0] - 0.2, target[1]),
        xytext=(5.6, height),
        arrowprops={"arrowstyle": "->", "color": filter_color, "linewidth": 1.2},
    )
    axes.text(8.3, height + 0.1, f"feature map\nof {name}", fontsize=8, color=INK, va="center")
axes.set(xlim=(-0.2, 9.4), ylim=(-0.65, 4.0), aspect="equal")
axes.set_title("A filter reaches through all channels and writes a single map", fontsize=11)
axes.axis("off")
plt.show()

# %% [markdown] hint="conv2d_params"
# Count one filter first: how many numbers lie under it at one place, all channels together? Then ask how
# many biases that one filter needs for the one number it writes. The layer is just several such filters.


# %% solution="conv2d_params"
def conv2d_params(kernel_size, in_channels, filters, use_bias=True):
    """Count the parameters of a 2-D convolution.

    Args:
        kernel_size: an integer or a (height, width) pair, in pixels.
        in_channels: channels of the feature map that enters.
        filters: feature maps that leave.
        use_bias: whether the layer has biases.

    Returns:
        The number of parameters.

    >>> conv2d_params(1, 2, 3)
    9
    """
    ### BEGIN SOLUTION
    height, width = as_pair(kernel_size)
    weights_per_filter = height * width * in_channels
    biases_per_filter = 1 if use_bias else 0
    return (weights_per_filter + biases_per_filter) * filters
    ### END SOLUTION


# %% [markdown] explain="conv2d_params"
# One filter is a box of `height × width × in_channels` weights and one bias, and the layer owns `filters` of
# them. In NHWC frameworks that is exactly how they are stored: a kernel of shape
# `(height, width, in_channels, filters)` and a bias vector of shape `(filters,)`.
#
# Commonest mistakes: squaring the kernel's height although the kernel is not square; a single bias for the
# whole layer; a bias for every channel of every filter (the channels are summed *before* the bias is added);
# leaving the input channels out, as if a filter were flat; multiplying by the size of the image, as if each
# place had weights of its own.

# %% test="conv2d_params"
assert conv2d_params(5, 3, 200) == 15_200, "200 filters of 5×5 on a color photo learn 15,200 numbers"
assert conv2d_params((7, 1), 4, 6) == conv2d_params((1, 7), 4, 6), (
    "a kernel that lies down has as many weights as one that stands"
)
assert conv2d_params(3, 2, 4, use_bias=False) < conv2d_params(3, 2, 4), "biases are learned too"
print("The convolutions add up. The hidden tests have more shapes.")

# %% [markdown]
# ## Question 2: a dense layer (1 point)
#
# In a dense layer everything meets everything: each unit weighs every number that enters, sums, and adds a
# bias of its own. Two units that read three numbers have six connections, and each unit one bias: 8 numbers.

# %% [markdown] hint="dense_params"
# Draw the inputs as dots on the left and the units as dots on the right. Weights are the lines between
# them; biases sit in the dots on one of the two sides. Which?


# %% solution="dense_params"
def dense_params(in_features, units, use_bias=True):
    """Count the parameters of a dense layer.

    Args:
        in_features: numbers that enter.
        units: numbers that leave.
        use_bias: whether the layer has biases.

    Returns:
        The number of parameters.

    >>> dense_params(3, 2)
    8
    """
    ### BEGIN SOLUTION
    weights = in_features * units
    biases = units if use_bias else 0
    return weights + biases
    ### END SOLUTION


# %% [markdown] explain="dense_params"
# The weights are a matrix of shape `(in_features, units)` and the biases a vector of shape `(units,)`. A
# dense layer is the convolution whose filter covers everything there is: `conv2d_params(1, in_features,
# units)` is the same number.
#
# Commonest mistakes: one bias for the whole layer, or one for each input instead of each unit.

# %% test="dense_params"
assert dense_params(1152, 10) == 11_530, "the last layer of the lecture's digit network learns 11,530 numbers"
assert dense_params(4, 3, use_bias=False) < dense_params(4, 3), "biases are learned too"
print("Everything meets everything. Well counted.")

# %% [markdown]
# ## Question 3: batch normalization (1 point)
#
# During training, batch normalization brings each channel to mean 0 and variance 1 over the batch, then
# lets the network choose another mean and spread:
#
# $$ y = \gamma \cdot \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta $$
#
# When the network is used on a single image there is no batch to average over, so the layer also keeps a
# moving mean and a moving variance, and uses them in place of $\mu$ and $\sigma^2$. All channels are treated
# apart, and all pixels of a channel alike.
#
# Some of these numbers are moved by gradient descent: they are *trainable*. Others are only kept up to date
# by averaging: the layer stores them, they are saved with the model, `model.summary()` counts them, but no
# gradient ever reaches them. $\varepsilon$ is a constant that you choose, like a stride.

# %% [markdown] hint="batchnorm_params"
# List the symbols that one channel needs at inference. Then ask of each: does the optimizer change it, or
# is it a running average of what passed through?


# %% solution="batchnorm_params"
def batchnorm_params(channels):
    """Count the parameters of a batch normalization layer.

    Args:
        channels: channels (or features) of what enters; the layer changes no shape.

    Returns:
        A pair (trainable, non_trainable).
    """
    ### BEGIN SOLUTION
    trainable = 2 * channels  # gamma, beta
    non_trainable = 2 * channels  # moving mean, moving variance
    return trainable, non_trainable
    ### END SOLUTION


# %% [markdown] explain="batchnorm_params"
# $\gamma$ and $\beta$ are learned; the moving mean and the moving variance are averages of what went by.
# That makes four numbers a channel, half of them trainable, and it explains the line "Non-trainable params"
# in the summary of a network in which nothing was frozen.
#
# Commonest mistakes: counting only $\gamma$ and $\beta$; calling all four trainable; forgetting that every
# channel has its own.

# %% test="batchnorm_params"
trainable, non_trainable = batchnorm_params(32)
assert trainable + non_trainable == 128, "for 32 channels Keras's summary shows 128 parameters altogether"
assert trainable > 0, "something in batch normalization is learned"
assert non_trainable > 0, "something in batch normalization is only averaged"
print("Learned and averaged, told apart.")

# %% [markdown]
# ## Question 4: a depthwise separable convolution (2 points)
#
# An ordinary convolution looks for patterns in space and across channels in one go. A *separable* one, as
# in Xception and MobileNet, does it in two steps:
#
# 1. **Depthwise.** Each input channel is filtered alone, by flat kernels of its own: `depth_multiplier` of
#    them, each making one map. Nothing is summed over channels yet.
# 2. **Pointwise.** An ordinary convolution with a 1×1 kernel mixes *all maps of step 1* into `filters`
#    output maps.
#
# The two steps are linear, so a bias between them would add nothing that the last bias can't: Keras gives
# `SeparableConv2D` its biases at the very end only.
#
# An example: a 3×3 kernel, 2 input channels, 5 filters and a depth multiplier of 1. Depthwise: two flat 3×3
# kernels, 18 weights. Pointwise: five 1×1 filters over 2 maps, 10 weights. Five biases. Together 33, where
# an ordinary convolution learns 95. With a depth multiplier of 2, step 1 has twice as many kernels, and step
# 2 therefore reads twice as many maps.

# %% [markdown] hint="separable_conv2d_params"
# Count the maps between the two steps first. Step 1 has one flat kernel for each of them; step 2 is a 1×1
# convolution that reads them all.


# %% solution="separable_conv2d_params"
def separable_conv2d_params(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    """Count the parameters of a depthwise separable convolution as in Keras's `SeparableConv2D`.

    Args:
        kernel_size: an integer or a (height, width) pair, in pixels.
        in_channels: channels of the feature map that enters.
        filters: feature maps that leave.
        depth_multiplier: maps that the depthwise step makes of each input channel.
        use_bias: whether the layer has biases.

    Returns:
        The number of parameters.

    >>> separable_conv2d_params(3, 2, 5)
    33
    """
    ### BEGIN SOLUTION
    height, width = as_pair(kernel_size)
    maps_between = in_channels * depth_multiplier
    depthwise = height * width * maps_between
    pointwise = conv2d_params(1, maps_between, filters, use_bias)
    return depthwise + pointwise
    ### END SOLUTION


# %% [markdown] explain="separable_conv2d_params"
# The depthwise step holds a kernel of shape `(height, width, in_channels, depth_multiplier)`, the pointwise
# step one of shape `(1, 1, in_channels · depth_multiplier, filters)`, and the biases are `(filters,)`. For
# large numbers of filters it saves nearly the kernel's whole area: nine times fewer weights at 3×3.
#
# Commonest mistakes: counting it as an ordinary convolution; forgetting that the depth multiplier widens
# what the pointwise step reads; a bias after the depthwise step as well; one flat kernel shared by all
# channels.

# %% test="separable_conv2d_params"
assert separable_conv2d_params(3, 32, 64) == 2_400, "Keras's SeparableConv2D(64, 3) on 32 channels has 2,400"
assert separable_conv2d_params(3, 32, 64) < conv2d_params(3, 32, 64), "separable is the cheaper of the two"
assert separable_conv2d_params(3, 4, 8, depth_multiplier=2) > separable_conv2d_params(3, 4, 8), (
    "more maps between the steps need more weights"
)
print("Two steps, two counts. The hidden tests vary every argument.")

# %% [markdown]
# ## Question 5: a whole network (4 points)
#
# Now the layers follow one another, and what leaves one enters the next. Each layer does two things to your
# bookkeeping: it has a number of parameters, and it changes the shape. A layer *without* parameters can
# still decide how many the next one has.
#
# A window (a kernel or a pool) of side $k$ that moves in steps of $s$ over a side of $n$ pixels leaves
#
# | padding | side of the output |
# |---|---|
# | `"valid"` | $\left\lfloor \dfrac{n - k}{s} \right\rfloor + 1$ |
# | `"same"` | $\left\lceil \dfrac{n}{s} \right\rceil$ |
#
# Height and width are worked out apart, each with its own $k$ and $s$. (In one of the lecture's documents
# the bracket of the first formula has slipped, so that only the kernel is divided by the stride: use the one
# above.)
#
# Dropout silences units at random while training, and the units stay where they are. Batch normalization
# counts here with everything it stores, as Keras's summary counts it.
#
# An example with an image of shape `(6, 4, 2)`:
#
# | layer | shape that leaves | parameters |
# |---|---|---|
# | `conv`, 3 filters, kernel `(3, 1)` | `(4, 4, 3)` | 21 |
# | `max_pool` | `(2, 2, 3)` | 0 |
# | `flatten` | `(12,)` | 0 |
# | `dense`, 5 units | `(5,)` | 65 |
#
# The chart shows two networks of the lecture. Of the second its book chapter warns that convolutions bring
# many more numbers to train: 2.8 million, where the network without convolutions had about 240 thousand.
# Look where the 2.8 million sit before you believe it.

# %% provided="picture-where-parameters-sit" tags=["picture"]
import matplotlib.pyplot as plt

# Layer by layer as Keras's summaries print them.
NETWORKS = {
    "digit network (28×28×1)": {
        "conv 32": 320,
        "conv 64": 18_496,
        "conv 128": 73_856,
        "dense 10": 11_530,
    },
    "letter network (28×28×1)": {
        "conv 64": 640,
        "dense 256": 2_769_152,
        "dense 128": 32_896,
        "dense 47": 6_063,
    },
}

figure, panels = plt.subplots(1, 2, figsize=(9.5, 2.6), constrained_layout=True)
for axes, (title, counts) in zip(panels, NETWORKS.items(), strict=True):
    shares = 100 * np.array(list(counts.values())) / sum(counts.values())
    colors = ["#4477aa" if name.startswith("conv") else "#ee9944" for name in counts]
    axes.barh(list(counts), shares, color=colors)
    for row, (share, count) in enumerate(zip(shares, counts.values(), strict=True)):
        axes.text(share + 2, row, f"{count:,}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 128), xticks=range(0, 101, 25), xlabel="% of the network's parameters")
    axes.set_title(f"{title}: {sum(counts.values()):,}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown] hint="stack_params"
# Walk through the layers with the current shape in a variable. For each layer first count its parameters
# from the shape that enters, then replace the shape by the one that leaves. The functions of questions 1 to
# 3 do the counting.


# %% solution="stack_params"
def stack_params(input_shape, layers):
    """Count the parameters of every layer of a network.

    Args:
        input_shape: (height, width, channels) of the image.
        layers: list of layer dicts, in order, as described at the top of this notebook.

    Returns:
        A list of numbers of parameters, one for each layer: 0 where a layer has none.

    >>> stack_params((6, 4, 2), [{"type": "flatten"}, {"type": "dense", "units": 3}])
    [0, 147]
    """

    ### BEGIN SOLUTION
    def side(n, window, stride, padding):
        return math.ceil(n / stride) if padding == "same" else (n - window) // stride + 1

    def slide(shape, window, strides, padding):
        """Return the (height, width) that a sliding window leaves."""
        sides = zip(shape[:2], as_pair(window), as_pair(strides), strict=True)
        return [side(*sizes, padding) for sizes in sides]

    counts = []
    shape = tuple(input_shape)
    for layer in layers:
        count = 0
        padding = layer.get("padding", "valid")
        use_bias = layer.get("use_bias", True)
        match layer["type"]:
            case "conv":
                # (H, W, C) -> (H', W', filters)
                filters = layer["filters"]
                count = conv2d_params(layer["kernel_size"], shape[-1], filters, use_bias)
                shape = (*slide(shape, layer["kernel_size"], layer.get("strides", 1), padding), filters)
            case "max_pool" | "avg_pool":
                # (H, W, C) -> (H', W', C)
                pool_size = layer.get("pool_size", 2)
                shape = (*slide(shape, pool_size, layer.get("strides") or pool_size, padding), shape[-1])
            case "global_avg_pool":
                # (H, W, C) -> (C,)
                shape = shape[-1:]
            case "flatten":
                # (H, W, C) -> (H·W·C,)
                shape = (math.prod(shape),)
            case "dense":
                # (features,) -> (units,)
                count = dense_params(shape[-1], layer["units"], use_bias)
                shape = (layer["units"],)
            case "batch_norm":
                count = sum(batchnorm_params(shape[-1]))
        counts.append(count)
    return counts
    ### END SOLUTION


# %% [markdown] explain="stack_params"
# Two things are carried along: the list of counts and the current shape. Only convolutions, dense layers and
# batch normalization have parameters. Pools have none, however much they look like filters, yet they decide
# how many features a flatten hands to the next dense layer. That one matrix usually dwarfs everything else:
# 98.6 % of the letter network above, whose convolution learns 640 numbers. A smaller map before the flatten,
# or a global average pool instead of it, is the cheapest diet there is.
#
# The lecture's totals come out: 903,400 for the three convolutions of the exercise, 104,202 for the digit
# network, 2,808,751 for the letter network, 248 for the class test.
#
# Commonest mistakes: rounding down where "same" rounds up; forgetting the window where padding is "valid"; a
# pool's stride of None taken as 1; counting a pool's window as weights; giving every convolution the
# *image's* channels; passing only the channels through a flatten; shrinking a layer by its dropout rate.

# %% test="stack_params"
digit_network = [
    {"type": "conv", "filters": 32, "kernel_size": 3},
    {"type": "max_pool"},
    {"type": "conv", "filters": 64, "kernel_size": 3},
    {"type": "max_pool"},
    {"type": "conv", "filters": 128, "kernel_size": 3},
    {"type": "flatten"},
    {"type": "dense", "units": 10},
]
counts = stack_params((28, 28, 1), digit_network)
assert len(counts) == len(digit_network), "one number for every layer, also where it is 0"
assert sum(counts) == 104_202, "the lecture's digit network learns 104,202 numbers"
assert list(stack_params((8, 6, 2), [])) == [], "no layers, no counts"
print("The digit network adds up. Others have strides, padding and odd sizes.")

# %% [markdown]
# ## Question 6: LeNet-5 (2 points)
#
# The classic of 1998, as the lecture draws it: images are 32×32 with one channel, kernels are 5×5 with
# stride 1 and "valid" padding, pools are 2×2, and every layer has biases.
#
# | layer | | |
# |---|---|---|
# | C1 | convolution | 6 feature maps |
# | S2 | pooling | |
# | C3 | convolution | 16 feature maps, each reading all 6 maps of S2 |
# | S4 | pooling | |
# | C5 | dense | 120 units, reading all of S4, flattened |
# | F6 | dense | 84 units |
# | OUT | dense | 10 units |
#
# (The paper wired C3 more sparsely to save weights, and gave its pools a few; nobody does any more.)
#
# Return a dict with the keys `"C1"`, `"C3"`, `"C5"`, `"F6"`, `"OUT"`. One warning: the slides multiply these
# numbers out, and from F6 on their products are wrong. Count them yourself, and look for the slip.

# %% [markdown] hint="lenet5_params"
# Follow the side of the maps from 32 down to S4. For the last three layers ask one question only: how many
# *numbers* enter? How many parameters the layer before has plays no role.


# %% solution="lenet5_params"
def lenet5_params():
    """Count the parameters of LeNet-5's layers.

    Returns:
        A dict of numbers of parameters with exactly the keys "C1", "C3", "C5", "F6", "OUT".
    """
    ### BEGIN SOLUTION
    # Sides: 32 -C1-> 28 -S2-> 14 -C3-> 10 -S4-> 5
    return {
        "C1": conv2d_params(5, 1, 6),
        "C3": conv2d_params(5, 6, 16),
        "C5": dense_params(5 * 5 * 16, 120),
        "F6": dense_params(120, 84),
        "OUT": dense_params(84, 10),
    }
    ### END SOLUTION


# %% [markdown] explain="lenet5_params"
# C1 156, C3 2,416, C5 48,120, F6 10,164, OUT 850: 61,706 together. On the slides F6 is worked out as
# `48120*84+84 = 4042164`, and OUT as ten times that: they multiply by the number of *parameters* of the layer
# before. What enters F6 are the 120 outputs of C5, and what enters OUT the 84 of F6, so the right products
# are `120*84+84` and `84*10+10`. The slip makes a network of 61,706 numbers look like one of 44 million.
#
# C5 may be called a convolution as well: its 5×5 kernel covers S4 exactly once, and the count is the same.

# %% test="lenet5_params"
lenet5 = lenet5_params()
assert set(lenet5) == {"C1", "C3", "C5", "F6", "OUT"}, "these five keys, and no others"
assert max(lenet5, key=lenet5.get) == "C5", "most of LeNet-5's numbers are where the maps become units, in C5"
print("Five layers counted. Did you find the slides' slip?")

# %% [markdown]
# ## Question 7: your own network (2 points)
#
# The locked cell below draws a network from your student id: nobody else has the same one, and the grader
# looks up who handed in the notebook, so a friend's numbers are of no use to you (nor yours to them).
#
# Put your id, the one under which you hand in, in the cell after it, and look at your network. Each layer
# has a `"name"` besides the usual keys. Return a dict from the name of every layer, also of those that learn
# nothing, to its number of parameters. How you arrive there is up to you: by hand or by program.

# %% provided="variant"
import hashlib


def variant(student_id):
    """Return the network that belongs to a student: (input_shape, layers).

    Every number is drawn from the SHA-256 digest of the id, so the same id always gives the same network.
    """
    digest = iter(hashlib.sha256(f"parameter_counts {student_id}".encode()).digest())

    def draw(choices):
        return choices[next(digest) % len(choices)]

    input_shape = (draw(range(45, 61)), draw(range(64, 91)), draw(range(2, 6)))
    layers = [
        {
            "name": "conv_1",
            "type": "conv",
            "filters": draw(range(6, 38)),
            "kernel_size": draw(
                [(3, 5), (2, 3), (4, 3), (3, 7), (5, 2), (1, 5), (7, 2), (4, 5), (1, 7), (9, 1)]
            ),
            "strides": draw([2, (2, 1), (1, 2)]),
            "padding": "same",
            "use_bias": False,
        },
        {"name": "norm_1", "type": "batch_norm"},
        {
            "name": "pool_1",
            "type": draw(["max_pool", "avg_pool"]),
            "pool_size": 3,
            "strides": 2,
            "padding": draw(["valid", "same"]),
        },
        {
            "name": "conv_2",
            "type": "conv",
            "filters": draw(range(8, 72)),
            "kernel_size": draw(
                [(3, 2), (2, 4), (5, 2), (1, 3), (4, 3), (5, 3), (2, 1), (1, 4), (4, 5), (1, 5)]
            ),
            "strides": draw([1, 2, (1, 2)]),
            "padding": draw(["valid", "same"]),
        },
        {"name": "pool_2", "type": draw(["max_pool", "avg_pool"]), "pool_size": draw([2, (2, 1), (1, 2)])},
        {"name": "flatten", "type": "flatten"},
        {"name": "dense_1", "type": "dense", "units": draw(range(24, 120))},
        {"name": "drop", "type": "dropout", "rate": draw([0.2, 0.3, 0.4, 0.5])},
        {"name": "dense_2", "type": "dense", "units": draw(range(3, 48))},
    ]
    return input_shape, layers


# %%
STUDENT_ID = "your-id"

my_input_shape, my_layers = variant(STUDENT_ID)
print(f"The network of {STUDENT_ID} reads images of shape {my_input_shape}.\n")
for layer in my_layers:
    settings = [f"{key}={value!r}" for key, value in layer.items() if key not in ("name", "type")]
    print(f"{layer['name']:<8} {layer['type']:<11} {', '.join(settings)}")

# %% [markdown] hint="my_network_params"
# `variant(student_id)` gives you the image's shape and the layers, and question 5 counts them in order. Then
# each count only has to meet its layer's name. Mind the layer that has no biases.


# %% solution="my_network_params"
def my_network_params(student_id):
    """Count the parameters of a student's own network.

    Args:
        student_id: the id that the network is drawn from.

    Returns:
        A dict from each layer's name to its number of parameters, 0 where it has none.
    """
    ### BEGIN SOLUTION
    input_shape, layers = variant(student_id)
    counts = stack_params(input_shape, layers)
    return {layer["name"]: count for layer, count in zip(layers, counts, strict=True)}
    ### END SOLUTION


# %% [markdown] explain="my_network_params"
# With question 5 solved this is bookkeeping: names and counts come in the same order. The convolution
# before the batch normalization has no biases, which is common practice: the normalization subtracts the
# mean and would take any bias away again, and its own $\beta$ does the job.
#
# Commonest mistakes: the numbers of the sample id or of a friend; leaving out the layers that learn nothing;
# adding biases to `conv_1`.

# %% test="my_network_params"
guest_layers = variant("guest")[1]
guest_counts = my_network_params("guest")
assert set(guest_counts) == {layer["name"] for layer in guest_layers}, "every layer's name, and no others"
assert guest_counts["pool_1"] == 0, "a pool only compares or averages"
assert guest_counts["conv_1"] > 0, "a convolution learns"
print("Every layer has its number. Only the grader knows whether they are yours.")

# %% [markdown]
# ## What to take away
#
# - A convolution's count depends on its kernel, its channels and its filters, never on the image.
# - A dense layer's count is dominated by what enters; the one behind a flatten is usually the giant.
# - Pools, flatten and dropout learn nothing, and pools still save parameters, in the layer behind them.
# - Batch normalization stores four numbers a channel, and only two of them are trained.
# - What counts is how many numbers *enter* a layer, not how many the layer before has learned.
