# %% [markdown]
# # From classifier to fully convolutional network
#
# A trained classifier looks at images of one size and says one thing about each: this is a ring. A photograph
# is larger, and holds many things. The old way to search it is to cut out one window after another and ask
# about each, which is right, and slow. In this notebook you take a trained network apart and put it together
# as a **fully convolutional network** (FCN). Not a single weight is trained or changed, and yet the new
# network reads images of every size, and answers for all their windows in one pass. Object detectors and
# segmenters are built on this idea.
#
# **How this notebook works.** Write each function, then run the cell below it. Those visible tests are
# friendly and incomplete: passing them does not guarantee full marks. The hidden tests ask the same of your
# function with other networks, drawn at random, and with images of other sizes.
#
# **Conventions**
# - Images and feature maps are NHWC: (images, height, width, channels). One feature map is (H, W, C).
# - A dense layer's kernel is (inputs, units). A convolution's is (height, width, channels, filters).
# - The **trunk** of a network is what comes before its `Flatten`, the **head** what comes behind.
# - The **total stride** is how many pixels lie between the windows that two neighbouring places of the
#   trunk's last map see: all strides of the trunk multiplied, those of its pools included.

# %% provided="setup"
import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(14)  # new layers start with the same weights whenever the notebook is run

# %% provided="picture-windows" tags=["picture"]
import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "#999999"


def draw_grid(axes, rows, columns, title):
    """Draw an empty grid of cells, with y running down."""
    axes.set(xlim=(-0.2, columns + 0.2), ylim=(rows + 0.2, -0.2), aspect="equal", xticks=[], yticks=[])
    for row in range(rows):
        for column in range(columns):
            axes.add_patch(plt.Rectangle((column, row), 1, 1, fill=False, edgecolor="#dddddd"))
    axes.set_title(title, fontsize=10)
    for side in axes.spines.values():
        side.set_visible(False)


figure, (image, scores) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(16, 9))
draw_grid(image, 8, 14, "an image, and three of its windows: 4 × 4 pixels, at a stride of 2")
draw_grid(scores, 3, 6, "a place for every window")
for row, column, color in [(0, 0, BLUE), (0, 1, ORANGE), (2, 4, GREEN)]:
    window = (column * 2 + 0.08, row * 2 + 0.08)
    image.add_patch(
        plt.Rectangle(window, 3.84, 3.84, facecolor=(color, 0.15), edgecolor=color, linewidth=2.5)
    )
    scores.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=(color, 0.6), edgecolor=color))
figure.tight_layout()
plt.show()

# %% [markdown]
# ## Question 1: a dense layer is a convolution  (3 points)
#
# Take the lecture's example: a feature map of $7 \times 7$ places and 100 channels, flattened to 4 900
# numbers, and a dense layer of 200 units behind it. Each unit adds up all 4 900 activations, each times a
# weight of its own, and then its bias.
#
# Now lay a convolution's filter of $7 \times 7$ over the same map. Without padding it fits in exactly one
# place, and there it too adds up 4 900 activations, each times a weight of its own, and then a bias. With 200
# such filters both layers have 980 200 parameters, and they can compute the same numbers: (N, 200) in one
# case, (N, 1, 1, 200) in the other.
#
# The lecture notes call that shape the only difference. For a network that is *already trained*, there is one
# more thing to get right: **every weight must meet the activation that it was trained with.** A dense layer
# knows its activations by their number in the flattened map, and a filter by their place and channel. The
# picture shows a map of 2 rows, 3 columns and 2 channels, and which number Keras's `Flatten` gives to each of
# its activations.

# %% provided="picture-flatten" tags=["picture"]
figure, (feature_map, flat) = plt.subplots(2, 1, figsize=(8, 3.8), height_ratios=(3, 1.2))
numbers = np.arange(12).reshape(2, 3, 2)
feature_map.set(xlim=(0, 12), ylim=(4.6, -0.3), aspect="equal")
flat.set(xlim=(0, 12), ylim=(1.2, -0.2), aspect="equal")
for (row, column, channel), number in np.ndenumerate(numbers):
    color = (ORANGE, BLUE)[channel]
    # Channel 1 lies behind channel 0, and looks out above it and to its right.
    corners = [(1.2 + 3.2 * column + 0.9 * channel, 0.9 + 1.9 * row - 0.8 * channel), (number + 0.05, 0.05)]
    for axes, (left, top) in zip((feature_map, flat), corners, strict=True):
        side, layer = (1.5, 2 - channel) if axes is feature_map else (0.9, 1)
        box = plt.Rectangle((left, top), side, side, facecolor=color, edgecolor="white", zorder=layer)
        axes.add_patch(box)
        label = (left + side - 0.3, top + 0.35) if axes is feature_map else (left + 0.45, top + 0.45)
        axes.text(*label, number, color="white", weight="bold", ha="center", va="center", zorder=layer)
feature_map.set_title("the feature map: channel 0 in front (orange), channel 1 behind (blue)", fontsize=10)
flat.set_title("flattened", fontsize=10)
for axes in (feature_map, flat):
    axes.axis("off")
figure.tight_layout()
plt.show()

# %% [markdown]
# Write `dense_to_conv_weights`, which turns the weights of a dense layer behind a flattened map into those of
# the convolution. A wrong order of the weights raises no error and gives no warning: the network runs, and
# talks nonsense. So look at the picture twice.

# %% [markdown] hint="dense_to_conv_weights"
# `Flatten` only reads the numbers of the map one after the other, and moves none. Follow the picture: which
# of the three axes changes fastest from one number to the next, and which one slowest? Then ask what numpy
# does by default when it gives an array another shape.


# %% solution="dense_to_conv_weights"
def dense_to_conv_weights(kernel, bias, feature_map_shape):
    """Turn the weights of a dense layer behind a flattened feature map into those of a convolution.

    Args:
        kernel: the dense layer's, an array of shape (H·W·C, U).
        bias: the dense layer's, an array of shape (U,).
        feature_map_shape: (H, W, C) of the map before it is flattened.

    Returns:
        (kernel, bias) of a `Conv2D` with U filters of H × W: arrays of shape (H, W, C, U) and (U,).

    >>> kernel, bias = dense_to_conv_weights(np.ones((24, 5)), np.zeros(5), (2, 3, 4))
    >>> kernel.shape, bias.shape
    ((2, 3, 4, 5), (5,))
    """
    ### BEGIN SOLUTION
    # (H·W·C, U) → (H, W, C, U)
    return np.reshape(kernel, (*feature_map_shape, -1)), bias
    ### END SOLUTION


# %% test="dense_to_conv_weights"
feature_map = np.array([[[1, 10], [2, 20], [3, 30]], [[4, 40], [5, 50], [6, 60]]])
kernel, bias = np.cos(np.arange(12 * 4)).reshape(12, 4), np.array([1.0, -2.0, 0.0, 3.0])
conv_kernel, conv_bias = dense_to_conv_weights(kernel, bias, feature_map.shape)
assert np.shape(conv_kernel) == (2, 3, 2, 4), "two rows, three columns, two channels, and four filters"
assert np.shape(conv_bias) == (4,), "one bias a filter"
dense_sums = feature_map.flatten() @ kernel + bias
conv_sums = [(feature_map * conv_kernel[..., unit]).sum() + conv_bias[unit] for unit in range(4)]
assert np.allclose(conv_sums, dense_sums), "laid over the whole map, each filter should give its unit's sum"
print("Every weight has met its own activation.")

# %% [markdown] explain="dense_to_conv_weights"
# `Flatten` reads the map in numpy's own order, the last axis fastest, so that activation number
# $(i \cdot W + j) \cdot C + c$ lies at row $i$, column $j$ and channel $c$. A reshape undoes that: it splits
# the first axis of the kernel into three, and leaves the units, the last axis, where a convolution's filters
# belong anyway. No transposition is needed, and each one that people add is a mistake: (C, H, W) is the order
# of PyTorch, (W, H, C) reads column by column, and `kernel.T` mixes units and places. A flip is wrong as
# well: what is called convolution here is a correlation.

# %% [markdown]
# ## Question 2: the whole network  (5 points)
#
# A flatten accepts one size of map only, and so the network accepts one size of image only. Put convolutions
# in the place of the flatten and the dense layers, and nothing in the network asks for a size any more.
#
# Write `to_fully_convolutional`. It is given a Keras model whose layers follow each other in a single chain:
#
# | part | its layers |
# |---|---|
# | trunk | convolutions and pools, perhaps with batch normalisation; nothing in it pads |
# | | one `Flatten` |
# | head | one or more dense layers, perhaps with dropout before or between them, with or without biases |
#
# Activations are given in the layers, as in `Dense(5, activation="relu")`, or are layers of their own behind
# them: `Activation`, `ReLU` and `Softmax`. The model is a `keras.Sequential` or a functional one. Its images
# and feature maps need not be square.
#
# Return a new Keras model, made of Keras's own layers, that
# - takes images of any height and width, so its input is (None, None, C);
# - answers with an array of (N, h, w, U), where U is the number of scores of the given model;
# - gives at the model's own size exactly what the model gives, with h = w = 1;
# - gives at larger sizes, at place $(i, j)$, what the model would say of the window whose top left corner is
#   $i \cdot s$ pixels down and $j \cdot s$ pixels across, where $s$ is the total stride.
#
# Three things to think about:
# - The first dense layer is question 1. What does a *second* one see, now that the first gives a map? How
#   many places does one of its units need to look at?
# - A layer that is made anew, and a copy made from a layer's config, starts with random weights: give it the
#   trained ones. You may also call the trunk's own layers again. Both models then share their weights, which
#   is all right for scoring images, and a surprise for whoever trains one of them later.
# - A softmax makes probabilities of the U scores *of one place*. Which axis are they on?
#
# This small network, with weights that are random but always the same, lets you try it out.


# %% provided="make_example_network"
def make_example_network(padding="valid"):
    """Return a small network with three classes for images of 10 × 14 pixels and two channels."""
    kernels = [keras.initializers.RandomNormal(stddev=0.4, seed=seed) for seed in range(4)]
    return keras.Sequential(
        [
            layers.Input((10, 14, 2)),
            layers.Conv2D(4, 3, padding=padding, activation="relu", kernel_initializer=kernels[0]),
            layers.MaxPooling2D(),
            layers.Conv2D(5, 3, padding=padding, activation="relu", kernel_initializer=kernels[1]),
            layers.Flatten(),
            layers.Dense(6, activation="relu", kernel_initializer=kernels[2]),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax", kernel_initializer=kernels[3]),
        ]
    )


# %% [markdown] hint="to_fully_convolutional"
# Go through `model.layers` and build a chain of your own from a new `keras.Input`. `layer.get_config()`,
# `type(layer).from_config(config)`, `layer.get_weights()` and `layer.set_weights(weights)` copy a layer; the
# `Flatten` knows from `layer.input.shape` which map it flattens. A functional model's first layer is its
# `InputLayer`, which a Sequential does not list. And a layer can take its weights only once it has seen an
# input.


# %% solution="to_fully_convolutional"
def to_fully_convolutional(model):
    """Turn a classifier into a fully convolutional network with the same weights.

    Args:
        model: a Keras model, Sequential or functional, whose layers form one chain: a trunk, a flatten, and a
            head with one or more dense layers. It maps (N, H, W, C) to (N, U).

    Returns:
        A new Keras model that maps (N, height, width, C), for every height ≥ H and width ≥ W, to
        (N, h, w, U). Place (i, j) of its output holds what `model` gives for the window i total strides from
        the top and j from the left.

    >>> to_fully_convolutional(make_example_network()).output_shape
    (None, None, None, 3)
    """
    ### BEGIN SOLUTION
    x = inputs = keras.Input((None, None, model.input_shape[-1]))
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        if isinstance(layer, layers.Flatten):
            map_shape = layer.input.shape[1:]
            continue
        weights = layer.get_weights()
        if isinstance(layer, layers.Dense):
            settings = {name: layer.get_config()[name] for name in ("name", "activation", "use_bias")}
            twin = layers.Conv2D(layer.units, map_shape[:2], **settings)
            kernel, *bias = weights
            weights = [dense_to_conv_weights(kernel, bias, map_shape)[0], *bias]
            # A later dense layer sees the units of this one, at one place.
            map_shape = (1, 1, layer.units)
        else:
            twin = type(layer).from_config(layer.get_config())
        x = twin(x)
        twin.set_weights(weights)
    return keras.Model(inputs, x)
    ### END SOLUTION


# %% test="to_fully_convolutional"
network = make_example_network()
converted = to_fully_convolutional(network)
images = np.cos(np.arange(2 * 10 * 14 * 2)).reshape(2, 10, 14, 2)
scores = np.asarray(converted(images))
assert scores.shape == (2, 1, 1, 3), "at the network's own size there is one place, with three scores"
assert np.allclose(scores[:, 0, 0], network(images), atol=1e-5), (
    "at the network's own size the scores should be the network's"
)
wide_image = np.cos(np.arange(10 * 20 * 2)).reshape(1, 10, 20, 2)
scores = np.asarray(converted(wide_image))
assert scores.shape == (1, 1, 4, 3), "six pixels more in width, at a total stride of 2, are three places more"
last_window = wide_image[:, :, -14:]
assert np.allclose(scores[:, 0, -1], network(last_window), atol=1e-5), (
    "the last place should hold what the network says of the last window"
)
print("The same network, for every size of image.")

# %% [markdown] explain="to_fully_convolutional"
# The trunk's layers are copied with their settings and weights, the flatten is left out, and each dense layer
# becomes a convolution with its activation. The first has a kernel as large as the map that was flattened. A
# later one sees, at each place, the numbers that the one before made of that place: its kernel is $1 \times
# 1$. Both are "valid" and of stride 1: padded with "same", a filter would look beyond the edge of the map,
# where no window has ever looked. Activations, dropout and a softmax over the last axis work on maps as they
# do on vectors, so they stay as they are.
#
# In Keras a dense layer works on the last axis, whatever the other axes are. Behind the first convolution it
# is therefore a $1 \times 1$ convolution already, and may stay a `Dense`: only the one behind the flatten has
# to change.
#
# The commonest mistakes: random weights (`clone_model` copies none!), the moving mean and variance of batch
# normalisation forgotten, an activation lost on the way, `kernel_size` given as (width, height), an input
# that keeps the old size, and global average pooling in place of the flatten, which is a fine way to build a
# *new* network, but no way to convert this one.

# %% [markdown]
# ## Question 3: how many places?  (1 point)
#
# How large is the map of scores? Look at one direction at a time. The network's window starts at the edge,
# and moves on by the total stride for as long as it still fits. In the picture a window of 8 moves along 21
# pixels in strides of 4.

# %% provided="picture-strides" tags=["picture"]
figure, axes = plt.subplots(figsize=(8, 2.2))
axes.add_patch(plt.Rectangle((0, 0), 21, 0.7, facecolor="#eeeeee", edgecolor=GREY))
axes.text(10.5, 0.35, "21 pixels", ha="center", va="center")
for place, start in enumerate([0, 4, 8, 12]):
    axes.add_patch(plt.Rectangle((start, place + 1), 8, 0.7, facecolor=(BLUE, 0.25), edgecolor=BLUE))
    axes.text(start + 4, place + 1.35, f"place {place}", ha="center", va="center")
axes.add_patch(plt.Rectangle((16, 5), 8, 0.7, fill=False, edgecolor=ORANGE, linestyle="--"))
axes.text(18.5, 5.35, "does not fit", ha="center", va="center", color=ORANGE)
axes.axvline(21, color=GREY, linewidth=1, linestyle=":")
axes.set(xlim=(-0.5, 25), ylim=(6, -0.3), yticks=[], xticks=range(0, 25, 4))
for side in ("left", "right", "top"):
    axes.spines[side].set_visible(False)
figure.tight_layout()
plt.show()

# %% [markdown]
# Write `fcn_output_size`. All three sizes are whole numbers, and the image is never smaller than the
# network's window. The classic example is a network for 224 pixels with a total stride of 32, on an image of
# 448: its trunk makes a map of 14 places there, in which a kernel of 7 fits 8 times. Both ways of counting
# must agree.
#
# They do agree whenever the trunk's pools divide their maps evenly, and the image is larger by whole strides.
# Where it is not, pixels are left over at the edge. Count whole windows then, as in the picture.

# %% [markdown] hint="fcn_output_size"
# The first window is there from the start. How many pixels are left to move over, and how many whole strides
# is that?


# %% solution="fcn_output_size"
def fcn_output_size(input_size, model_input_size, total_stride):
    """Return how many places a fully convolutional network's output has in one direction.

    Args:
        input_size: height or width of the image in pixels, at least model_input_size.
        model_input_size: height or width, the same one, that the network was made for.
        total_stride: pixels from one window to the next.

    Returns:
        The number of windows that fit, an int.

    >>> fcn_output_size(448, 224, 32)
    8
    """
    ### BEGIN SOLUTION
    return (input_size - model_input_size) // total_stride + 1
    ### END SOLUTION


# %% test="fcn_output_size"
assert fcn_output_size(21, 8, 4) == 4, "count the windows of the picture"
assert fcn_output_size(8, 8, 4) == 1, "an image of the network's own size has one window"
assert fcn_output_size(12, 8, 4) == 2, "one stride more makes room for one more window"
print("All windows counted.")

# %% [markdown] explain="fcn_output_size"
# What the window may move over is the image without the first window, and every whole stride in it brings one
# more. Dividing the image's size by the stride counts starts from which no window fits any more. It is the
# formula of a "valid" convolution, for a kernel as large as the network's whole window.

# %% [markdown]
# ## Question 4: the slow way  (2 points)
#
# How do you know that a converted network tells the truth? By asking the original, window by window. Write
# `window_scores`, the sliding window of old: cut out every window of the model's own size, ask the model
# about each, and arrange the answers as the windows lie in the image.
#
# The model takes images of one size, which it tells you itself. The stride is given, and here it need not be
# the model's total stride. The image is larger than the model's window by whole strides, in height and in
# width, or as large as the window. Return all scores of every window, of shape (rows, columns, U).

# %% [markdown] hint="window_scores"
# `model.input_shape` is (None, height, width, channels). Where may a window start, so that it still ends
# inside the image? A model takes many images at once: one prediction for a stack of windows is much quicker
# than one for each window.


# %% solution="window_scores"
def window_scores(model, image, stride):
    """Ask a classifier about every window of an image.

    Args:
        model: a Keras model that maps (N, H, W, C) to (N, U).
        image: array of shape (height, width, C); height - H and width - W are multiples of the stride.
        stride: pixels from one window to the next, across and down.

    Returns:
        Array of shape (rows, columns, U); [i, j] holds the scores of the window whose top left corner is
        i·stride pixels down and j·stride pixels across.

    >>> window_scores(make_example_network(), np.zeros((14, 20, 2)), 2).shape
    (3, 4, 3)
    """
    ### BEGIN SOLUTION
    _, height, width, _ = model.input_shape
    tops = range(0, image.shape[0] - height + 1, stride)
    lefts = range(0, image.shape[1] - width + 1, stride)
    # (rows · columns, H, W, C)
    windows = np.stack([image[top : top + height, left : left + width] for top in tops for left in lefts])
    # (rows · columns, U) → (rows, columns, U)
    return model.predict(windows, verbose=0).reshape(len(tops), len(lefts), -1)
    ### END SOLUTION


# %% test="window_scores"
network = make_example_network()
image = np.cos(np.arange(16 * 17 * 2)).reshape(16, 17, 2)
scores = np.asarray(window_scores(network, image, 3))
assert scores.shape == (3, 2, 3), "three rows of two windows, and three scores for each window"
first_window, lowest_window = image[:10, :14], image[6:, :14]
expected = np.asarray(network(np.stack([first_window, lowest_window])))
assert np.allclose(scores[0, 0], expected[0], atol=1e-5), "the first window starts in the top left corner"
assert np.allclose(scores[2, 0], expected[1], atol=1e-5), (
    "two strides further down, a window ends with the image"
)
print("Slow, but sure.")

# %% [markdown] explain="window_scores"
# A window may start wherever it still ends inside the image, so the last start is the image's size minus the
# window's, and `range` needs one more than that. Stacked row by row, the windows come back from one
# prediction in the order in which `reshape` fills rows and columns. Popular mistakes are the missing last
# window, the first two axes swapped, and a shape of (rows, columns, 1, U), which keeps the batch of one that
# every window was.

# %% [markdown]
# ## Slow and fast, side by side
#
# Here is a network that tells rings from crosses and from nothing, in windows of 12 × 12 pixels. Nobody
# trained it: its filters look for lines in four directions, and its dense layer holds what they make of a
# perfect ring and of a perfect cross. Let it search an image, with your two functions.


# %% provided="make_finder" tags=["train"]
def draw_ring():
    """Return a ring, (12, 12), 1 on the line and 0 elsewhere."""
    y, x = np.mgrid[:12, :12] - 5.5
    return (np.abs(np.hypot(y, x) - 4) < 0.7).astype("float32")


def draw_cross():
    """Return a cross, (12, 12), 1 on the lines and 0 elsewhere."""
    y, x = np.mgrid[:12, :12] - 5.5
    return ((np.abs(np.abs(y) - np.abs(x)) < 0.7) & (np.hypot(y, x) < 6)).astype("float32")


def make_finder():
    """Return a network that gives three probabilities for 12 × 12 pixels: nothing, a ring, a cross."""
    lines = np.stack([np.eye(3)[[1, 1, 1]], np.eye(3)[[1, 1, 1]].T, np.eye(3), np.eye(3)[::-1]], axis=-1)
    finder = keras.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    # (3, 3, 1, 4): each filter answers to a line in its own direction, and an even gray leaves it at 0.
    finder.layers[0].set_weights([(lines - lines.mean(axis=(0, 1)))[:, :, None], np.zeros(4)])
    trunk = keras.Model(finder.inputs, finder.layers[2].output)
    shapes = np.stack([draw_ring(), draw_cross()])[..., None]
    # (2, features)
    features = np.asarray(trunk(shapes)).reshape(2, -1)
    # A perfect shape scores 10, and from 7 on it is more likely than nothing.
    kernel = 10 * features / (features**2).sum(axis=1, keepdims=True)
    finder.layers[3].set_weights([np.c_[np.zeros(features.shape[1]), kernel.T], np.array([0, -7, -7])])
    return finder


def draw_scene():
    """Return an image with rings and crosses among noise, (160, 256, 1)."""
    rng = np.random.default_rng(7)
    scene = 0.2 * rng.random((160, 256))
    for row in range(0, 160, 40):
        for column in range(0, 256, 32):
            shape = (np.zeros((12, 12)), draw_ring(), draw_cross())[rng.integers(3)]
            # Even places, since the network moves on by two pixels
            top, left = row + 2 * rng.integers(14), column + 2 * rng.integers(10)
            scene[top : top + 12, left : left + 12] += shape
    return scene[..., None].astype("float32")


# %% provided="search" tags=["train"]
import time


def search(finder, scene):
    """Search a scene in both ways; return the scores and the seconds of each."""
    converted = to_fully_convolutional(finder)
    ways = {
        "window by window": lambda: window_scores(finder, scene, 2),
        "in one pass": lambda: converted.predict(scene[None], verbose=0)[0],
    }
    found = {}
    for name, way in ways.items():
        way()  # Keras prepares itself at the first call
        start = time.perf_counter()
        found[name] = np.asarray(way()), time.perf_counter() - start
    return found


try:
    scene = draw_scene()
    found = search(make_finder(), scene)
except NotImplementedError:
    print("Write to_fully_convolutional and window_scores, then run this cell again.")
else:
    figure, panels = plt.subplots(1, 3, figsize=(12, 2.9))
    panels[0].imshow(scene[..., 0], cmap="gray_r")
    panels[0].set_title("the scene: 160 × 256 pixels", fontsize=10)
    # Red, green and blue of nothing, a ring and a cross
    palette = np.array([[255, 255, 255], [230, 120, 0], [0, 114, 178]]) / 255
    for axes, (name, (scores, _)) in zip(panels[1:], found.items(), strict=True):
        axes.imshow(scores @ palette, vmin=0, vmax=1)
        axes.set_title(f"{name}: {scores.shape[0]} × {scores.shape[1]} places", fontsize=10)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    figure.tight_layout()
    plt.show()
    (slow, slow_seconds), (fast, fast_seconds) = found.values()
    print(f"largest difference: {np.abs(slow - fast).max():.1g}")
    print(f"window by window: {slow_seconds:.2f} s, in one pass: {fast_seconds:.2f} s")

# %% [markdown]
# Orange is a ring, blue a cross, and the paler the color, the less sure the network is. Both maps are the
# same. But away from the edges every pixel lies in $6 \times 6 = 36$ windows, and the slow way looks at it
# once for each of them. The fast way looks once, and the windows share what it finds. The larger the window
# is beside the stride, the more there is to share.

# %% [markdown]
# ## Where the equality ends
#
# The lecture says that a fully convolutional network takes images of any size. So it does, if they are not
# smaller than its own window. That its scores are those of the sliding window, though, holds only for a trunk
# that does not pad. A trunk with `padding="same"`, like that of the lecture's ResNet, meets zeros at the
# edge of *every window*, but in one pass over a large image it meets zeros at the edge of the *image* only,
# and real pixels everywhere else. Such a network is still useful when it is converted. It just has never seen
# its windows in company.

# %% provided="padding" tags=["train"]
try:
    image = np.cos(np.arange(16 * 20 * 2)).reshape(16, 20, 2)
    for padding in ("valid", "same"):
        network = make_example_network(padding)
        one_pass = np.asarray(to_fully_convolutional(network)(image[None]))[0]
        difference = np.abs(one_pass - window_scores(network, image, 2)).max()
        print(f"{padding:>5}: one pass and sliding window differ by up to {difference:.1g}")
except NotImplementedError:
    print("Write to_fully_convolutional and window_scores, then run this cell again.")

# %% [markdown]
# ## What to take away
#
# - A dense layer behind a flatten is a convolution in disguise, and so are those behind it. Without flatten
#   and dense layers, a network no longer cares how large its images are.
# - A conversion trains nothing. Every weight must meet the activation that it was trained with, and since a
#   wrong order raises no error, you compare the numbers with the original's.
# - A fully convolutional network gives the scores of a sliding window in one pass, because neighbouring
#   windows share nearly all of their work.
# - Without padding the two agree to the last digits of float32. With "same" they are near, and not equal.
