"""Right answers step by step: a Sequential that grows, one weight and one window at a time."""

import numpy as np
from keras import Input, Sequential, layers


def dense_to_conv_weights(kernel, bias, feature_map_shape):
    height, width, channels = feature_map_shape
    folded = np.zeros((height, width, channels, len(bias)))
    number = 0
    for row in range(height):
        for column in range(width):
            for channel in range(channels):
                folded[row, column, channel] = kernel[number]
                number += 1
    return folded, bias


def to_fully_convolutional(model):
    """Add a layer for each of the model's, and give it its weights at once."""
    converted = Sequential([Input((None, None, model.input_shape[-1]))])
    map_shape = None
    for layer in model.layers:
        config, weights = layer.get_config(), layer.get_weights()
        if layer.__class__.__name__ == "InputLayer":
            pass
        elif layer.__class__.__name__ == "Flatten":
            map_shape = layer.input.shape[1:]
        elif layer.__class__.__name__ == "Dense":
            shape = map_shape or (1, 1, weights[0].shape[0])
            map_shape = None
            twin = layers.Conv2D(config["units"], shape[:2], padding="valid", use_bias=config["use_bias"])
            converted.add(twin)
            bias = weights[1] if config["use_bias"] else np.zeros(config["units"])
            twin.set_weights(list(dense_to_conv_weights(weights[0], bias, shape))[: len(weights)])
            # The activation as a layer of its own computes the same.
            converted.add(layers.Activation(config["activation"]))
        else:
            twin = layer.__class__.from_config(config)
            converted.add(twin)
            if weights:
                twin.set_weights(weights)
    return converted


def fcn_output_size(input_size, model_input_size, total_stride):
    places = 0
    end = model_input_size
    while end <= input_size:
        places += 1
        end += total_stride
    return places


def window_scores(model, image, stride):
    """One prediction for each row of windows."""
    height, width = model.input_shape[1:3]
    rows = []
    top = 0
    while top + height <= len(image):
        starts = range(0, image.shape[1] - width + 1, stride)
        windows = [image[top : top + height, left : left + width] for left in starts]
        rows.append(model.predict(np.array(windows), verbose=0).tolist())
        top += stride
    return rows
