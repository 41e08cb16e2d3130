"""Right answers that go batch by batch, with the layers and losses spelled out."""


def split_dataset(labels, fractions, seed):
    """Walk through all photos in random order, and let each take its class's next place."""
    labels = np.asarray(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    part_of = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        cuts = [round(sum(fractions[: part + 1]) * len(mine)) for part in range(len(fractions) - 1)]
        part_of[mine] = np.searchsorted(cuts, np.arange(len(mine)), side="right")
    return tuple(np.flatnonzero(part_of == part) for part in range(len(fractions)))


def preprocess(images):
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = round((height - side) / 2), round((width - side) / 2)
    squares = images[:, top : top + side, left : left + side].astype("float32")
    resized = keras.ops.image.resize(squares, (96, 96), interpolation="bicubic", antialias=True)
    return np.clip((np.asarray(resized) - 127.0) / 128.0, -1, 1)


def build_transfer_model(backbone, n_classes):
    for layer in backbone.layers:
        layer.trainable = False
    inputs = layers.Input(shape=backbone.input_shape[1:])
    x = layers.RandomFlip("horizontal")(inputs)
    x = backbone(x)
    x = layers.AveragePooling2D(x.shape[1:3])(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    x = layers.Dense(n_classes)(x)
    return keras.Model(inputs=inputs, outputs=layers.Softmax()(x))


def learn(model, train, epochs, batch_size=24):
    """Show a compiled model every photo once an epoch, in random order."""
    images, labels = train
    order = np.arange(len(labels))
    for epoch in range(epochs):
        np.random.default_rng(epoch).shuffle(order)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            model.train_on_batch(images[chosen], labels[chosen])


def train_head(model, train, valid):
    """Keep the weights of the round with the best accuracy on validation photos."""
    model.compile(
        optimizer=keras.optimizers.RMSprop(2e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    best, kept = -1.0, model.get_weights()
    for _ in range(3):
        learn(model, train, epochs=3)
        accuracy = model.evaluate(*valid, verbose=0, return_dict=True)["accuracy"]
        if accuracy > best:
            best, kept = accuracy, model.get_weights()
    model.set_weights(kept)
    return model


def unfreeze_top(model, n_layers):
    rate = float(model.optimizer.learning_rate.numpy())
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            layer.trainable = True
            for inner in layer.layers[: len(layer.layers) - n_layers]:
                inner.trainable = False
            for inner in layer.layers:
                if isinstance(inner, keras.layers.BatchNormalization):
                    inner.trainable = False
    schedule = keras.optimizers.schedules.CosineDecay(rate / 10, decay_steps=100)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=keras.losses.sparse_categorical_crossentropy,
        metrics=["accuracy"],
    )
    return model


def fine_tune(model, train, valid):
    learn(model, train, epochs=2)
    return model


def decode_top_k(probabilities, class_names, k=3):
    chosen = []
    remaining = dict(enumerate(probabilities))
    for _ in range(k):
        best = max(remaining, key=remaining.get)
        chosen.append([class_names[best], remaining.pop(best)])
    return chosen
