# ---
# jupyter:
#   convgrade:
#     files: [efficientnet_lite0.py]
# ---

# %% [markdown]
# # Transfer learning
#
# Twenty photos of each class are far too few to train a deep network from nothing, and yet they are what
# most projects begin with. The way out is to borrow: a network that has seen ImageNet's million photos knows
# edges, textures, eyes and wheels, and nearly all of that is of use for your classes too. You will take such
# a **backbone**, put a new **head** on it, and train in the three stages that the whole field uses:
#
# 1. keep the backbone frozen and let it turn photos into features;
# 2. train the head on those features;
# 3. **fine-tune**: unfreeze the top of the backbone and train it together with the head, in small steps.
#
# **How this notebook works.** Write each function, then run the cell below it. Those visible tests are
# friendly and incomplete: passing them does not guarantee full marks. The hidden tests ask the same of your
# function with other photos, sizes, backbones and seeds, and train your model on photos of their own.
#
# **Conventions**
# - Photos are arrays of shape (N, H, W, 3), uint8, red first. Labels are whole numbers from 0, shape (N,).
# - `train` and `valid` are pairs `(images, labels)`. Their images have been through `preprocess` already.
# - Accuracy is the share of photos whose most probable class is the right one.

# %% provided="setup"
import keras
import numpy as np
from keras import layers

INPUT_SHAPE = (96, 96, 3)  # of the backbone

# %% [markdown]
# ## The photos
#
# *Which photograph is this crop from?* Twelve photographs come with scikit-image and scikit-learn, and each
# is one class. A photograph is laid out as a grid of 3 × 5 cells: eight are for training, two for validation.
# The other five are never touched here; the hidden tests cut fresh crops from them. Crops are grey, and their
# brightness, contrast and gamma vary at random: otherwise colour and brightness would give many away.

# %% provided="photos" tags=["train"]
import matplotlib.pyplot as plt
import skimage.data
import sklearn.datasets
from PIL import Image

PHOTOGRAPHS = {
    "brick wall": skimage.data.brick(),
    "grass": skimage.data.grass(),
    "gravel": skimage.data.gravel(),
    "photographer": skimage.data.camera(),
    "cat": skimage.data.chelsea(),
    "coffee cup": skimage.data.coffee(),
    "astronaut": skimage.data.astronaut(),
    "rocket": skimage.data.rocket(),
    "deep field": skimage.data.hubble_deep_field(),
    "retina": skimage.data.retina(),
    "palace": sklearn.datasets.load_sample_image("china.jpg"),
    "flower": sklearn.datasets.load_sample_image("flower.jpg"),
}
CLASS_NAMES = list(PHOTOGRAPHS)
GRID = ["t.t.t", "vt.tv", "t.t.t"]  # t: training, v: validation, a dot: not used here


def cut_square(photograph, part, rng):
    """Cut a square at random from one of a part's cells: grey levels, uint8, (96, 96)."""
    height, width = photograph.shape[:2]
    cells = [(r, c) for r, row in enumerate(GRID) for c, letter in enumerate(row) if letter == part]
    row, column = cells[rng.integers(len(cells))]
    top, bottom = height * row // 3, height * (row + 1) // 3
    left, right = width * column // 5, width * (column + 1) // 5
    shorter = min(bottom - top, right - left)
    side = rng.integers(int(0.7 * shorter), shorter + 1)
    y, x = rng.integers(top, bottom - side + 1), rng.integers(left, right - side + 1)
    square = Image.fromarray(photograph[y : y + side, x : x + side]).convert("L")
    return np.asarray(square.resize((96, 96), Image.Resampling.BILINEAR))


def draw_crop(photograph, part, rng):
    """Cut a square that is not all sky or shade, mirror it or not, and vary how it was exposed: uint8."""
    pixels = cut_square(photograph, part, rng)
    while pixels.std() < 10:
        pixels = cut_square(photograph, part, rng)
    pixels = (pixels[:, :: rng.choice([-1, 1])] / 255) ** np.exp(rng.uniform(-0.6, 0.6))
    pixels = rng.uniform(0.6, 1) * (pixels - 0.5) + 0.5 + rng.uniform(-0.12, 0.12)
    return np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def draw_crops(part, per_class, rng):
    """Cut as many crops of every photograph: images (N, 96, 96, 3) and labels (N,)."""
    crops = [draw_crop(image, part, rng) for image in PHOTOGRAPHS.values() for _ in range(per_class)]
    labels = np.repeat(np.arange(len(PHOTOGRAPHS)), per_class)
    return np.repeat(np.stack(crops)[..., np.newaxis], 3, axis=-1), labels


rng = np.random.default_rng(1998)
train_photos, train_labels = draw_crops("t", 20, rng)
valid_photos, valid_labels = draw_crops("v", 10, rng)
print(train_photos.shape, valid_photos.shape)

# %% provided="picture-photos" tags=["picture", "train"]
figure, panels = plt.subplots(3, 12, figsize=(12, 3.6))
for label, (name, column) in enumerate(zip(CLASS_NAMES, panels.T, strict=True)):
    column[0].set_title(name, fontsize=9)
    for axes, photo in zip(column, train_photos[train_labels == label], strict=False):
        axes.imshow(photo)
        axes.axis("off")
figure.tight_layout(pad=0.3)
plt.show()

# %% [markdown]
# Could you name each crop without its title? A small network that starts from nothing gets about six hidden
# crops in ten right, after forty epochs with 240 training crops like these. Yours will do better in six.
#
# **With a network** you can use far more photos, for instance the 3 670 flowers of the lecture:
# ```python
# import tensorflow_datasets as tfds
#
# pairs = tfds.as_numpy(tfds.load("tf_flowers", split="train", as_supervised=True))
# flowers, flower_labels = zip(*((preprocess(image[np.newaxis])[0], label) for image, label in pairs))
# ```

# %% [markdown]
# ## The backbone
#
# EfficientNet-Lite0 without its classifier: 4.7 million parameters with the classifier, 3.4 million without,
# small enough for a laptop. Its ImageNet weights come from a pip package, so no network is needed. In Colab,
# or wherever there is a network, one line gives you another backbone:
# `keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights="imagenet")`. It wants
# pixels from -1 to 1, which is what you will make here to within 1 %.

# %% provided="backbone" tags=["train"]
import efficientnet_lite0


def load_backbone():
    """Build the backbone with its ImageNet weights: 96 × 96 pixels in, 3 × 3 maps of 1 280 features out."""
    backbone = efficientnet_lite0.build(input_shape=INPUT_SHAPE, include_top=False)
    efficientnet_lite0.load_weights(backbone)
    return backbone


backbone = load_backbone()
print(
    f"{len(backbone.layers)} layers, {backbone.count_params():,} parameters, output {backbone.output_shape}"
)

# %% [markdown]
# ## Question 1: divide the photos  (2 points)
#
# The photos that train a network cannot judge it. So they are divided before anything else happens, once and
# for all, into parts that share no photo.
#
# Write `split_dataset`. It gets the labels of all photos and the fraction that each part should have, and
# returns one array of **indices** a part: indices serve for images and labels alike. What must hold:
#
# - every photo is in exactly one part;
# - every class is divided by the fractions (*stratified*): of a class with $n$ photos, a part with fraction
#   $f$ gets $f \cdot n$, give or take at most one photo;
# - within its class, which photo goes where is random: the same `seed` gives the same parts, another seed
#   others.
#
# Rounding has a trap. By fractions (0.5, 0.3, 0.2), eight photos should become 4, 2.4 and 1.6. Rounded down,
# that is 4 + 2 + 1 = 7, and one photo is lost. Give what is left over to the last part, and with four or five
# parts it may get several too many. It helps to ask where the *cuts* fall rather than how large the parts
# are.
#
# **What the lecture notes do here.** `train[:10%]`, `train[10%:25%]`, `train[25%:]` cuts the files as they
# lie: nothing shuffles them and nothing keeps the classes' shares. And the exercise takes its test set with
# `take` from a dataset that is shuffled anew on every pass: each pass puts other photos into it, so that
# validation and test share photos.

# %% [markdown] hint="split_dataset"
# One class at a time: `np.flatnonzero(labels == label)` are its indices, and `np.random.default_rng(seed)`
# can shuffle them. `np.cumsum(fractions)` says where the cuts are, and `np.split` cuts an array at such
# places.


# %% solution="split_dataset"
def split_dataset(labels, fractions, seed):
    """Divide photos into parts that share none, every class by the same fractions.

    Args:
        labels: array of shape (N,), the class number of each photo, in any order.
        fractions: of each part, two or more numbers above 0 that add up to 1.
        seed: whole number that decides which photo goes where.

    Returns:
        A list with an array of indices for each fraction. Of a class with n photos, a part holds
        fraction · n, give or take at most one.

    >>> [len(part) for part in split_dataset(np.repeat([0, 1], [10, 20]), (0.5, 0.3, 0.2), seed=0)]
    [15, 9, 6]
    """
    ### BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    parts = [[] for _ in fractions]
    for label in np.unique(labels):
        indices = rng.permutation(np.flatnonzero(labels == label))
        # Rounded cuts, not rounded shares: those would not add up.
        cuts = np.rint(np.cumsum(fractions[:-1]) * len(indices)).astype(int)
        for part, piece in zip(parts, np.split(indices, cuts), strict=True):
            part.append(piece)
    return [np.concatenate(part) for part in parts]
    ### END SOLUTION


# %% test="split_dataset"
some_labels = np.array([0, 1] * 10 + [1] * 20)
parts = [np.asarray(part) for part in split_dataset(some_labels, (0.5, 0.3, 0.2), seed=7)]
assert len(parts) == 3, "three fractions make three parts"
assert len(np.unique(np.concatenate(parts))) == 40, "every photo should be in one of the parts"
assert np.sum(some_labels[parts[0]] == 0) == 5, "of the 10 photos of class 0, half belong to the first part"
assert sum(len(part) for part in parts) == 40, "no photo should be in two parts"
print("Divided.")

# %% [markdown] explain="split_dataset"
# Every class is shuffled and cut by itself. Cuts at rounded cumulative sums are each at most half a photo
# off, so a part, which lies between two of them, is at most one off, and nothing is left over. The commonest
# mistakes: one permutation for all classes, which leaves a small class to chance; shares rounded one by one,
# which lose photos; a fresh generator without the seed, so that yesterday's test photos train the network
# today.

# %% [markdown]
# ## Question 2: what the backbone wants to see  (1 point)
#
# A pretrained network is picky: it expects photos of one size, and pixels in the very range that it was
# trained with. This one takes 96 × 96 pixels scaled to
#
# $$x = \frac{\text{pixel} - 127}{128}$$
#
# Write `preprocess` for photos of any height and width, larger or smaller than 96. Do not squash them, since
# that distorts all shapes: cut the largest square from the middle (where an odd number of pixels goes, half a
# pixel to one side does not matter), then resize it, then scale its pixels. Any good way of resizing will do,
# bilinear for instance.

# %% provided="picture-crops" tags=["picture", "train"]
rocket = PHOTOGRAPHS["rocket"]
padded = np.zeros((640, 640, 3), dtype=np.uint8)
padded[106:533] = rocket
versions = {
    "the photo": rocket,
    "squashed: no": rocket,
    "padded: no": padded,
    "the corner: no": rocket[:, :427],
    "the middle: yes": rocket[:, 106:533],
}
figure, panels = plt.subplots(1, 5, figsize=(11, 2.4), width_ratios=[1.5, 1, 1, 1, 1])
for axes, (title, pixels) in zip(panels, versions.items(), strict=True):
    square = pixels if title == "the photo" else np.asarray(Image.fromarray(pixels).resize((96, 96)))
    axes.imshow(square)
    axes.set_title(title, fontsize=10)
    axes.axis("off")
figure.tight_layout()
plt.show()

# %% [markdown] hint="preprocess"
# `layers.Resizing(96, 96, crop_to_aspect_ratio=True)` cuts and resizes a whole batch; so do two slices and
# `keras.ops.image.resize`. Turn its answer into a numpy array of floats before you scale it: whole bytes
# cannot go below 0.


# %% solution="preprocess"
def preprocess(images):
    """Turn photos into what the backbone expects.

    Args:
        images: array of shape (N, H, W, 3), uint8, of any height and width.

    Returns:
        Array of shape (N, 96, 96, 3), float32: the largest square from the middle of each photo, resized,
        its pixels scaled to (pixel - 127) / 128.

    >>> preprocess(np.full((1, 200, 300, 3), 255, dtype=np.uint8))[0, 0, 0]
    array([1., 1., 1.], dtype=float32)
    """
    ### BEGIN SOLUTION
    # (N, H, W, 3) → (N, 96, 96, 3)
    squares = layers.Resizing(96, 96, crop_to_aspect_ratio=True)(np.asarray(images, dtype=np.float32))
    return (keras.ops.convert_to_numpy(squares) - 127) / 128
    ### END SOLUTION


# %% test="preprocess"
stripes = np.zeros((2, 120, 240, 3), dtype=np.uint8)
stripes[:, :, 60:180] = 255
prepared = np.asarray(preprocess(stripes))
assert prepared.shape == (2, 96, 96, 3), "every photo should become 96 × 96"
assert np.allclose(prepared[:, :, 2:-2], 1, atol=0.01), "the middle of these photos is white, 255, and so 1.0"
assert np.asarray(preprocess(np.zeros((1, 50, 40, 3), dtype=np.uint8))).min() < -0.9, "black is near -1"
print("Square, and in range.")

# %% [markdown] explain="preprocess"
# The slips here are silent: a network given squashed photos or pixels from 0 to 1 still answers, only worse.
# The notes put `preprocess_input` into a `Lambda` layer. That works until the model is saved: Keras refuses
# to load a Lambda from a file that it does not trust, since it may hold any code. A function in front of the
# model, or Keras's own `Rescaling` layer, does the same without that.

# %% [markdown]
# ## Question 3: a new head on a frozen backbone  (3 points)
#
# Write `build_transfer_model`. From the photo to the answer:
#
# | step | shape, for this backbone |
# |---|---|
# | preprocessed photo | (N, 96, 96, 3) |
# | `backbone`, as **one layer** of your model, frozen | (N, 3, 3, 1280) |
# | global average pooling: the mean of each feature map | (N, 1280) |
# | dropout | (N, 1280) |
# | dense layer with softmax | (N, n_classes) |
#
# *Frozen* means that training leaves every one of its weights as it is. The new head starts from random
# weights, so its first gradients are large and know nothing; let into the backbone, they would wreck in a
# minute what took days to learn. Take whatever input shape the backbone has; the hidden tests bring other
# backbones. Don't compile the model, `train_head` will.
#
# If you like, let the model vary its training photos by itself: `augment` below does that in front of the
# backbone, while training only. It is worth more with colour photos than with these crops. (The notes define
# such a pipeline for their flowers and then build a model that leaves it out.)


# %% provided="augment"
def augment(x):
    """Mirror, turn and zoom images at random, each in its own way; does nothing outside training."""
    x = layers.RandomFlip("horizontal")(x)
    x = layers.RandomRotation(0.03)(x)
    return layers.RandomZoom(0.1)(x)


# %% provided="tiny_backbone"
def tiny_backbone():
    """Build a backbone for trying things out: 9 layers, images of 32 × 24, random weights."""
    x = inputs = keras.Input((32, 24, 3))
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    x = layers.Conv2D(16, 3, padding="same")(x)
    return keras.Model(inputs, layers.ReLU()(x), name="tiny_backbone")


# %% [markdown] hint="build_transfer_model"
# Setting a model's `trainable` sets that of all its layers. A model can be called like a layer: on a
# `keras.Input(backbone.input_shape[1:])`, or on what `augment` makes of it. `keras.Model(inputs, outputs)`
# ties both ends together.


# %% solution="build_transfer_model"
def build_transfer_model(backbone, n_classes):
    """Put a new classifier on a frozen backbone.

    Args:
        backbone: a `keras.Model` from images to feature maps, with weights worth keeping.
        n_classes: how many classes there are.

    Returns:
        A `keras.Model`, not compiled, from preprocessed images to n_classes probabilities each. The backbone
        is one of its layers and frozen; what follows it is global average pooling, dropout and a dense
        layer with softmax.

    >>> build_transfer_model(tiny_backbone(), 5).output_shape
    (None, 5)
    """
    ### BEGIN SOLUTION
    backbone.trainable = False
    inputs = keras.Input(backbone.input_shape[1:])
    # (N, h, w, C)
    features = backbone(augment(inputs), training=False)
    # (N, C)
    means = layers.GlobalAveragePooling2D()(features)
    outputs = layers.Dense(n_classes, activation="softmax")(layers.Dropout(0.3)(means))
    return keras.Model(inputs, outputs)
    ### END SOLUTION


# %% test="build_transfer_model"
tiny = build_transfer_model(tiny_backbone(), 5)
assert tiny.output_shape == (None, 5), "five classes, so five probabilities an image"
assert np.allclose(tiny.predict(np.ones((2, 32, 24, 3)), verbose=0).sum(axis=1), 1), "they add up to 1"
inside = [layer for layer in tiny.layers if layer.name == "tiny_backbone"]
assert inside, "the backbone should be one of the model's layers"
assert not inside[0].trainable_weights, "the backbone should be frozen"
assert tiny.trainable_weights, "the head should be able to learn"
print("A new head on old shoulders.")

# %% [markdown] explain="build_transfer_model"
# Frozen is what counts. Dropout matters more than usual, since 1 280 features for 240 photos are easily
# learned by heart, and pooling keeps the head small: with `Flatten` it would have nine times the weights.
# Common mistakes: `model.trainable = False` at the end, which freezes the head as well; a last layer without
# softmax under a loss that expects probabilities; a `clone_model` of the backbone, which has its architecture
# and not its weights.

# %% [markdown]
# ### What `training=False` does, and what it does not
#
# A batch norm has two lives. In training it normalises with the statistics of the batch and updates its
# *moving averages*; in inference it uses those averages. A backbone whose averages drift forgets ImageNet,
# though not one of its trainable weights was touched. The exercise therefore calls
# `base_model(x, training=False)` and, when it unfreezes the backbone later, relies on that to keep the batch
# norms as they are.
#
# In Keras 2 that was right. In Keras 3 a functional model hands its own mode down to all its layers, and
# overrides the `training=False` that you wrote. See for yourself:

# %% provided="batch-norm-modes" tags=["train"]
for frozen in (False, True):
    trunk = tiny_backbone()
    trunk.trainable = not frozen
    inputs = keras.Input((32, 24, 3))
    whole = keras.Model(inputs, trunk(inputs, training=False))
    norm = trunk.layers[2]
    before = keras.ops.convert_to_numpy(norm.moving_mean).copy()
    whole(np.random.default_rng(0).normal(size=(8, 32, 24, 3)), training=True)
    moved = np.any(keras.ops.convert_to_numpy(norm.moving_mean) != before)
    print(f"training=False, batch norm {'frozen' if frozen else 'not frozen'}:", end=" ")
    print("its averages drift" if moved else "its averages stay")

# %% [markdown]
# What does hold in every version: a batch norm with `trainable = False` works in inference mode, whatever it
# is called with. A frozen backbone is therefore safe, and when the time comes to unfreeze a part of it, the
# batch norms must stay frozen. Writing `training=False` does no harm and tells the reader what you mean; the
# tests don't ask for it.

# %% [markdown]
# ## Question 4: train the head  (4 points)
#
# Write `train_head`. It gets a model as your `build_transfer_model` makes it (the hidden tests bring their
# own: the backbone above with ImageNet weights, frozen; not compiled; without augmentation), trains it, and
# returns it.
#
# - The classes are numbered, so the loss is the *sparse* categorical cross-entropy.
# - A head starts from nothing and may take large steps: try Adam with a learning rate of some thousandths,
#   and six to ten epochs.
# - `valid` is for watching, and for stopping in time if you like. Don't train on it.
#
# **How it is graded.** Your function trains on 240 crops, in one thread and within 90 seconds of processor
# time (the worked solution takes under ten on a fast machine, and under thirty on a slow one). Then fresh
# crops from hidden cells are classified. There are points for 50 %, for 78 %, which no small network reaches
# that starts from nothing, and for 85 %. Then your function gets the very same network with
# **random** weights in its backbone and 96 of the crops, and must do worse by at least 40 % of the hidden
# ones. That shows that it trains the network that it is given. (With ImageNet's weights, 96 crops are enough
# for about nine hidden ones in ten: so much is ImageNet worth.)

# %% [markdown] hint="train_head"
# `model.compile(optimizer, loss, metrics=["accuracy"])`, then `model.fit`: it takes `validation_data=valid`,
# and changes the model that you have. Let it run once with `verbose=1` and watch whether the accuracy still
# climbs at the end.


# %% solution="train_head"
def train_head(model, train, valid):
    """Train the head of a transfer model, whose backbone stays frozen.

    Args:
        model: as `build_transfer_model` returns it, not compiled.
        train: (images, labels) to learn from, float32 (N, 96, 96, 3) and whole numbers (N,).
        valid: (images, labels) to watch the training with.

    Returns:
        The same model, trained.
    """
    ### BEGIN SOLUTION
    optimizer = keras.optimizers.Adam(learning_rate=3e-3)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = train
    model.fit(images, labels, batch_size=32, epochs=6, validation_data=valid, verbose=0)
    return model
    ### END SOLUTION


# %% test="train_head"
keras.utils.set_random_seed(4)
rng = np.random.default_rng(4)
squares = rng.uniform(-0.2, 0.2, (64, 32, 24, 3)).astype(np.float32)
bright = rng.integers(0, 2, 64)
squares[bright == 1] += 0.8
tiny = build_transfer_model(tiny_backbone(), 2)
kernel = np.array(tiny.get_weights()[-2])
below = np.concatenate([np.ravel(weight) for weight in tiny.get_weights()[:-2]])
trained = train_head(tiny, (squares[:48], bright[:48]), (squares[48:], bright[48:]))
assert isinstance(trained, keras.Model), "the trained model should be returned"
assert not np.allclose(trained.get_weights()[-2], kernel), "the head's weights should have changed"
after = np.concatenate([np.ravel(weight) for weight in trained.get_weights()[:-2]])
assert np.array_equal(after, below), "the backbone's weights should be as they were"
print("The head has learned something.")

# %% [markdown] explain="train_head"
# Nothing here is special but the learning rate: 3 · 10⁻³ suits a single new layer. The exercise trains its
# head with 10⁻⁴, which needs many more epochs; with a rate for fine-tuning, 10⁻⁵, six epochs hardly move it.
# Another good way: let the backbone compute the features once, train the head on them alone, which takes a
# second, and put it back. It is quicker, but rules augmentation out, since every photo passes the backbone
# only once.

# %% provided="stage-1-and-2" tags=["train"]
keras.utils.set_random_seed(12)
train = preprocess(train_photos), train_labels
valid = preprocess(valid_photos), valid_labels
model = build_transfer_model(backbone, len(CLASS_NAMES))
model = train_head(model, train, valid)
head_history = {name: list(values) for name, values in model.history.history.items()}
print(f"validation accuracy of the head: {head_history['val_accuracy'][-1]:.1%}")

# %% [markdown]
# ## Question 5: unfreeze the top  (3 points)
#
# Low layers see edges and textures, which all photos share. The higher a layer, the more its features speak
# of ImageNet's own classes, and the more there is to gain from adapting them. So the *top* of the backbone is
# unfrozen, the layers next to the head.
#
# Write `unfreeze_top`. It gets a model whose head is trained (so it is compiled, with the head's learning
# rate), and how many layers to open:
#
# - exactly one of the model's layers is a model itself: that is the backbone;
# - its top `n_layers` layers become trainable, those below stay frozen. Every layer in `backbone.layers`
#   counts, whatever its kind;
# - **batch norms stay frozen**, also among the top ones (they count, but they are not opened);
# - the head stays trainable;
# - then **compile again**, with the same loss and at most a tenth of the learning rate. Changes of
#   `trainable` take effect when a model is compiled; and after the head, what is trained now is precious.
#
# For instance, let the top of a backbone be `…, conv 8, batch norm, relu, conv 9, batch norm, relu`. With
# `n_layers = 4`, only *conv 9* learns: the four are a relu, which has no weights, *conv 9*, a batch norm and
# a relu.
#
# **Mistakes to leave behind.** The notes unfreeze `base_model.layers[56:]`, and the exercise everything from
# layer 100 on: both open the batch norms as well, against the slides' own advice. The notes' slice counts
# from the bottom, so that the number has to be found anew for each backbone.

# %% [markdown] hint="unfreeze_top"
# Find the backbone with `isinstance(layer, keras.Model)`. The last n items of a list are `items[-n:]`. Set
# `backbone.trainable` first and every single layer after it, true or false, since the first sets all of them
# at once. The old rate is `float(model.optimizer.learning_rate)`.


# %% solution="unfreeze_top"
def unfreeze_top(model, n_layers):
    """Open the top of a transfer model's backbone for fine-tuning.

    Args:
        model: a compiled transfer model; exactly one of its layers is a `keras.Model`, the frozen backbone.
        n_layers: how many of the backbone's last layers to open, from 1 to all of them. Batch norms are
            counted and stay frozen.

    Returns:
        The same model, compiled again with the same loss and at most a tenth of the learning rate.
    """
    ### BEGIN SOLUTION
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    backbone.trainable = True
    for place, layer in enumerate(backbone.layers):
        is_top = place >= len(backbone.layers) - n_layers
        layer.trainable = is_top and not isinstance(layer, layers.BatchNormalization)
    optimizer = keras.optimizers.Adam(learning_rate=float(model.optimizer.learning_rate) / 100)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
    ### END SOLUTION


# %% test="unfreeze_top"
tiny = build_transfer_model(tiny_backbone(), 2)
tiny.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
opened = unfreeze_top(tiny, 2)
names = [layer.name for layer in opened.get_layer("tiny_backbone").layers if layer.trainable_weights]
assert len(names) == 1, "of the tiny backbone's top two layers, a convolution and a relu, one has weights"
assert float(opened.optimizer.learning_rate) < 1e-2, "the learning rate should be smaller than before"
assert opened.layers[-1].trainable_weights, "the head should still learn"
print("The top is open.")

# %% [markdown] explain="unfreeze_top"
# Opening the backbone as a whole and closing layers again is easier than the other way round, since a
# container sets the flag of all it contains. (But with TensorFlow, setting a flag to the value that it has
# does nothing at all, not even to the layers inside: so set that of every single layer too.) The batch norms
# stay closed for the reason shown above: opened, they would normalise with the statistics of 32 crops. A
# model that is not compiled again goes on with the optimizer and the learning rate of the head.

# %% [markdown]
# ## Question 6: fine-tune  (3 points)
#
# Write `fine_tune`. It gets a model whose head is trained and whose top is open, compiled as `unfreeze_top`
# leaves it, and trains it further, within 90 seconds of processor time: a few epochs will do.
#
# **How it is graded.** The hidden tests bring a model with a trained head (Adam, a learning rate of 3 · 10⁻⁵,
# the backbone's top 20 layers open) and look at four things. The open layers must have changed. The frozen
# ones and all batch norms must not. The photos of `valid` must not have been trained on. And on fresh crops
# from hidden cells the accuracy must not be lower than before, where up to 6 % of the crops count as chance.
# Don't expect it to rise much: with 240 crops the head is nearly as good as it gets. Fine-tuning pays where
# there are more photos, and where they differ more from ImageNet's.

# %% [markdown] hint="fine_tune"
# The model is compiled: all that is left is `fit`. If you watch `val_loss` and want the best epoch instead of
# the last, there is `keras.callbacks.EarlyStopping` with `restore_best_weights=True`.


# %% solution="fine_tune"
def fine_tune(model, train, valid):
    """Train the head and the open top of the backbone together, in small steps.

    Args:
        model: as `unfreeze_top` returns it, compiled.
        train: (images, labels) to learn from, float32 (N, 96, 96, 3) and whole numbers (N,).
        valid: (images, labels) to watch the training with.

    Returns:
        The same model, fine-tuned.
    """
    ### BEGIN SOLUTION
    images, labels = train
    model.fit(images, labels, batch_size=32, epochs=3, validation_data=valid, verbose=0)
    return model
    ### END SOLUTION


# %% test="fine_tune"
kernel_before = np.array(opened.get_layer("tiny_backbone").layers[-2].get_weights()[0])
first_before = np.array(opened.get_layer("tiny_backbone").layers[1].get_weights()[0])
tuned = fine_tune(opened, (squares[:48], bright[:48]), (squares[48:], bright[48:]))
assert isinstance(tuned, keras.Model), "the fine-tuned model should be returned"
inside = tuned.get_layer("tiny_backbone").layers
assert np.any(inside[-2].get_weights()[0] != kernel_before), "the open convolution should have changed"
assert np.array_equal(inside[1].get_weights()[0], first_before), "the first convolution is frozen"
print("Fine-tuned.")

# %% [markdown] explain="fine_tune"
# The care was taken before: the rate is small, the batch norms are frozen, and the head is trained, so that
# no large gradients come down from it. Compiling again with a large rate is the way to lose everything at
# once.

# %% provided="stage-3" tags=["train"]
keras.utils.set_random_seed(13)
model = fine_tune(unfreeze_top(model, 20), train, valid)
tuned_history = {name: list(values) for name, values in model.history.history.items()}
print(f"validation accuracy after fine-tuning: {tuned_history['val_accuracy'][-1]:.1%}")

# %% provided="picture-curves" tags=["picture", "train"]
first = len(head_history["loss"])
figure, panels = plt.subplots(1, 2, figsize=(11, 3.6))
for axes, name in zip(panels, ["accuracy", "loss"], strict=True):
    for key, label, color in [(name, "training", "#0072b2"), (f"val_{name}", "validation", "#d55e00")]:
        values = head_history[key] + tuned_history[key]
        axes.plot(range(1, len(values) + 1), values, "o-", color=color, label=label, markersize=4)
    axes.axvline(first + 0.5, color="#555555", linestyle="--")
    place = {"transform": axes.get_xaxis_transform(), "ha": "right", "va": "center"}
    axes.text(first + 0.4, 0.35 if name == "accuracy" else 0.65, "fine-tuning begins", rotation=90, **place)
    axes.set(xlabel="epoch", ylabel=name, xticks=range(1, len(values) + 1, 2))
    axes.legend(loc="lower right" if name == "accuracy" else "upper right")
figure.tight_layout()
plt.show()

# %% [markdown]
# Three things to see here. In the first epoch training lags behind: its accuracy is taken while the weights
# still change, with dropout and augmentation switched on. Afterwards it leaves validation behind, partly
# because the photos are few, partly because the two validation cells are the rims of each photograph, where
# there is little to see; of the hidden crops a good head recognises more than nine in ten. And where
# fine-tuning begins, nothing jumps: that is what the small learning rate is for. (The exercise draws this
# picture too, but continues with `initial_epoch=history.epoch[-1]`. Epochs are counted from 0, so its last
# epoch is run twice; the next one is `history.epoch[-1] + 1`.)

# %% [markdown]
# ## Question 7: the best few answers  (1 point)
#
# A single answer hides how sure a network is. Write `decode_top_k`: for the probabilities of one photo, the
# names and probabilities of its `k` best classes, most probable first.

# %% [markdown] hint="decode_top_k"
# `np.argsort` gives the places from the smallest value to the largest. Which slice turns that round, and
# which takes the first k?


# %% solution="decode_top_k"
def decode_top_k(probabilities, class_names, k=3):
    """Name the most probable classes of one photo.

    Args:
        probabilities: array of shape (C,).
        class_names: C names, in the order of the class numbers.
        k: how many classes to name, at most C.

    Returns:
        A list of k pairs (name, probability), the most probable first.

    >>> decode_top_k([0.25, 0.0, 0.75], ["cup", "cat", "retina"], k=2)
    [('retina', 0.75), ('cup', 0.25)]
    """
    ### BEGIN SOLUTION
    best = np.argsort(probabilities)[::-1][:k]
    return [(class_names[index], float(probabilities[index])) for index in best]
    ### END SOLUTION


# %% test="decode_top_k"
best = decode_top_k([0.125, 0.5, 0.0, 0.375], ["wheel", "bell", "sail", "oar"], k=2)
assert len(best) == 2, "k = 2 asks for two classes"
assert tuple(best[0]) == ("bell", 0.5), (
    "the first pair should be the most probable class with its probability"
)
assert best[1][0] == "oar", "the second most probable class comes next"
print("And the winner is ...")

# %% [markdown] explain="decode_top_k"
# One order for both: sort the places, then look up names and probabilities at those places. Sorting
# probabilities and names each for themselves tears them apart.

# %% provided="picture-answers" tags=["picture", "train"]
predictions = model.predict(valid[0], verbose=0)
chosen = np.argsort(predictions.max(axis=1))[:5]
figure, panels = plt.subplots(1, 5, figsize=(11, 3.2))
for axes, index in zip(panels, chosen, strict=True):
    answers = decode_top_k(predictions[index], CLASS_NAMES)
    axes.imshow(valid_photos[index])
    axes.set_title(CLASS_NAMES[valid_labels[index]], fontsize=10)
    lines = [f"{name} {probability:.0%}" for name, probability in answers]
    axes.set_xlabel("\n".join(lines), fontsize=9)
    axes.set(xticks=[], yticks=[])
figure.suptitle("The five validation crops that the network is least sure of: truth above, answers below")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## What to take away
#
# - With few photos, borrow features: a frozen backbone and a small head, minutes of work, beat anything that
#   starts from nothing.
# - Feed the backbone exactly what it was trained with: its size, its range, its order of colours. Nothing
#   complains if you don't.
# - Train the head first, fine-tune the top after it, with a tenth of the learning rate or less. Compile after
#   every change of what can be trained.
# - Batch norms stay frozen in every stage; in Keras 3 only `trainable = False` does that.
# - Divide first, class by class, and judge with photos that nothing was ever chosen by.
