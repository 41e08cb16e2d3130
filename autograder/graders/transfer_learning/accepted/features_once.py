"""Right answers that are thrifty: features are computed once, photos are resized by Pillow."""


def split_dataset(labels, fractions, seed):
    """Deal every class to the part that lacks most of it, photo by photo."""
    generator = np.random.RandomState(seed)
    parts = [[] for _ in fractions]
    for label in sorted({int(label) for label in labels}):
        photos = [index for index, other in enumerate(labels) if other == label]
        generator.shuffle(photos)
        dealt = [0] * len(fractions)
        for photo in photos:
            lacking = [f * len(photos) - had for f, had in zip(fractions, dealt, strict=True)]
            part = lacking.index(max(lacking))
            dealt[part] += 1
            parts[part].append(photo)
    return parts


def preprocess(images):
    from PIL import Image, ImageOps

    fitted = [ImageOps.fit(Image.fromarray(image), (96, 96), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image, dtype=np.float32) for image in fitted]) / 127.5 - 1


def build_transfer_model(backbone, n_classes):
    backbone.trainable = False
    return keras.Sequential(
        [
            keras.Input(backbone.input_shape[1:]),
            backbone,
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(n_classes, activation="softmax"),
        ]
    )


def train_head(model, train, valid):
    """Train the last two layers on features, then let them see whole photos again."""
    images, labels = train
    below = keras.Model(model.input, model.layers[-3].output)
    features, valid_features = (below.predict(part, verbose=0) for part in (images, valid[0]))
    head = keras.Sequential([keras.Input(features.shape[1:]), *model.layers[-2:]])
    head.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    head.fit(
        features,
        labels,
        epochs=40,
        validation_data=(valid_features, valid[1]),
        callbacks=[stop],
        verbose=0,
    )
    return model


def unfreeze_top(model, n_layers):
    """Set the flags of single layers, and never that of the backbone as a whole."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            for inner in layer.layers[-n_layers:]:
                if "BatchNormalization" not in type(inner).__name__:
                    inner.trainable = True
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=1e-5, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    return model


def fine_tune(model, train, valid):
    stop = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    model.fit(*train, batch_size=16, epochs=4, validation_data=valid, callbacks=[stop], verbose=0)
    return model


def decode_top_k(probabilities, class_names, k=3):
    pairs = sorted(zip(probabilities, class_names, strict=True), reverse=True)
    return [(name, float(probability)) for probability, name in pairs[:k]]
