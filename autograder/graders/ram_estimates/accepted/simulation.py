"""Right answers that act it out: windows are placed one by one, tensors come and go, batches grow.

Shapes come as lists and bytes as whole floats.
"""


class Memory:
    """What is alive, and the most that ever was."""

    def __init__(self):
        self.alive = 0.0
        self.peak = 0.0

    def take(self, n_bytes):
        self.alive += n_bytes
        self.peak = max(self.peak, self.alive)

    def release(self, n_bytes):
        self.alive -= n_bytes


def sides(size):
    return list(size) if isinstance(size, (tuple, list)) else [size, size]


def place_windows(n, window, stride, padding):
    placed, start = 0, 0
    while start < n and (padding == "same" or start + window <= n):
        placed += 1
        start += stride
    return placed


def feature_map_shapes(input_shape, layers):
    shape, shapes = list(input_shape), []
    for layer in layers:
        settings = {"strides": None, "padding": "valid", "pool_size": 2, "kernel_size": None} | layer
        if layer["type"] in {"conv", "max_pool", "avg_pool"}:
            window = sides(settings["kernel_size"] or settings["pool_size"])
            # a convolution's missing stride is 1, a pool's is its window
            strides = sides(settings["strides"] or (1 if layer["type"] == "conv" else window))
            size = [place_windows(shape[i], window[i], strides[i], settings["padding"]) for i in range(2)]
            shape = [*size, settings.get("filters", shape[2])]
        elif layer["type"] == "flatten":
            count = 1
            for length in shape:
                count *= length
            shape = [count]
        elif layer["type"] == "global_avg_pool":
            shape = [shape[-1]]
        elif layer["type"] == "dense":
            shape = [layer["units"]]
        shapes.append(list(shape))
    return shapes


def tensor_bytes(shape, dtype="float32"):
    bits = {"float16": 16, "float32": 32, "float64": 64, "int8": 8, "uint8": 8}
    try:
        n_bytes = bits[dtype] / 8
    except KeyError as error:
        raise ValueError(f"unknown dtype: {error}") from None
    for length in shape:
        n_bytes *= length
    return n_bytes


def conv2d_multiplications(input_shape, kernel_size, filters, strides=1, padding="same"):
    height, width, channels = input_shape
    window, step = sides(kernel_size), sides(strides)
    products = 0
    for _row in range(place_windows(height, window[0], step[0], padding)):
        for _column in range(place_windows(width, window[1], step[1], padding)):
            products += window[0] * window[1] * channels * filters
    return products


def parameter_shapes(shape, layer):
    """Return the shapes of a layer's weights, biases and statistics."""
    biased = layer.get("use_bias", True)
    if layer["type"] == "conv":
        kernel = [*sides(layer["kernel_size"]), shape[-1], layer["filters"]]
        return [kernel, [layer["filters"]]] if biased else [kernel]
    if layer["type"] == "dense":
        matrix = [shape[-1], layer["units"]]
        return [matrix, [layer["units"]]] if biased else [matrix]
    return [[shape[-1]]] * 4 if layer["type"] == "batch_norm" else []


def load_parameters(memory, input_shape, layers, dtype):
    shapes = [list(input_shape), *feature_map_shapes(input_shape, layers)]
    for layer, shape in zip(layers, shapes, strict=False):
        for weights in parameter_shapes(shape, layer):
            memory.take(tensor_bytes(weights, dtype))


def inference_ram_bytes(input_shape, layers, dtype="float32"):
    memory = Memory()
    load_parameters(memory, input_shape, layers, dtype)
    before = tensor_bytes(input_shape, dtype)
    memory.take(before)
    for shape in feature_map_shapes(input_shape, layers):
        after = tensor_bytes(shape, dtype)
        memory.take(after)
        memory.release(before)
        before = after
    return memory.peak


def training_ram_bytes(input_shape, layers, batch_size, dtype="float32"):
    memory = Memory()
    load_parameters(memory, input_shape, layers, dtype)
    for shape in [input_shape, *feature_map_shapes(input_shape, layers)]:
        memory.take(tensor_bytes([batch_size, *shape], dtype))
    return memory.peak


def optimizer_bytes(n_params, optimizer, dtype="float32"):
    memory = Memory()
    memory.take(tensor_bytes([n_params], dtype))  # the gradients
    if optimizer in ("momentum", "adam"):
        memory.take(tensor_bytes([n_params], dtype))  # a mean of the gradients
    if optimizer == "adam":
        memory.take(tensor_bytes([n_params], dtype))  # and of their squares
    return memory.peak


def max_batch_size(input_shape, layers, memory_bytes, dtype="float32"):
    batch_size = 0
    while training_ram_bytes(input_shape, layers, batch_size + 1, dtype) <= memory_bytes:
        batch_size += 1
    return batch_size


def my_network_ram(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }
