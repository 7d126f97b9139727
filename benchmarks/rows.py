"""What is measured: one row for each network and mode, with the ratio that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MOMENTUM = 0.9
NETS = Path(__file__).parent / "nets"


@dataclass(frozen=True)
class Row:
    """A network at work: the same for every side.

    ``net`` is ``FILE.NET`` in nets/, ``model`` its name in the tables of the peers' models.
    ``sizes`` are those of one sample, ``words`` their number where samples are words; ``classes``
    and ``places`` say what a target is. ``bar`` is the wanted ratio.
    """

    title: str
    net: str
    model: str
    sizes: tuple[int, ...]
    classes: int
    batch: int
    bar: float | None = None
    rate: float = 0.01
    train: bool = True
    words: int = 0
    places: tuple[int, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return NETS / f"{self.net.partition('.')[0]}.net"

    @property
    def net_name(self) -> str:
        return self.net.partition(".")[2]

    @property
    def pictures(self) -> bool:
        """Whether the order of channels and space in memory is a choice."""
        return len(self.sizes) == 3 and self.model != "mlp"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """One batch of noise with random targets, the same for all sides."""
        rng = np.random.default_rng(0)
        shape = (self.batch, *self.sizes)
        if self.words:
            x = rng.integers(0, self.words, shape, dtype=np.int32)
        else:
            x = rng.standard_normal(shape, dtype=np.float32)
        return x, rng.integers(0, self.classes, (self.batch, *self.places))


CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)

ROWS = {
    "mlp": Row("MLP 784-512-512-10", "library.Perceptron", "mlp", (1, 28, 28), 10, 128, 1.0),
    "lenet5": Row("LeNet-5, 28x28", "lenet5.LeNet5", "lenet5", (1, 28, 28), 10, 128, 4.0),
    "resnet20": Row("ResNet-20, CIFAR", "library.CifarResNet", "resnet20", CIFAR, 10, 64, 1.8),
    "vgg11": Row("VGG-11, CIFAR", "vgg11.VGG11", "vgg11", CIFAR, 10, 64, 1.5),
    "resnet18": Row("ResNet-18, 64x64", "resnet18.ResNet18", "resnet18", (3, 64, 64), 200, 32, 1.6),
    "resnet50": Row("ResNet-50, 224x224", "library.Bottlenecks", "resnet50", IMAGENET, 1000, 8, 1.1),
    "densenet": Row(
        "DenseNet-BC-100, CIFAR", "library.CifarDenseNet", "densenet", CIFAR, 10, 32, 1.5
    ),
    "googlenet": Row("GoogLeNet, 224x224", "inception.GoogLeNet", "googlenet", IMAGENET, 1000, 8, 1.2),
    "unet": Row(
        "U-Net, 128x128", "unet.UNet", "unet", (1, 128, 128), 2, 4, 1.5, places=(128, 128), rate=0.001
    ),
    "lstm": Row(
        "LSTM 128, 200 words", "reviews.Reviews", "lstm", (200,), 2, 32, 1.2, words=20_000
    ),
    **{
        f"{model}-{batch}": Row(
            f"{title}, inference", net, model, IMAGENET, 1000, batch, 1.2, train=False
        )
        for title, net, model in (
            ("ResNet-50", "library.Bottlenecks", "resnet50"),
            ("MobileNet v2", "mobilenet_v2.MobileNetV2", "mobilenet_v2"),
        )
        for batch in (1, 16)
    },
}
