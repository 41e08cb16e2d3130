"""Right answers that reuse what is there: the trunk's own layers, and later dense layers as they are.

On a feature map a `Dense` works on the last axis, and is a 1 × 1 convolution already.
"""

import keras
import numpy as np


def dense_to_conv_weights(kernel, bias, feature_map_shape):
    places = np.arange(kernel.shape[0]).reshape(feature_map_shape)
    return kernel[places], np.array(bias)


def to_fully_convolutional(model):
    names = [type(layer).__name__ for layer in model.layers]
    flatten = names.index("Flatten")
    first = names.index("Dense")
    old = model.layers[first]
    inputs = keras.Input((None, None, model.input_shape[-1]), name="image")
    height, width, channels = model.layers[flatten].input.shape[1:]
    conv = keras.layers.Conv2D(old.units, (height, width), activation=old.activation, use_bias=old.use_bias)
    conv.build((None, None, None, channels))
    kernel = old.kernel.numpy()
    conv.kernel.assign(dense_to_conv_weights(kernel, None, (height, width, channels))[0])
    if old.use_bias:
        conv.bias.assign(old.bias)
    kept = [(n, layer) for n, layer in enumerate(model.layers) if names[n] not in ("InputLayer", "Flatten")]
    x = inputs
    for number, layer in kept:
        x = conv(x) if number == first else layer(x)
    return keras.Model(inputs=inputs, outputs=x, name="fcn")


def fcn_output_size(input_size, model_input_size, total_stride):
    return np.arange(model_input_size, input_size + 1, total_stride).size


def window_scores(model, image, stride):
    """One window at a time, called and not predicted."""
    _, height, width, _ = model.input_shape
    rows, columns = 1 + (np.array(image.shape[:2]) - (height, width)) // stride
    scores = np.empty((rows, columns, model.output_shape[-1]))
    for i, j in np.ndindex(rows, columns):
        window = image[i * stride : i * stride + height, j * stride : j * stride + width]
        scores[i, j] = model(window[np.newaxis], training=False)[0]
    return scores
