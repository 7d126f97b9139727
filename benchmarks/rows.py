"""What is measured: one row for each network and mode, with the ratio that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

NETS = Path(__file__).parent / "nets"
MOMENTUM = 0.9
CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)


@dataclass(frozen=True)
class Row:
    """A network at work, the same for every side.

    ``net`` is ``FILE.NET`` in nets/, ``model`` its name in the tables of the peers' models.
    ``sizes`` are those of one sample, ``words`` the number of words where samples are words,
    ``places`` the axes of a target. ``bar`` is the wanted ratio.
    """

    title: str
    net: str
    model: str
    sizes: tuple[int, ...]
    classes: int
    batch: int
    bar: float = 1.0
    train: bool = True
    rate: float = 0.001
    words: int = 0
    places: tuple[int, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The ``.net`` file."""
        return NETS / f"{self.net.partition('.')[0]}.net"

    @property
    def name(self) -> str:
        """The net's name in its file."""
        return self.net.partition(".")[2]

    @property
    def pictures(self) -> bool:
        """Whether convolutions see it: then the order of the axes in memory is a choice."""
        return len(self.sizes) == 3 and self.model != "mlp"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """One batch of noise with random targets."""
        rng = np.random.default_rng(0)
        shape = (self.batch, *self.sizes)
        if self.words:
            x = rng.integers(0, self.words, shape, dtype=np.int32)
        else:
            x = rng.standard_normal(shape, dtype=np.float32)
        return x, rng.integers(0, self.classes, (self.batch, *self.places))


MLP = Row("MLP 784-512-512-10", "library.Perceptron", "mlp", (1, 28, 28), 10, 128, 1.0)
LENET5 = Row("LeNet-5, 28x28", "lenet5.LeNet5", "lenet5", (1, 28, 28), 10, 128, 4.0)
RESNET20 = Row("ResNet-20, CIFAR", "library.CifarResNet", "resnet20", CIFAR, 10, 64, 1.8)
VGG11 = Row("VGG-11, CIFAR", "vgg11.VGG11", "vgg11", CIFAR, 10, 64, 1.5)
VGG16 = Row("VGG-16, 224x224", "library.Sixteen", "vgg16", IMAGENET, 1000, 8)
RESNET18 = Row("ResNet-18, 64x64", "resnet18.ResNet18", "resnet18", (3, 64, 64), 200, 32, 1.6)
RESNET50 = Row("ResNet-50, 224x224", "library.Bottlenecks", "resnet50", IMAGENET, 1000, 8, 1.1)
DENSENET = Row("DenseNet-BC-100, CIFAR", "library.CifarDenseNet", "densenet", CIFAR, 10, 32, 1.5)
GOOGLENET = Row("GoogLeNet, 224x224", "inception.GoogLeNet", "googlenet", IMAGENET, 1000, 8, 1.2)
UNET = Row("U-Net, 128x128", "unet.UNet", "unet", (1, 128, 128), 2, 4, 1.5, places=(128, 128))
LSTM = Row("LSTM 128, 200 words", "reviews.Reviews", "lstm", (200,), 2, 32, 1.2, words=20_000)
MOBILENET = Row(
    "MobileNet v2, 224x224", "mobilenet_v2.MobileNetV2", "mobilenet_v2", IMAGENET, 1000, 1
)

SPEED = {
    row.model: row
    for row in (
        MLP, LENET5, RESNET20, VGG11, RESNET18, RESNET50, DENSENET, GOOGLENET, UNET, LSTM,
    )
} | {
    f"{row.model}-{batch}": replace(row, batch=batch, train=False, bar=1.2)
    for row in (RESNET50, MOBILENET)
    for batch in (1, 16)
}  # fmt: skip

MEMORY = {"resnet18-memory": RESNET18, "vgg16-memory": VGG16}

GROWTH = {f"resnet18-batch{batch}": replace(RESNET18, batch=batch) for batch in (8, 16, 32)} | {
    f"resnet{depth}": replace(RESNET18, title=f"ResNet-{depth}, 64x64", params={"layers": layers})
    for depth, layers in ((10, (1, 1, 1, 1)), (34, (3, 4, 6, 3)))
}

ROWS = SPEED | MEMORY | GROWTH
