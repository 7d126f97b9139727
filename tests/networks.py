"""Small networks that several tests train: of each kind that the papers draw one."""

from __future__ import annotations

import numpy as np

HEAD = "netdsl 1\ndefault conv(pad=same, bias=false)\n"

RESIDUAL = """
net Residual {
  input image(2x6x6)
  conv(4, 3) -> bn -> relu
  residual(shortcut=project) {
    conv(6, 3, stride=2) -> bn -> relu
    conv(6, 3) -> bn
  }
  relu
  residual { conv(6, 3) -> bn }
  relu -> global_avgpool -> dense(3) as logits
}
"""

INCEPTION = """
net Inception {
  input image(2x6x6)
  conv(4, 3, bias=true) -> relu
  concat [
    conv(3, 1, bias=true) -> relu
    conv(2, 1, bias=true) -> relu -> conv(3, 3, bias=true) -> relu
    maxpool(3, stride=1, pad=1) -> conv(2, 1, bias=true) -> relu
  ]
  maxpool(2) -> flatten -> dense(3) as logits
}
"""

# The last bn sees a vector in the memory where the one before it saw a picture.
DENSE = """
net Dense {
  input image(2x6x6)
  conv(4, 3)
  dense_block(2) { bn -> relu -> conv(3, 3) }
  bn -> relu -> conv(5, 1) -> avgpool(2)
  bn(affine=false) -> flatten -> bn -> dense(3) as logits
}
"""

DROPOUT = """
net Dropout {
  input image(2x6x6)
  conv(4, 3) -> bn -> relu -> dropout(0.25)
  flatten
  dense(8) -> relu -> dropout(0.4)
  dense(3) as logits
}
"""

# x is read three times, and twice by one layer; three heads, of which one learns nothing.
SHARED = """
net Shared {
  input image(2x6x6)
  conv(4, 3, bias=true) -> tanh as x
  add [@x, relu, sigmoid] as y
  mul [@x, @x]
  add [@y, id] -> flatten as wide
  dense(3) as main
  @wide -> dense(3) as aux
  @wide -> dense(2) as idle
  output main, aux, idle
}
"""

# One set of weights used twice and, in a repeat, three times; a head that only training computes.
TOWERS = """
net Towers {
  input image(2x6x6)
  shared deep = conv(2, 3) -> bn -> tanh
  shared tower = conv(4, 3) -> bn -> relu -> avgpool(2)
  tower as a
  @image -> deep * 2 -> tower as b
  side @a -> flatten -> dense(3) as aux
  concat [ @a, @b ] -> flatten -> dense(3) as logits
}
"""

AUTOENCODER = """
net Autoencoder {
  input image(2x6x6)
  conv(4, 3, bias=true) -> relu -> conv(2, 3, bias=true) -> sigmoid as made
}
"""

LABELS = "cross_entropy(@logits)"
NETWORKS = {
    "residual": (RESIDUAL, LABELS),
    "inception": (INCEPTION, "cross_entropy(@logits, smoothing=0.1)"),
    "dense": (DENSE, LABELS),
    "dropout": (DROPOUT, LABELS),
    "shared": (SHARED, "cross_entropy(@main) + 0.3 * cross_entropy(@aux)"),
    "towers": (TOWERS, "cross_entropy(@logits) + 0.3 * cross_entropy(@aux)"),
    "autoencoder": (AUTOENCODER, "mse(@made, target=@image)"),
}
SGD = "sgd(lr=0.05, momentum=0.9, nesterov=true, weight_decay=0.01)"
ADAM = "adam(lr=0.01, weight_decay=0.01, decay_bn=false)"


def text(name: str, optimizer: str = SGD, more: str = "") -> str:
    """The text of a network with its training; ``more`` are further keys of it."""
    net, loss = NETWORKS[name]
    return f"{HEAD}{net}\ntrain {{\n  optimizer = {optimizer}\n  loss = {loss}\n  {more}\n}}\n"


def batches(name: str, steps: int = 20) -> list[tuple[np.ndarray, ...]]:
    """Random samples with labels (none for the autoencoder); some batches are smaller."""
    generator = np.random.default_rng(7)
    made = []
    for step in range(steps):
        count = 5 if step % 4 == 3 else 8
        image = generator.normal(size=(count, 2, 6, 6)).astype(np.float32)
        labels = generator.integers(0, 3, count)
        made.append((image,) if name == "autoencoder" else (image, labels))
    return made
