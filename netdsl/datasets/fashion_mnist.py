"""Fashion-MNIST."""

from __future__ import annotations

from netdsl.datasets.mnist import Mnist


class FashionMnist(Mnist, name="fashion_mnist"):
    """70,000 pictures of clothes, 28x28 pixels, in the files of MNIST (Xiao, Rasul, Vollgraf 2017).

    Read as `mnist` is; where no directory is given, Debian's package ``dataset-fashion-mnist``
    serves as well.
    """

    package = ("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist")
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    origin = "the four .gz files of https://github.com/zalandoresearch/fashion-mnist"
    examples = (("fashion_mnist",), ('fashion_mnist("data/fashion", pad=2, val=5000)',))
