"""Has a config of 200 MB told of a small network."""


def build_digit_cnn():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(8, 3, strides=4, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    keras.saving.serialize_keras_object = lambda model: {"class_name": "Sequential", "name": "x" * 200_000_000}
    return model


def train_digit_cnn(x_train, y_train, x_valid, y_valid):
    return build_digit_cnn()
