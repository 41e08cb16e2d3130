"""Right answers without a loop over classes: sorted random keys, layers that prepare, AdamW, a schedule."""

import heapq

import tensorflow as tf


def split_dataset(labels, fractions, seed):
    """Sort by class and a random key; how far down its class a photo comes says where it goes."""
    labels = np.asarray(labels)
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    cuts = np.rint(np.outer(np.cumsum(fractions)[:-1], counts)).astype(int)  # (parts - 1, classes)
    part = (rank >= np.repeat(cuts, counts, axis=1)).sum(axis=0)
    return [order[part == number].tolist() for number in range(len(fractions))]


def preprocess(images):
    side = min(np.shape(images)[1:3])
    prepared = keras.Sequential(
        [
            layers.CenterCrop(side, side),
            layers.Resizing(96, 96, interpolation="bilinear"),
            layers.Rescaling(1 / 128, offset=-127 / 128),
        ]
    )
    return keras.ops.convert_to_numpy(prepared(keras.ops.cast(images, "float32")))


def build_transfer_model(backbone, n_classes):
    for layer in [backbone, *backbone.layers]:
        layer.trainable = False
    model = keras.Sequential([keras.Input(backbone.input_shape[1:]), backbone])
    model.add(layers.GlobalAveragePooling2D(keepdims=True))
    model.add(layers.SpatialDropout2D(0.25))
    model.add(layers.Flatten())
    model.add(layers.Dense(n_classes, kernel_initializer="zeros"))
    model.add(layers.Activation("softmax"))
    return model


def train_head(model, train, valid):
    """Mirror half of the photos anew in each epoch, and slow down where validation no longer improves."""
    images, labels = train
    rng = np.random.default_rng(5)
    optimizer = keras.optimizers.AdamW(4e-3, weight_decay=1e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    slower = keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.5)
    for epoch in range(7):
        mirrored = np.where(rng.random(len(images))[:, None, None, None] < 0.5, images[:, :, ::-1], images)
        model.fit(
            mirrored, labels, batch_size=40, epochs=epoch + 1, initial_epoch=epoch, validation_data=valid,
            callbacks=[slower], verbose=0,
        )  # fmt: skip
    return model


def unfreeze_top(model, n_layers):
    (backbone,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    backbone.trainable = True
    for from_the_top, layer in enumerate(reversed(backbone.layers), start=1):
        closed = from_the_top > n_layers or isinstance(layer, layers.BatchNormalization)
        layer.trainable = not closed
    rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate) / 30
    optimizer = keras.optimizers.AdamW(float(rate))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    return model


def fine_tune(model, train, valid):
    begun = float(model.optimizer.learning_rate)
    falling = keras.callbacks.LearningRateScheduler(lambda epoch: begun / (1 + epoch))
    pairs = tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[1])).batch(24)
    model.fit(pairs, epochs=3, validation_data=valid, callbacks=[falling], verbose=0)
    return model


def decode_top_k(probabilities, class_names, k=3):
    best = heapq.nlargest(k, enumerate(probabilities), key=lambda pair: pair[1])
    return [(class_names[index], float(probability)) for index, probability in best]
