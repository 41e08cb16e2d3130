"""Right answers with `clone_model`, which is told what to make of each layer, and with einsum."""

import keras
import numpy as np


def dense_to_conv_weights(kernel, bias, feature_map_shape):
    # (U, H·W·C) → (U, H, W, C) → (H, W, C, U)
    filters = kernel.T.reshape(-1, *feature_map_shape)
    return np.einsum("uhwc->hwcu", filters), bias.copy()


def to_fully_convolutional(model):
    """Clone the model with a stand-in for its flatten, then hand the weights over layer by layer."""
    map_shapes = []

    def twin_of(layer):
        if isinstance(layer, keras.layers.Flatten):
            map_shapes.append(layer.input.shape[1:])
            return keras.layers.Identity()
        if not isinstance(layer, keras.layers.Dense):
            return layer.__class__.from_config(layer.get_config())
        shape = map_shapes.pop() if map_shapes else (1, 1)
        return keras.layers.Conv2D(
            filters=layer.units,
            kernel_size=tuple(shape[:2]),
            activation=layer.activation,
            use_bias=layer.use_bias,
            name=layer.name,
        )

    larger = keras.Input((None, None, model.input_shape[-1]))
    clone = keras.models.clone_model(model, input_tensors=larger, clone_function=twin_of)
    # Input layers have no weights, and only functional models list theirs.
    with_weights = [layer for layer in clone.layers if layer.weights]
    for old, new in zip((layer for layer in model.layers if layer.weights), with_weights, strict=True):
        new.set_weights([w.reshape(v.shape) for w, v in zip(old.get_weights(), new.weights, strict=True)])
    return clone


def fcn_output_size(input_size, model_input_size, total_stride):
    return 1 + divmod(input_size - model_input_size, total_stride)[0]


def window_scores(model, image, stride):
    """All windows as one view of the image, thinned to those that start at a stride."""
    size = model.input_shape[1:3]
    # (rows, columns, C, H, W)
    views = np.lib.stride_tricks.sliding_window_view(image, size, axis=(0, 1))[::stride, ::stride]
    windows = np.moveaxis(views, 2, -1)
    scores = model.predict(windows.reshape(-1, *windows.shape[2:]), batch_size=16, verbose=0)
    return scores.reshape(*windows.shape[:2], scores.shape[-1])
