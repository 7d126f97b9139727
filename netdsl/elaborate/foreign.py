"""The words of other systems (Keras, PyTorch, Caffe, darknet), and what to write for them here.

Names are in lower case, without underscores, and layers without the number of dimensions.
"""

from __future__ import annotations

from typing import Any

LAYERS = {
    "linear": "dense", "fullyconnected": "dense", "fc": "dense", "innerproduct": "dense",
    "connected": "dense", "maxpooling": "maxpool", "avgpooling": "avgpool",
    "averagepooling": "avgpool", "averagepool": "avgpool", "batchnormalization": "bn",
    "batchnorm": "bn", "convolution": "conv", "convolutional": "conv",
    "globalaveragepooling": "global_avgpool", "globalavgpool": "global_avgpool",
    "globalaveragepool": "global_avgpool", "gap": "global_avgpool",
    "adaptiveavgpool": "global_avgpool", "adaptivemaxpool": "global_maxpool",
    "globalmaxpooling": "global_maxpool", "concatenate": "concat", "cat": "concat",
    "identity": "id", "leakyrelu": "leaky_relu", "leaky": "leaky_relu", "logistic": "sigmoid",
    "multiply": "mul", "sum": "add", "average": "mean", "maximum": "max",
    "upsampling": "upsample", "upsamplingnearest": "upsample", "interpolate": "upsample",
    "upsamplingbilinear": "upsample", "convtranspose": "upconv", "conv2dtranspose": "upconv",
    "conv1dtranspose": "upconv", "conv3dtranspose": "upconv", "deconv": "upconv",
    "deconvolution": "upconv", "deconvolutional": "upconv", "layernormalization": "layer_norm",
    "localresponsenorm": "lrn", "localresponsenormalization": "lrn", "crossmaplrn": "lrn",
    "stochasticdepth": "drop_path", "positionalencoding": "position",
    "positionembedding": "position", "positionalembedding": "position", "posembedding": "position",
    "posenc": "position", "clstoken": "class_token",
    "simplernn": "rnn", "elman": "rnn", "cudnnlstm": "lstm", "cudnngru": "gru",
    "assert": "expect",
}  # fmt: skip
"""Layers that are the same under another name."""

_PADDING = "padding belongs to the layer: conv(64, 3, pad=1)"
_SHAPE = "flatten makes a vector, sequence a sequence of positions; channels always come first"
_DEPTHWISE = "every channel is a group of its own: conv(in.c, 3, groups=in.c)"
_BRANCHES = "branches stand between brackets: concat [ conv(8, 1), conv(8, 3, pad=same) ]"
_LOSS = "a loss belongs to the recipe: train { loss = cross_entropy(@logits) ... }, a key a line"
_DATA = "data belong to the recipe: train { data = digits() ... }, a key a line"
_NORM = "there are bn, layer_norm and lrn"
_RECTIFIERS = "there are relu, relu6, leaky_relu, elu and gelu"
_ENCODER = 'write: import encoder from "vit", and the step encoder(8)'
_JOINS = "joins are add, concat, max, mean, mul"
_HEADS = "write conv(3 * in.c, 1) -> attention(8) -> conv(in.c, 1)"
_CODE = "a file runs no code: make a block of layers"

STEPS = {
    "activation": "write the activation itself as a step: -> relu",
    "zeropadding": _PADDING, "zeropad": _PADDING, "pad": _PADDING,
    "reflectionpad": _PADDING, "constantpad": _PADDING,
    "depthwiseconv": _DEPTHWISE, "depthwiseconvolution": _DEPTHWISE,
    "separableconv": "write it as two: conv(in.c, 3, groups=in.c) -> conv(64, 1)",
    "permute": "channels come first, everywhere: leave it out",
    "transpose": "channels come first, everywhere: leave it out",
    "view": _SHAPE, "reshape": _SHAPE, "squeeze": _SHAPE, "unsqueeze": _SHAPE, "ravel": _SHAPE,
    "sequential": "steps in series stand between braces: { conv(6, 5) -> relu }",
    "series": "steps in series stand between braces: { conv(6, 5) -> relu }",
    "parallel": _BRANCHES, "split": _BRANCHES, "branch": _BRANCHES, "branches": _BRANCHES,
    "repeat": "write { ... } * 3, or conv(64, 3, pad=same) * 3",
    "loop": "write { ... } * 3, or conv(64, 3, pad=same) * 3",
    "input": "an input is a statement: input image(1x28x28)",
    "inputlayer": "an input is a statement: input image(1x28x28)",
    "bidirectional": "join two directions: concat [ lstm(64), lstm(64, reverse=true) ]",
    "timedistributed": "a dense layer at every position is a convolution of one: conv(10, 1)",
    "pool": "write maxpool(2), or avgpool(2)", "pooling": "write maxpool(2), or avgpool(2)",
    "silu": "write mul [ id, sigmoid ]", "swish": "write mul [ id, sigmoid ]",
    "selu": _RECTIFIERS, "prelu": _RECTIFIERS, "mish": _RECTIFIERS, "softplus": _RECTIFIERS,
    "hardswish": _RECTIFIERS, "hardtanh": _RECTIFIERS, "softsign": _RECTIFIERS,
    "rrelu": _RECTIFIERS, "celu": _RECTIFIERS, "glu": _RECTIFIERS,
    "groupnorm": _NORM, "instancenorm": _NORM, "groupnormalization": _NORM, "rmsnorm": _NORM,
    "normalize": _NORM, "weightnorm": _NORM, "spectralnorm": _NORM,
    "logsoftmax": "cross_entropy takes logits and contains it: leave it out",
    "softmaxwithloss": _LOSS, "crossentropyloss": _LOSS, "crossentropy": _LOSS,
    "euclideanloss": _LOSS, "mseloss": _LOSS, "mse": _LOSS, "bceloss": _LOSS, "loss": _LOSS,
    "accuracy": "a metric belongs to the recipe: train { metrics = [accuracy] ... }, a key a line",
    "data": _DATA, "imagedata": _DATA, "hdf5data": _DATA,
    "scale": "bn has a scale and a shift of its own: leave it out",
    "eltwise": "write add [ a, b ], or mul [ a, b ]",
    "subtract": _JOINS, "sub": _JOINS,
    "minimum": _JOINS,
    "matmul": _JOINS,
    "dot": _JOINS,
    "route": "name tensors with: step as a, and join them with: concat [ @a, @b ]",
    "shortcut": "write residual { ... }, or add [ @a, id ] with a tensor that is named a",
    "skip": "write residual { ... }, or add [ @a, id ] with a tensor that is named a",
    "resblock": "write residual { ... }", "residualblock": "write residual { ... }",
    "denseblock": "write dense_block(4) { ... }",
    "multiheadattention": _HEADS, "selfattention": _HEADS,
    "spatialdropout": "no dropout leaves out whole channels; there are dropout and drop_path",
    "alphadropout": "there are dropout and drop_path",
    "gaussiannoise": "there are dropout and drop_path",
    "cropping": "crop takes the sizes that are left: crop(28)",
    "centercrop": "crop takes the sizes that are left: crop(28)",
    "pixelshuffle": "pictures grow with upsample(2), or upconv(64, 2, stride=2)",
    "lambda": _CODE, "print": "netdsl summary shows the shapes: leave it out",
    "transformerencoderlayer": _ENCODER,
    "transformerencoder": _ENCODER,
    "transformer": _ENCODER,
}  # fmt: skip
"""Layers that are written in another way, or are not there."""

_KNOWN = "what enters is known: leave it out"
_CHANNELS = "layers work over the channels: leave it out"
_LATER = "each step is a layer of its own: lstm(64, returns=all) -> lstm(64)"
_DECAY = "weight decay belongs to the optimizer: sgd(lr=0.1, weight_decay=0.0001)"
_DROPOUT = "dropout is a step of its own: write -> dropout(0.5) after it"
_ORDER = "samples come in another order every epoch: leave it out"
_OPTIMIZER = "it belongs to the optimizer: optimizer = sgd(lr=0.1)"
_VAL = "it belongs to the data: data = digits(val=0.1)"
_SHOWN = "train shows its progress and saves the run: leave it out"
_LOGITS = "losses take logits: leave it out"
_MEAN = "a loss is the mean over the batch: leave it out"
_CORES = "all cores work: leave it out"
_LEARNS = "every weight learns: leave it out"
_WHOLE = "an epoch goes through all samples: leave it out"

ARGUMENTS = {
    "input_shape": "write input image(1x28x28) at the top of the net, and leave it out here",
    "input_dim": _KNOWN, "in_channels": _KNOWN, "in_features": _KNOWN, "num_features": _KNOWN,
    "input_size": _KNOWN, "normalized_shape": _KNOWN, "num_channels": _KNOWN, "embed_dim": _KNOWN,
    "key_dim": _KNOWN, "input_length": _KNOWN, "nc": _KNOWN,
    "name": "write as x after the step to name what it makes",
    "dim": _CHANNELS, "axis": _CHANNELS, "start_dim": "all of a sample is flattened: leave it out",
    "shuffle": _ORDER, "inplace": "no layer works in place: leave it out",
    "in_place": "no layer works in place: leave it out",
    "learning_rate": _OPTIMIZER, "lr": _OPTIMIZER, "base_lr": _OPTIMIZER,
    "data_format": "channels always come first: leave it out",
    "batch_first": "the batch is no axis of a tensor here: leave it out",
    "output_size": "it makes one number for each channel: leave it out",
    "keepdims": "it makes one number for each channel: leave it out",
    "num_layers": _LATER, "return_state": "returns=all gives all positions: leave it out",
    "bidirectional": "join two directions: concat [ lstm(64), lstm(64, reverse=true) ]",
    "dropout": _DROPOUT, "recurrent_dropout": _DROPOUT, "drop_rate": _DROPOUT,
    "keep_prob": "it belongs to dropout, where p is the part that is left out",
    "kernel_regularizer": _DECAY, "bias_regularizer": _DECAY, "regularizer": _DECAY,
    "batch_normalize": "batch normalisation is a step of its own: write -> bn after it",
    "track_running_stats": "running statistics are always kept: leave it out",
    "padding_mode": "padding is always zeros: leave it out",
    "transform": "normalize is a key of train: normalize = per_channel",
    "download": "netdsl fetches nothing: put the files there, and leave it out",
    "from_logits": _LOGITS, "reduction": _MEAN, "size_average": _MEAN,
    "batch": "it is a key of train: batch = 64", "batch_size": "it is a key of train: batch = 64",
    "t_max": "it goes over all epochs: leave it out",
    "step_size": "name the epochs where it falls: at=[30, 60]",
    "weight": "multiply the loss: 0.3 * cross_entropy(@logits)",
    "min_lr": "floor is the part of the rate that is left in the end: floor=0.01",
    "training": "layers know training from evaluation: leave it out",
    "trainable": _LEARNS, "frozen": _LEARNS, "requires_grad": _LEARNS,
    "betas": "write beta1=0.9, beta2=0.999",
}  # fmt: skip
"""Arguments of layers, losses, optimizers …: what to do instead."""

_CONV = "out_channels kernel_size stride padding"
_RNN = "hidden_size num_layers"
_POOL = "kernel_size stride padding"
_KERAS_POOL = "pool_size strides padding data_format"

ORDERS = {
    # PyTorch
    "ConvNd": f"in_channels {_CONV} dilation groups bias padding_mode",
    "ConvTransposeNd": f"in_channels {_CONV} output_padding groups bias dilation padding_mode",
    "Linear": "in_features out_features bias",
    "BatchNormNd": "num_features eps momentum affine track_running_stats",
    "LayerNorm": "normalized_shape eps elementwise_affine",
    "MaxPoolNd": f"{_POOL} dilation return_indices ceil_mode",
    "AvgPoolNd": f"{_POOL} ceil_mode count_include_pad divisor_override",
    "AdaptiveAvgPoolNd": "output_size", "AdaptiveMaxPoolNd": "output_size",
    "Upsample": "output_shape scale_factor mode",
    "UpsamplingNearestNd": "output_shape scale_factor",
    "LSTM": f"input_size {_RNN} bias batch_first dropout bidirectional",
    "GRU": f"input_size {_RNN} bias batch_first dropout bidirectional",
    "RNN": f"input_size {_RNN} nonlinearity bias batch_first dropout bidirectional",
    "LocalResponseNorm": "size alpha beta k",
    "Flatten": "start_dim end_dim", "Softmax": "dim", "ReLU": "inplace", "ReLU6": "inplace",
    # PyTorch and Keras
    "LeakyReLU": "negative_slope inplace", "ELU": "alpha inplace", "Dropout": "p inplace",
    "Embedding": "vocab dim padding_idx",
    # Keras
    "ConvND": "filters kernel_size strides padding data_format dilation_rate groups activation "
              "use_bias",
    "ConvNDTranspose": "filters kernel_size strides padding",
    "Dense": "units activation use_bias",
    "MaxPoolingND": _KERAS_POOL, "MaxPoolND": _KERAS_POOL,
    "AveragePoolingND": _KERAS_POOL, "AvgPoolND": _KERAS_POOL,
    "UpSamplingND": "factor data_format interpolation",
    "SimpleRNN": "units activation use_bias",
}  # fmt: skip
"""What the arguments without names are, in order; N is the number of dimensions."""

NEUTRAL = {
    "padding_mode": {"zeros"}, "data_format": {"channels_first"}, "track_running_stats": {"true"},
    "affine": {"true"}, "trainable": {"true"}, "requires_grad": {"true"}, "num_layers": {"1"},
    "dropout": {"0", "0.0"}, "recurrent_dropout": {"0", "0.0"}, "bidirectional": {"false"},
    "return_indices": {"false"}, "return_state": {"false"}, "stateful": {"false"},
    "divisor_override": {"none"}, "align_corners": {"false", "none"}, "keepdims": {"false"},
    "output_size": {"1", "1x1", "1x1x1"}, "output_shape": {"none"}, "start_dim": {"1"},
    "end_dim": {"-1"}, "bias_initializer": {"zeros"}, "kernel_regularizer": {"none"},
    "bias_regularizer": {"none"}, "activity_regularizer": {"none"}, "unit_forget_bias": {"true"},
    "center": {"true"}, "scale": {"true"}, "groups": {"1"}, "dilation": {"1", "1x1"},
    "dilation_rate": {"1", "1x1"}, "recurrent_activation": {"sigmoid"}, "reset_after": {"true"},
    "dtype": {"none"}, "device": {"none"}, "stride": {"none"}, "strides": {"none"},
    "approximate": {"none", "false"},
}  # fmt: skip
"""Values of arguments that change nothing, so that a translation leaves them out."""

AXES = {("softmax", "dim", "1"), ("softmax", "axis", "-1"), ("bn", "axis", "1"),
        ("bn", "axis", "-1"), ("layer_norm", "axis", "-1"), ("join", "dim", "1"),
        ("join", "axis", "-1")}  # fmt: skip
"""Where an axis is surely that of the channels."""

FREE = {
    "input_shape", "input_dim", "in_channels", "in_features", "num_features", "input_size",
    "input_length", "normalized_shape", "inplace", "batch_first",
}  # fmt: skip
"""Arguments that change nothing here, whatever their values: what enters is known."""

UNLIKE = {
    "attention", "positionalencoding", "posenc", "upsamplingbilinear",
    "localresponsenormalization",
}  # fmt: skip
"""Layers that resemble one of ours and compute something else: no call of them is translated."""

CONNECTIONS = {
    "stride": "the stride is that of the layers in its body: leave it out",
    "downsample": "write shortcut=project", "projection": "write shortcut=project",
    "drop_path": "write drop=0.1", "drop_rate": "write drop=0.1",
    "growth": "its body says how many channels each step adds: leave it out",
    "growth_rate": "its body says how many channels each step adds: leave it out",
    "layers": "write n=4", "num_layers": "write n=4",
}  # fmt: skip
"""Arguments of residual and dense_block."""

KEYS = {
    "momentum": "it belongs to the optimizer: optimizer = sgd(lr=0.1, momentum=0.9)",
    "weight_decay": _DECAY, "decay": _DECAY, "l2": _DECAY,
    "lr": _OPTIMIZER, "learning_rate": _OPTIMIZER, "base_lr": _OPTIMIZER, "shuffle": _ORDER,
    "nesterov": "it belongs to the optimizer: optimizer = sgd(lr=0.1, momentum=0.9, nesterov=true)",
    "gamma": "it belongs to the schedule: schedule = step(at=[30, 60], factor=0.1)",
    "warmup": "it belongs to the schedule: schedule = cosine(warmup=1)",
    "val": _VAL, "validation_split": _VAL, "val_split": _VAL, "validation": _VAL,
    "validation_data": _VAL, "val_data": _VAL,
    "test": "it belongs to the data, which know their test samples: leave it out",
    "test_data": "it belongs to the data, which know their test samples: leave it out",
    "verbose": _SHOWN, "log_interval": _SHOWN, "display": _SHOWN, "save_path": _SHOWN,
    "output_dir": _SHOWN, "snapshot": _SHOWN, "steps_per_epoch": _WHOLE, "max_batches": _WHOLE,
    "iterations": _WHOLE, "max_iter": _WHOLE, "steps": _WHOLE,
    "num_workers": _CORES,
    "workers": _CORES,
    "threads": _CORES,
    "callbacks": "the keys of a recipe say what happens: leave it out",
    "model": "a recipe trains the net of its file: leave it out",
    "net": "a recipe trains the net of its file: leave it out",
    "network": "a recipe trains the net of its file: leave it out",
    "layers": "it is a parameter of the net: write it there, or --set layers=...",
}  # fmt: skip
"""Keys of a training, and where they belong."""

OPS = {
    "he": "kaiming", "henormal": "kaiming(normal)", "heuniform": "kaiming",
    "kaimingnormal": "kaiming(normal)", "kaiminguniform": "kaiming", "msra": "kaiming(normal)",
    "glorot": "xavier", "glorotuniform": "xavier", "glorotnormal": "xavier(normal)",
    "xavieruniform": "xavier", "xaviernormal": "xavier(normal)",
    "randomnormal": "normal", "gaussian": "normal", "truncatednormal": "normal",
    "randomuniform": "uniform", "zero": "zeros", "one": "ones",
    "crossentropyloss": "cross_entropy", "nll": "cross_entropy", "nllloss": "cross_entropy",
    "softmax": "cross_entropy", "softmaxcrossentropy": "cross_entropy", "ce": "cross_entropy",
    "softmaxwithloss": "cross_entropy", "logsoftmax": "cross_entropy", "xent": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy", "sparsecategoricalcrossentropy": "cross_entropy",
    "bce": "binary_cross_entropy", "bceloss": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy", "bcewithlogits": "binary_cross_entropy",
    "binarycrossentropy": "binary_cross_entropy", "sigmoid": "binary_cross_entropy",
    "meansquarederror": "mse", "mseloss": "mse", "l2": "mse", "l2loss": "mse",
    "euclideanloss": "mse", "acc": "accuracy", "categoricalaccuracy": "accuracy",
    "sparsecategoricalaccuracy": "accuracy", "binaryaccuracy": "accuracy", "topk": "top",
    "topkaccuracy": "top", "topkcategoricalaccuracy": "top",
    "steplr": "step", "multistep": "step", "multisteplr": "step", "steps": "step",
    "piecewiseconstant": "step", "piecewiseconstantdecay": "step", "cosineannealing": "cosine",
    "cosineannealinglr": "cosine", "cosinedecay": "cosine", "warmup": "constant",
    "constantlr": "constant", "fixed": "constant", "momentum": "sgd", "nesterov": "sgd",
    "fashion": "fashion_mnist", "loaddigits": "digits",
}  # fmt: skip
"""Losses, optimizers, schedules … that are the same, or nearly, under another name."""

INITIALIZERS = {
    "glorotuniform": "xavier", "xavieruniform": "xavier", "heuniform": "kaiming",
    "kaiminguniform": "kaiming", "zeros": "zeros", "ones": "ones",
}  # fmt: skip
"""Initial weights that are the same to the letter."""

ABSENT = {
    "adamw": "there is adam, which adds weight decay to the gradient (L2), as AdamW does not",
    "adamax": "", "nadam": "", "radam": "", "adagrad": "", "mae": "", "l1": "", "l1loss": "",
    "msle": "",
}  # fmt: skip
"""Ops that are not there, and resemble one that is something else."""

VALUES: dict[str, dict[Any, str]] = {
    "device": {"gpu": "cuda", "cuda:0": "cuda", "cuda0": "cuda", "tpu": "auto", "mps": "auto"},
    "returns": {True: "all", "sequence": "all", "sequences": "all", False: "last"},
    "normalize": {True: "per_channel", "per_channels": "per_channel", False: "none"},
    "dtype": {"float": "real", "float32": "real", "float64": "real", "float16": "real",
              "uint8": "real", "int32": "int", "int64": "int", "long": "int"},
}  # fmt: skip
"""Values of parameters that are written otherwise."""
