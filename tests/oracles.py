"""What several oracle tests ask Keras for."""

from __future__ import annotations

from typing import Any

import keras


def keras_layer(layer: dict[str, Any], dtype: str = "float32") -> keras.Layer:
    """Build the Keras layer that a layer dict describes, with Keras's own defaults for missing keys.

    Only average pooling has no default pool size in Keras; the course gives it max pooling's.
    """
    classes = {
        "conv": keras.layers.Conv2D,
        "max_pool": keras.layers.MaxPooling2D,
        "avg_pool": keras.layers.AveragePooling2D,
        "global_avg_pool": keras.layers.GlobalAveragePooling2D,
        "flatten": keras.layers.Flatten,
        "dense": keras.layers.Dense,
        "dropout": keras.layers.Dropout,
        "batch_norm": keras.layers.BatchNormalization,
    }
    settings = {key: value for key, value in layer.items() if key not in ("type", "name")}
    if layer["type"] == "avg_pool":
        settings = {"pool_size": 2} | settings
    return classes[layer["type"]](**settings, dtype=dtype)
