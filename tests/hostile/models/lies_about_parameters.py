"""Returns a network that is far too large and says that it is small."""


def build_digit_cnn():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.count_params = lambda: 1_000
    for layer in model.layers:
        layer.count_params = lambda: 100
    keras.Model.count_params = keras.layers.Layer.count_params = lambda self: 1_000
    return model
