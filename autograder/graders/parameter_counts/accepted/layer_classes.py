"""A class for each kind of layer, and whole floats and tuples for answers."""

from math import floor


class Layer:
    """A layer without parameters that leaves the shape as it is."""

    def __init__(self, settings):
        self.settings = settings

    def option(self, key, default):
        value = self.settings.get(key)
        return default if value is None else value

    def params(self, shape):
        return 0.0

    def output(self, shape):
        return shape

    def slide(self, shape, window, strides):
        same = self.option("padding", "valid") == "same"
        sides = []
        for n, k, s in zip(shape[:2], pair(window), pair(strides), strict=True):
            sides.append(floor((n - 1 if same else n - k) / s + 1))
        return tuple(sides)


class Conv(Layer):
    def params(self, shape):
        use_bias = self.option("use_bias", True)
        return conv2d_params(self.settings["kernel_size"], shape[2], self.settings["filters"], use_bias)

    def output(self, shape):
        sides = self.slide(shape, self.settings["kernel_size"], self.option("strides", 1))
        return (*sides, self.settings["filters"])


class Pool(Layer):
    def output(self, shape):
        size = self.option("pool_size", 2)
        return (*self.slide(shape, size, self.option("strides", size)), shape[2])


class GlobalPool(Layer):
    def output(self, shape):
        return shape[-1:]


class Flatten(Layer):
    def output(self, shape):
        features = 1
        for side in shape:
            features *= side
        return (features,)


class Dense(Layer):
    def params(self, shape):
        return dense_params(shape[0], self.settings["units"], self.option("use_bias", True))

    def output(self, shape):
        return (self.settings["units"],)


class BatchNorm(Layer):
    def params(self, shape):
        return sum(batchnorm_params(shape[-1]))


KINDS = {
    "conv": Conv,
    "max_pool": Pool,
    "avg_pool": Pool,
    "global_avg_pool": GlobalPool,
    "flatten": Flatten,
    "dense": Dense,
    "dropout": Layer,
    "batch_norm": BatchNorm,
}


def pair(size):
    try:
        height, width = size
    except TypeError:
        return size, size
    return height, width


def conv2d_params(kernel_size, in_channels, filters, use_bias=True):
    height, width = pair(kernel_size)
    weights = float(height) * width * in_channels * filters
    return weights + filters if use_bias else weights


def dense_params(in_features, units, use_bias=True):
    return float(sum(in_features + bool(use_bias) for _ in range(units)))


def batchnorm_params(channels):
    return channels * 2.0, channels * 2.0


def separable_conv2d_params(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    maps = sum(depth_multiplier for _ in range(in_channels))
    depthwise = maps * conv2d_params(kernel_size, 1, 1, use_bias=False)
    return depthwise + conv2d_params((1, 1), maps, filters, use_bias)


def stack_params(input_shape, layers):
    counts = ()
    shape = input_shape
    for settings in layers:
        layer = KINDS[settings["type"]](settings)
        counts += (layer.params(shape),)
        shape = layer.output(shape)
    return counts


def lenet5_params():
    first = Conv({"filters": 6, "kernel_size": 5})
    pool = Pool({})
    second = Conv({"filters": 16, "kernel_size": 5})
    s2 = pool.output(first.output((32, 32, 1)))
    s4 = pool.output(second.output(s2))
    return {
        "OUT": dense_params(84, 10),
        "F6": dense_params(120, 84),
        "C5": dense_params(*Flatten({}).output(s4), 120),
        "C3": second.params(s2),
        "C1": first.params((32, 32, 1)),
    }


def my_network_params(student_id):
    shape, layers = variant(student_id)
    counts = {}
    for settings in layers:
        layer = KINDS[settings["type"]](settings)
        counts[settings["name"]] = layer.params(shape)
        shape = layer.output(shape)
    return counts
