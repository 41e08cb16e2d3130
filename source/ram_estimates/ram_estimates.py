# %% [markdown]
# # How much memory does a network need?
#
# "Out of memory" is the error that everyone who trains convolutional networks meets. It is also one of the
# few that you can predict with pencil and paper: memory is shapes, multiplied and added. In this notebook
# you write the functions that do it, for one prediction and for training, and end by answering the
# question that matters in practice: how large a batch fits?
#
# **How it works.** Each question asks for one function. Write it where it says so, then run the cell below
# it. Those visible tests are friendly and incomplete: passing them never guarantees full marks, because
# the hidden tests try other sizes, paddings and strides. The hints are there to be opened.

# %% [markdown]
# ## What is agreed
#
# - Shapes are `(height, width, channels)`, without the batch. The shape after a flatten, a global pool or
#   a dense layer has one number: `(units,)`.
# - A float32 number takes 4 bytes, and 1 MB is $10^6$ bytes. **Memory is always answered in bytes.**
# - A network is a list of dictionaries, one a layer, from the input up. The keys are Keras's, and one that is
#   missing has the default in brackets. For instance, `[{"type": "max_pool"}, {"type": "flatten"}]` is a
#   network.
#
# | `"type"` | other keys, with their defaults |
# |---|---|
# | `"conv"` | `filters`, `kernel_size`, `strides` (1), `padding` (`"valid"`), `use_bias` (`True`) |
# | `"max_pool"`, `"avg_pool"` | `pool_size` (2), `strides` (`None`: the pool size), `padding` (`"valid"`) |
# | `"dense"` | `units`, `use_bias` (`True`) |
# | `"dropout"` | `rate` |
# | `"batch_norm"`, `"flatten"`, `"global_avg_pool"` | |
#
# - A kernel size, a pool size or a stride is one number, or a pair `(height, width)`.
# - With input size $n$, window $k$ and stride $s$, Keras's two paddings give
#
# $$n_\text{same} = \left\lceil \frac{n}{s} \right\rceil \qquad\qquad
# n_\text{valid} = \left\lfloor \frac{n - k}{s} \right\rfloor + 1$$
#
# separately for the height and the width: windows start at every $s$-th pixel, and `"valid"` leaves out
# those that would stick out.

# %% provided="setup"
import itertools
import math

import numpy as np

# %% [markdown]
# Two things are given. `pair` reads a size that may be one number or two. `layer_params` counts the
# parameters of *one* layer from the shape of its input, which you worked out in `parameter_counts`; it is
# here so that a mistake there costs you nothing.


# %% provided="layer_params"
def pair(size):
    """Return `size` as (height, width); one number stands for both."""
    return (size, size) if isinstance(size, (int, np.integer)) else tuple(size)


def layer_params(layer, in_shape):
    """Return the number of parameters of one layer whose input has the shape `in_shape`.

    A batch normalization has four a channel, as Keras counts: two learned, two moving averages.
    """
    channels, bias = in_shape[-1], layer.get("use_bias", True)
    if layer["type"] == "conv":
        height, width = pair(layer["kernel_size"])
        return (height * width * channels + bias) * layer["filters"]
    if layer["type"] == "dense":
        return (channels + bias) * layer["units"]
    return 4 * channels if layer["type"] == "batch_norm" else 0


# %% [markdown]
# Two networks come back in several questions: the lecture's own example, three convolutions with 3×3
# kernels, stride 2 and `"same"` padding on RGB images of 200 × 300 pixels, and a toy.

# %% provided="lecture"
LECTURE_SHAPE = (200, 300, 3)
LECTURE_LAYERS = [
    {"type": "conv", "filters": filters, "kernel_size": 3, "strides": 2, "padding": "same"}
    for filters in (100, 200, 400)
]
TOY_SHAPE = (2, 2, 3)
TOY_LAYERS = [{"type": "max_pool"}, {"type": "flatten"}]

# %% [markdown]
# ## Question 1: the shape after every layer  (2 points)
#
# Everything else follows from the shapes. Walk through the list: each layer takes the shape that the
# previous one left, and hands on its own.
#
# A convolution changes height and width as its padding and stride say, and has one channel for each
# filter. A pool does the same to height and width but works on every channel by itself. A global average
# pool keeps one number a channel; a flatten lines all numbers up; a dense layer has one output a unit.
# Dropout and batch normalization change numbers, not shapes.
#
# For instance, a `(9, 14, 2)` input and a max pool of size 3, stride 2, `"valid"`: windows start at rows
# 0, 2, 4, 6 and at columns 0, 2, 4, 6, 8, 10, so its output is `(4, 6, 2)`.

# %% [markdown] hint="feature_map_shapes"
# Keep the current shape in a variable and replace it once a layer. Write a small helper for one axis, and
# call it for the height and for the width. For a pool, what is the stride when nobody named one?


# %% solution="feature_map_shapes"
def feature_map_shapes(input_shape, layers):
    """Return the output shape of every layer.

    Args:
        input_shape: (height, width, channels) of one image.
        layers: list of dictionaries, as described above.

    Returns:
        A list of tuples, one a layer, without the batch axis; the input is not in it.

    Example:
        >>> feature_map_shapes((9, 14, 2), [{"type": "max_pool", "pool_size": 3, "strides": 2}])
        [(4, 6, 2)]
    """

    ### BEGIN SOLUTION
    def output_size(n, window, stride, padding):
        return -(-n // stride) if padding == "same" else (n - window) // stride + 1

    shapes = []
    shape = tuple(input_shape)
    for layer in layers:
        kind = layer["type"]
        if kind in ("conv", "max_pool", "avg_pool"):
            if kind == "conv":
                window, strides, channels = layer["kernel_size"], layer.get("strides", 1), layer["filters"]
            else:
                window, channels = layer.get("pool_size", 2), shape[2]
                strides = layer.get("strides") or window
            padding = layer.get("padding", "valid")
            # (H, W, C) -> (H', W', C')
            sizes = zip(shape[:2], pair(window), pair(strides), strict=True)
            shape = (*(output_size(n, k, s, padding) for n, k, s in sizes), channels)
        elif kind == "global_avg_pool":
            shape = shape[2:]
        elif kind == "flatten":
            shape = (math.prod(shape),)
        elif kind == "dense":
            shape = (layer["units"],)
        shapes.append(shape)
    return shapes
    ### END SOLUTION


# %% test="feature_map_shapes"
shapes = feature_map_shapes(LECTURE_SHAPE, LECTURE_LAYERS)
assert len(shapes) == 3, "one shape a layer: the input itself is not listed"
assert [shape[2] for shape in shapes] == [100, 200, 400], "a convolution has one channel for each filter"
assert tuple(shapes[0]) == (100, 150, 100), "stride 2 halves an even height and width"
head = feature_map_shapes((4, 6, 5), [{"type": "flatten"}, {"type": "dense", "units": 7}])
assert [tuple(shape) for shape in head] == [(120,), (7,)], "after a flatten, a shape has one number"
print("The shapes of the lecture's network begin well. Odd sizes and other windows are yours to try.")

# %% [markdown] explain="feature_map_shapes"
# The loop carries one shape along and asks a single helper for each axis, so that a window or a stride
# that is not square needs no case of its own. `-(-n // s)` is a ceiling in whole numbers, free of float
# rounding.
#
# What goes wrong most often: rounding down under `"same"` (38 columns become 37 in the lecture's third
# layer), using a pool's window where its stride is meant, and forgetting that a pool's stride is its
# *size* when it is missing but a convolution's is 1.

# %% [markdown]
# ## Question 2: bytes of one tensor  (1 point)
#
# A tensor's memory is the number of its entries times the bytes of one entry. The name of a dtype says how
# many *bits* an entry has, and 8 bits are a byte. Lecture material prints one feature map stack as "96
# million bits (12 MB)": both numbers are right, and only one of them is in bytes.
#
# Take exactly the five dtypes `float16`, `float32`, `float64`, `int8` and `uint8`. Anything else must
# raise a `ValueError`, also names that numpy happens to know: an estimate with a wrong dtype is worse than
# none.
#
# For instance, a `(2, 3, 5)` tensor of `float16` takes 60 bytes, and a shape `()` is a single number.

# %% [markdown] hint="tensor_bytes"
# A dictionary from the name to the bytes says which names there are, too. `math.prod` multiplies a shape.


# %% solution="tensor_bytes"
def tensor_bytes(shape, dtype="float32"):
    """Return the bytes that a tensor takes.

    Args:
        shape: the length of every axis.
        dtype: "float16", "float32", "float64", "int8" or "uint8".

    Raises:
        ValueError: `dtype` is anything else.

    Example:
        >>> tensor_bytes((2, 3, 5), "float16")
        60
    """
    ### BEGIN SOLUTION
    itemsize = {"float16": 2, "float32": 4, "float64": 8, "int8": 1, "uint8": 1}
    if dtype not in itemsize:
        raise ValueError(f"dtype must be one of {', '.join(itemsize)}, not {dtype!r}")
    return math.prod(shape) * itemsize[dtype]
    ### END SOLUTION


# %% test="tensor_bytes"
assert tensor_bytes((2, 3, 5), "float16") == 60, "30 entries of 16 bits each, answered in bytes"
assert tensor_bytes((2, 3, 5)) == 2 * tensor_bytes((2, 3, 5), "float16"), "float32 is the default"
try:
    tensor_bytes((2, 3), "float12")
except ValueError:
    print("Bytes counted, and a dtype that does not exist is refused.")
else:
    raise AssertionError("there is no float12: that must raise a ValueError")

# %% [markdown] explain="tensor_bytes"
# The empty product is 1, so a shape `()` needs no special case. `np.dtype(dtype).itemsize` looks like a
# shortcut, but it accepts `int16` or `complex64` and answers a misspelt name with a `TypeError`.
#
# What goes wrong most often: answering in bits, in megabytes, or in entries.

# %% [markdown]
# Where does memory go in a real network? Below is VGG16, a classic for photographs of 224 × 224 pixels.
# Look where the tall bars stand: **activations** (the layers' outputs) are large near the input, where the
# maps are still large; **parameters** are many at the top, where the dense layers are. The lower chart is
# there once. The upper one is for a single photograph, and a training batch of 32 needs it 32 times.


# %% provided="picture-vgg16" tags=["picture"]
def draw_vgg16():
    import matplotlib.pyplot as plt

    side, channels, bars = 224, 3, []
    for block, (filters, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1):
        for number in range(1, depth + 1):
            conv = {"type": "conv", "filters": filters, "kernel_size": 3}
            bars.append((f"conv {block}.{number}", side * side * filters, layer_params(conv, (channels,))))
            channels = filters
        side //= 2
        bars.append((f"pool {block}", side * side * channels, 0))
    width = side * side * channels
    for number, units in enumerate([4096, 4096, 1000], start=1):
        bars.append((f"dense {number}", units, layer_params({"type": "dense", "units": units}, (width,))))
        width = units

    names = [name for name, _, _ in bars]
    figure, panels = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
    for column, (kind, colour) in enumerate([("activations", "#2f6db3"), ("parameters", "#d9822b")]):
        megabytes = 4 * np.array([bar[1 + column] for bar in bars]) / 1e6
        panel = panels[column]
        panel.bar(names, megabytes, color=colour)
        panel.set_ylabel("MB")
        panel.set_title(f"{kind}: {megabytes.sum():.0f} MB in all", loc="left", color=colour)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.01)
    panels[1].tick_params(axis="x", rotation=70)
    figure.suptitle("VGG16, one photograph, float32")
    plt.show()


draw_vgg16()

# %% [markdown]
# ## Question 3: multiplications of a convolution  (2 points)
#
# Memory is one cost and arithmetic the other. Count the multiplications of *one* image's pass through one
# convolutional layer. Ask it step by step: how many numbers does a filter multiply to make a single output
# number? And how many output numbers are there?
#
# Two conventions: zeros of the padding are multiplied like any pixel (that is what the layer does), and
# adding up or adding a bias is no multiplication.
#
# A tiny case: one 2×2 filter on a `(3, 3, 1)` image, `"valid"`, stride 1, visits 4 places with 4 products
# each: 16.

# %% [markdown] hint="conv2d_multiplications"
# Each output number looks at one window in *every* input channel. Question 1 already tells you how many
# output numbers there are.


# %% solution="conv2d_multiplications"
def conv2d_multiplications(input_shape, kernel_size, filters, strides=1, padding="same"):
    """Return how many multiplications a convolutional layer does for one image.

    Args:
        input_shape: (height, width, channels).
        kernel_size: int or (height, width).
        filters: number of filters.
        strides: int or (height, width).
        padding: "same" or "valid".

    Example:
        >>> conv2d_multiplications((3, 3, 1), 2, filters=1, padding="valid")
        16
    """
    ### BEGIN SOLUTION
    conv = {"type": "conv", "filters": filters, "kernel_size": kernel_size}
    conv |= {"strides": strides, "padding": padding}
    [output_shape] = feature_map_shapes(input_shape, [conv])
    window_height, window_width = pair(kernel_size)
    return math.prod(output_shape) * window_height * window_width * input_shape[2]
    ### END SOLUTION


# %% test="conv2d_multiplications"
assert conv2d_multiplications((3, 3, 1), 2, filters=1, padding="valid") == 16, "4 places, 4 products each"
assert conv2d_multiplications((150, 100, 3), 5, filters=200) == 225_000_000, "the lecture's layer"
print("The lecture's 225 million multiplications are right, and so are yours.")

# %% [markdown] explain="conv2d_multiplications"
# Each output number costs one product for every weight of its filter: window height × window width × input
# channels. Reusing `feature_map_shapes` brings padding and stride along.
#
# What goes wrong most often: leaving out the input channels, counting windows at every input pixel
# although the stride skips some, and mixing this up with the number of parameters, which knows nothing of
# the image.

# %% [markdown]
# ## Question 4: memory for one prediction  (3 points)
#
# During a prediction nothing is kept for later. Each layer reads its input, writes its output, and then
# its input may be forgotten. So at any moment two neighbouring activations are in memory, and the whole
# network's parameters. During training the activations wait for the backward pass, all of them. The
# picture shows both for the lecture's network.


# %% provided="picture-alive" tags=["picture"]
def draw_living_activations():
    import matplotlib.pyplot as plt

    kept = {"input": 0.72, "conv 1": 6.0, "conv 2": 3.0, "conv 3": 1.52}
    neighbours = [{step, step + 1} for step in range(3)]
    everything = [set(range(step + 2)) for step in range(3)]
    backward = everything[::-1]  # the backward pass frees the top layers' activations first
    stories = {
        "one prediction": (neighbours, ["conv 1", "conv 2", "conv 3"]),
        "training: forward, then backward": (
            everything + backward,
            ["conv 1", "conv 2", "conv 3", "back 3", "back 2", "back 1"],
        ),
    }

    shares = {"width_ratios": [3, 6], "height_ratios": [3, 2]}
    figure, panels = plt.subplots(
        2, 2, figsize=(9.5, 4.8), sharex="col", sharey="row", layout="constrained", gridspec_kw=shares
    )
    for column, (title, (alive, steps)) in enumerate(stories.items()):
        grid, totals = panels[:, column]
        for step, rows in enumerate(alive):
            for row, megabytes in enumerate(kept.values()):
                colour = "#2f6db3" if row in rows else "#eef1f5"
                grid.barh(row, 0.94, left=step - 0.47, height=0.9, color=colour)
                if row in rows:
                    grid.text(step, row, f"{megabytes:g}", ha="center", va="center", color="white")
            total = sum(megabytes for row, megabytes in enumerate(kept.values()) if row in rows)
            totals.bar(step, total, color="#2f6db3", width=0.94)
            totals.text(step, total + 0.3, f"{total:.2f}", ha="center")
        grid.set_title(title)
        grid.set_yticks(range(len(kept)), kept)
        totals.set_xticks(range(len(steps)), steps)
        totals.set(ylim=(0, 14), yticks=[])
        for panel in (grid, totals):
            panel.tick_params(length=0)
            panel.spines[:].set_visible(False)
    panels[0, 0].set_ylabel("kept")
    panels[1, 0].set_ylabel("in all")
    figure.suptitle("Which activations are in memory (MB for one image, parameters aside)")
    plt.show()


draw_living_activations()

# %% [markdown]
# **Our convention.** Inference takes the parameters of all layers, plus the two *consecutive* activations
# that are largest together. The input image is activation number 0, and every layer's output is an
# activation: flatten, dropout and batch normalization write one too. All numbers have the same dtype.
#
# So with activations of 10, 40, 5 and 30 bytes, the worst moment needs 50: the 40 and the 30 never meet.
#
# **The lecture's total is another one.** It keeps the first two layers' outputs (9 MB), and adds the
# parameters (3.6 MB) and the image (0.72 MB): about 13.3 MB. But when the second layer runs, nobody needs
# the image any more. With our convention the network takes 12 613 600 bytes, about 12.6 MB.

# %% [markdown] hint="inference_ram_bytes"
# Make one list: the input's shape, then every layer's. Neighbours in it are a layer's input and output:
# they are also just what `layer_params` wants.


# %% solution="inference_ram_bytes"
def inference_ram_bytes(input_shape, layers, dtype="float32"):
    """Return the bytes needed to predict for one image.

    Args:
        input_shape: (height, width, channels).
        layers: list of at least one layer.
        dtype: of the parameters and the activations, one of the five of `tensor_bytes`.

    Example:
        >>> inference_ram_bytes((2, 2, 3), [{"type": "max_pool"}, {"type": "flatten"}])
        60
    """
    ### BEGIN SOLUTION
    shapes = [tuple(input_shape), *feature_map_shapes(input_shape, layers)]
    n_params = sum(map(layer_params, layers, shapes))  # shapes[i] is what layer i takes in
    activations = [tensor_bytes(shape, dtype) for shape in shapes]
    worst_moment = max(before + after for before, after in itertools.pairwise(activations))
    return tensor_bytes((n_params,), dtype) + worst_moment
    ### END SOLUTION


# %% test="inference_ram_bytes"
assert inference_ram_bytes(TOY_SHAPE, TOY_LAYERS) == 60, "12 numbers in, 3 out: 15 numbers at worst"
assert inference_ram_bytes(LECTURE_SHAPE, LECTURE_LAYERS) == 12_613_600, "the lecture's network, as agreed"
print("12.6 MB: the image is forgotten in time. Where else could the worst moment be?")

# %% [markdown] explain="inference_ram_bytes"
# One list of shapes serves twice: beside the layers it gives every layer's input, and beside itself, shifted
# by one, it gives the neighbours. The parameters count as one long tensor of the same dtype.
#
# What goes wrong most often: adding the image although it has been forgotten, adding the two largest
# activations although a smaller one lies between them, leaving the input out (the worst moment may well be
# the very first layer), and keeping the parameters at 4 bytes when the dtype says 2.

# %% [markdown]
# ## Question 5: memory for training  (3 points)
#
# The backward pass needs what the forward pass computed. So, for *every image of the batch*, the input and
# every layer's output stay in memory. The parameters are shared by all images. Leave gradients and
# optimizer aside here; they come next.
#
# **Again the printed total is off.** The lecture writes 6 + 3 + 1.6 = 10.5 MB of activations for one image
# of its network. The third layer takes 1.52 MB, not 1.6; the sum as printed would be 10.6; and what the
# lecture goes on with is the true 10.52 cut to 10.5, and parameters cut to 3.6. For 50 images it prints
# 564.6 MB. The 0.02 MB are little for one image, but 50 images make 1 MB of them: exactly, it is
# 565 613 600 bytes. Round at the end, if at all.

# %% [markdown] hint="training_ram_bytes"
# Which of the bytes exist once, and which exist once *an image*? The image itself is one of the second
# kind.


# %% solution="training_ram_bytes"
def training_ram_bytes(input_shape, layers, batch_size, dtype="float32"):
    """Return the bytes that the parameters and a batch's activations take during training.

    Args:
        input_shape: (height, width, channels) of one image.
        layers: list of dictionaries.
        batch_size: number of images.
        dtype: of the parameters and the activations, one of the five of `tensor_bytes`.

    Example:
        >>> training_ram_bytes((2, 2, 3), [{"type": "max_pool"}, {"type": "flatten"}], batch_size=10)
        720
    """
    ### BEGIN SOLUTION
    shapes = [tuple(input_shape), *feature_map_shapes(input_shape, layers)]
    n_params = sum(map(layer_params, layers, shapes))
    per_image = sum(tensor_bytes(shape, dtype) for shape in shapes)
    return tensor_bytes((n_params,), dtype) + batch_size * per_image
    ### END SOLUTION


# %% test="training_ram_bytes"
assert training_ram_bytes(TOY_SHAPE, TOY_LAYERS, batch_size=10) == 720, "12 + 3 + 3 numbers an image"
assert training_ram_bytes(LECTURE_SHAPE, LECTURE_LAYERS, 50) == 565_613_600, "the lecture's network, exactly"
print("565.6 MB: no rounding on the way.")

# %% [markdown] explain="training_ram_bytes"
# Same list of shapes, but now all of it is kept, and once an image. Only the parameters stand outside the
# product with the batch size: that is the whole difference between the two kinds of memory.
#
# What goes wrong most often: multiplying the parameters by the batch size, forgetting the images
# themselves or counting just one of them, and rounding before multiplying.

# %% [markdown]
# ## Question 6: the optimizer's share  (1 point)
#
# An optimizer needs a gradient for every parameter. Some also keep *slots*, numbers of their own for every
# parameter that live from step to step:
#
# - `"sgd"` keeps none,
# - `"momentum"` keeps a velocity,
# - `"adam"` keeps a running mean of the gradient and another of its square.
#
# Return the bytes of gradients and slots together, *beyond* the parameters themselves.

# %% [markdown] hint="optimizer_bytes"
# Count, for each of the three, how many numbers exist for a single parameter besides the parameter.


# %% solution="optimizer_bytes"
def optimizer_bytes(n_params, optimizer, dtype="float32"):
    """Return the bytes of the gradients and of the optimizer's slots.

    Args:
        n_params: number of trained parameters.
        optimizer: "sgd", "momentum" or "adam".
        dtype: of gradients and slots, one of the five of `tensor_bytes`.

    Example:
        >>> optimizer_bytes(1000, "sgd")
        4000
    """
    ### BEGIN SOLUTION
    slots = {"sgd": 0, "momentum": 1, "adam": 2}
    return tensor_bytes((n_params, 1 + slots[optimizer]), dtype)
    ### END SOLUTION


# %% test="optimizer_bytes"
assert optimizer_bytes(1000, "sgd") == 4000, "one float32 gradient a parameter, and nothing else"
assert optimizer_bytes(0, "adam") == 0, "nothing to train, nothing to keep"
assert optimizer_bytes(1000, "momentum") < optimizer_bytes(1000, "adam"), "Adam keeps more than momentum"
print("Gradients and slots are counted. For VGG16 and Adam they are over 1.6 GB!")

# %% [markdown] explain="optimizer_bytes"
# The gradient is always there, and the slots come on top: 1, 2 and 3 numbers a parameter. With the
# parameters themselves, training with Adam holds four times the model's size before the first activation.
#
# What goes wrong most often: forgetting the gradients, or counting only one of Adam's two averages.

# %% [markdown]
# ## Question 7: the largest batch that fits  (2 points)
#
# Now turn question 5 around. Given so many bytes, how many images may a batch have? Memory grows with the
# batch along a straight line, and you want the last whole number at which it is still within the limit. A
# batch that fills the memory to the last byte fits. Where not even one image fits, answer 0.
#
# A toy: parameters of 70 bytes, 40 bytes an image, 200 bytes of memory. Three images take 190 and fit,
# four don't.

# %% [markdown] hint="max_batch_size"
# What is left for images once the parameters have their place? You can read both ends of the line off
# `training_ram_bytes` itself, at batch sizes 0 and 1. What if less than nothing is left?


# %% solution="max_batch_size"
def max_batch_size(input_shape, layers, memory_bytes, dtype="float32"):
    """Return the largest batch size whose training fits, by the convention of `training_ram_bytes`.

    Args:
        input_shape: (height, width, channels) of one image.
        layers: list of dictionaries.
        memory_bytes: bytes that there are.
        dtype: as in `training_ram_bytes`.

    Returns:
        An int, 0 where not even one image fits.

    Example:
        >>> max_batch_size((2, 2, 3), [{"type": "max_pool"}, {"type": "flatten"}], 719)
        9
    """
    ### BEGIN SOLUTION
    n_bytes_params = training_ram_bytes(input_shape, layers, 0, dtype)
    n_bytes_image = training_ram_bytes(input_shape, layers, 1, dtype) - n_bytes_params
    return max(0, (memory_bytes - n_bytes_params) // n_bytes_image)
    ### END SOLUTION


# %% test="max_batch_size"
assert max_batch_size(TOY_SHAPE, TOY_LAYERS, 719) == 9, "ten images would take 720 bytes"
gpu = 8_000_000_000
largest = max_batch_size(LECTURE_SHAPE, LECTURE_LAYERS, gpu)
assert training_ram_bytes(LECTURE_SHAPE, LECTURE_LAYERS, largest) <= gpu, "this batch must fit"
assert training_ram_bytes(LECTURE_SHAPE, LECTURE_LAYERS, largest + 1) > gpu, "one more would fit, too"
print(f"A graphics card with 8 GB takes the lecture's network with {largest} images at a time.")

# %% [markdown] explain="max_batch_size"
# Integer division rounds down, which is what "the last that still fits" means, and a full memory fits
# because the remainder may be 0. Below the parameters' own size the difference is negative, hence the
# `max`.
#
# What goes wrong most often: being one off where memory is filled exactly, forgetting the parameters, and
# answering with a negative batch.

# %% [markdown]
# ## Question 8: your own network  (2 points)
#
# The cell below is locked. It draws a network and a batch size from a student's id, so everybody has
# different numbers. Put your id into the cell after it to see yours. (Grading uses the id that you hand in
# under, whatever that cell says.)


# %% provided="variant"
def variant(student_id):
    """Return the network of one student: (input_shape, layers, batch_size)."""
    import hashlib

    digest = hashlib.sha256(f"ram_estimates {student_id}".encode()).digest()
    height = 48 + digest[0] % 64
    width = height + 1 + digest[1] % 48
    layers = [
        {
            "type": "conv",
            "filters": 8 + digest[2] % 32,
            "kernel_size": (3 + digest[3] % 3, 5 - digest[4] % 3),
            "padding": "same",
        },
        {"type": "batch_norm"},
        {"type": "max_pool", "pool_size": 3, "strides": 2, "padding": ("same", "valid")[digest[5] % 2]},
        {
            "type": "conv",
            "filters": 16 + digest[6] % 48,
            "kernel_size": 3 + digest[7] % 3,
            "strides": (1 + digest[8] % 2, 2 - digest[8] % 2),
        },
        {"type": "avg_pool"},
        {"type": "flatten"},
        {"type": "dropout", "rate": 0.5},
        {"type": "dense", "units": 10 + digest[9] % 90},
        {"type": "dense", "units": 10},
    ]
    return (height, width, 3), layers, 8 + digest[10] % 57


# %%
STUDENT_ID = "your-id"

my_input_shape, my_layers, my_batch_size = variant(STUDENT_ID)
print(f"{STUDENT_ID}: images of {my_input_shape}, {my_batch_size} in a training batch")
for my_layer in my_layers:
    print("  ", my_layer)

# %% [markdown]
# Return a dictionary with two entries, both in bytes: `inference_bytes`, for one prediction, and
# `training_bytes`, for a training batch of this network's batch size. Everything is float32. Compute with
# your functions, or by hand: what is graded is the numbers.

# %% [markdown] hint="my_network_ram"
# `variant(student_id)` gives you all that questions 4 and 5 ask for. Use the argument `student_id`, not
# the global `STUDENT_ID`.


# %% solution="my_network_ram"
def my_network_ram(student_id):
    """Return the memory that a student's own network needs.

    Args:
        student_id: the id that `variant` draws the network from.

    Returns:
        {"inference_bytes": int, "training_bytes": int}
    """
    ### BEGIN SOLUTION
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }
    ### END SOLUTION


# %% test="my_network_ram"
my_ram = my_network_ram(STUDENT_ID)
assert set(my_ram) == {"inference_bytes", "training_bytes"}, "two entries with exactly these names"
assert my_ram["training_bytes"] > my_ram["inference_bytes"], "training keeps far more"
for purpose, n_bytes in my_ram.items():
    print(f"{purpose}: {n_bytes / 1e6:.2f} MB")

# %% [markdown] explain="my_network_ram"
# With the earlier functions in place nothing is left to compute. The hidden test calls this function with
# the owner's id, so a number copied from a classmate, or computed for `STUDENT_ID` while that still says
# "your-id", is a number for another network.

# %% [markdown]
# ## What to take away
#
# - Activations cost memory near the input, parameters cost memory in dense layers, multiplications cost
#   time everywhere.
# - A prediction holds two neighbouring activations at a time. Training holds all of them, once for each
#   image: that is why it runs out of memory first, and why a smaller batch is the first remedy.
# - Half the bytes a number (`float16`) halve it all. A larger stride or an early pool shrinks the maps
#   that cost most.
# - Gradients and the optimizer's slots come on top, up to three times the parameters.
# - These are lower bounds. Frameworks also need working space for their algorithms and keep freed memory
#   in reserve, so leave some room.
