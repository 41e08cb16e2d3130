"""Puts code of its own into the network: a Lambda that reads files wherever the network is run."""


def read(x):
    for path in ("/etc/passwd", "/proc/1/environ"):
        with open(path, "rb") as file:
            file.read()
    with open("/tmp/opened-by-a-lambda", "w") as file:
        file.write("read")
    return x


def build_digit_cnn():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Lambda(read),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(8, 3, strides=4, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def train_digit_cnn(x_train, y_train, x_valid, y_valid):
    return build_digit_cnn()
