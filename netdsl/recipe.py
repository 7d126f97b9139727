"""How a network is trained: the ``train`` section, every key filled in."""

from __future__ import annotations

from typing import Literal

from netdsl.arguments import Count, Index
from netdsl.data import Dataset
from netdsl.op import Metric, Op, Optimizer, Schedule


class Recipe(Op, kind="recipe", name="train"):
    """The keys of a ``train`` section besides ``loss``, which names tensors of the network.

    - ``optimizer``: how gradients change weights
    - ``data``: where samples come from; from Python they are given to ``fit``
    - ``normalize``: ``per_channel`` takes off the mean of the training data and divides by their
      standard deviation, channel by channel of each input of real numbers; an input that only
      losses read stays as it is
    - ``batch``: how many samples make one step
    - ``epochs``: how often the training data are gone through
    - ``schedule``: how the learning rate goes
    - ``metrics``: what is shown beside the loss
    - ``seed``: decides initial weights, order and dropout: the same seed gives the same bits
    - ``device``: ``auto`` is a GPU where there is one
    - ``precision``: of convolutions on a CPU. ``exact`` sums products as they stand; ``normal``
      takes Winograd's method with small tiles, as exact as other sums; ``fast`` takes larger tiles
      too, with a few times the rounding error, which trained networks do not show
    """

    optimizer: Optimizer
    data: Dataset | None = None
    normalize: Literal["none", "per_channel"] = "none"
    batch: Count = 64
    epochs: Count = 10
    schedule: Schedule | None = None
    metrics: tuple[Metric, ...] = ()
    seed: Index = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["exact", "normal", "fast"] = "fast"

    synonyms = {
        "dataset": "data", "batch_size": "batch", "lr_schedule": "schedule", "opt": "optimizer",
        "scheduler": "schedule", "metric": "metrics", "criterion": "loss", "loss_fn": "loss",
        "objective": "loss", "lr_policy": "schedule", "policy": "schedule", "random_seed": "seed",
        "random_state": "seed", "num_epochs": "epochs", "max_epochs": "epochs", "dataset_name":
        "data", "solver": "optimizer", "optim": "optimizer", "early_stopping": "early_stop",
        "gradient_clip": "clip_norm", "grad_clip": "clip_norm", "amp": "precision",
    }  # fmt: skip

    LATER = ("augment", "clip_norm", "ema", "early_stop", "checkpoint")
    """Keys of the language that this version does not carry out yet."""
