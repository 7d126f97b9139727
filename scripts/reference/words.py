"""The words of docs/layers.md that no op says for itself."""

INTRO = """\
<!-- Made by `make reference` from the files of the ops. -->

# Layers, and all else that has a name

Everything in this page is told by the op itself: the formula is the first line of its file, shapes
and counts are what it computes. `netdsl explain FILE LAYER` shows the formula of a layer of your
net at the terminal, with its own numbers.

A *size* is a number, or one number for each spatial axis: `conv(64, 3)`, `conv(64, 3x5)`. Layers
with a window work on 1-D, 2-D and 3-D inputs by the rank of what enters. Shapes are of one sample,
channels first: `3x224x224`. A MAC is one multiplication with its addition, for one sample. What
is *known elsewhere* under other names is not taken under them: the error names the right one.

"""

KINDS = {
    "layer": (
        "Layers",
        "A layer is a step of a net: `conv(64, 3) -> bn -> relu`. A join takes several inputs:\n"
        "`concat [ a, b ]`. `residual` and `dense_block`, which take steps in braces, are in\n"
        "[the language](language.md#residual).\n\n",
    ),
    "loss": (
        "Losses",
        "`loss = cross_entropy(@logits)` in a `train` section: a loss reads a tensor of the net\n"
        "and compares it with the labels of the data, or with another tensor:\n"
        "`mse(@made, target=@image)`. Losses are added, and multiplied with numbers.\n\n",
    ),
    "optimizer": ("Optimizers", "`optimizer = sgd(lr=0.05, momentum=0.9)`.\n\n"),
    "schedule": (
        "Schedules",
        "`schedule = cosine(warmup=1)`: what the learning rate is multiplied with as training\n"
        "goes on. Without one it stays as it is.\n\n",
    ),
    "initializer": ("Initializers", "`conv(64, 3, init=kaiming)`: how weights begin.\n\n"),
    "metric": (
        "Metrics",
        "`metrics = [accuracy, top(5)]`: figures for people; the higher, the better.\n\n",
    ),
    "augmentation": (
        "Augmentations",
        "`augment = [...]`: changes of the samples to train on, in the order of the list.\n\n",
    ),
    "dataset": ("Datasets", "`data = digits(val=0.1)`.\n\n"),
    "recipe": (
        "Keys of train",
        "`loss` must be given, and is a sum of [losses](language.md#losses). The others:\n\n",
    ),
}
"""The kinds in the order of the page, with their titles."""

GROUPS = (
    "Input",
    "Layers that learn",
    "Activations",
    "Normalisation",
    "Pooling",
    "Joins",
    "Other layers",
)

SHARED = {
    "layer": {
        "channels": "how many channels it makes",
        "window": "the window's extent",
        "stride": "how far the window moves from one output to the next",
        "pad": "how many zeros are added on either side",
        "dilation": "the distance between the elements that the window looks at",
        "ceil": "`true` rounds the output size up, as Caffe does",
        "bias": "whether a number is added to each output",
        "init": "how the weights begin",
        "bias_init": "how the biases begin",
        "eps": "keeps the division from 0",
        "affine": "whether a scale and a shift are learnt for each channel",
        "p": "the probability of being dropped",
    },
    "optimizer": {
        "lr": "the learning rate, before the schedule",
        "momentum": "how much of the last step is kept",
        "weight_decay": "the strength of the pull towards 0",
        "decay_bn": "`false` leaves biases and normalisation out of weight decay",
        "eps": "keeps the division from 0",
        "beta1": "how much of the mean of gradients is kept",
        "beta2": "how much of the mean of squares is kept",
    },
    "schedule": {"warmup": "how many epochs the rate climbs from 0 at the start"},
    "initializer": {
        "distribution": "the shape of the distribution",
        "gain": "a factor for what the activation takes away",
        "std": "the standard deviation",
        "bound": "the largest number",
        "value": "the number",
        "fan": "count what enters an output, or what leaves an input",
    },
    "dataset": {
        "directory": "where its files are",
        "val": "how much to hold out of the training samples, to watch",
        "test": "how much to hold out for the test",
        "pad": "how many zeros to add on every side",
    },
}
"""Parameters that mean the same in all ops of a kind; an op's own words win."""
