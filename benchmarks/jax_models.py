"""The networks of the benchmarks in JAX: functions of weights, channels last.

A model asks for its weights in the order of the ``.net`` files; `Given` hands them out. Kernels are
height, width, in, out; weights of dense layers in, out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.nn import relu

LAYOUT = ("NHWC", "HWIO", "NHWC")


class Given:
    """The weights in their order, and the running statistics with what a step makes of them."""

    def __init__(self, weights: Sequence[Array], statistics: Sequence[Array], train: bool) -> None:
        self._weights, self._statistics = iter(weights), iter(statistics)
        self.train = train
        self.news: list[Array] = []

    def take(self) -> Array:
        return next(self._weights)

    def statistic(self) -> Array:
        return next(self._statistics)


def conv(
    x: Array, w: Given, stride: int = 1, pad: int = 0, bias: bool = False, groups: int = 1
) -> Array:
    """On the CPU, XLA is faster if windows of one place and single channels are written out."""
    kernel = w.take()
    if kernel.shape[:2] == (1, 1):
        y = x[:, ::stride, ::stride] @ kernel[0, 0]
    elif groups > 1:
        y = by_channel(x, kernel, stride, pad)
    else:
        y = lax.conv_general_dilated(
            x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=LAYOUT
        )
    return y + w.take() if bias else y


def by_channel(x: Array, kernel: Array, stride: int, pad: int) -> Array:
    """A convolution of every channel by itself: a sum of shifted pictures."""
    x = jnp.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    height, width = (size - kernel.shape[0] + 1 for size in x.shape[1:3])
    return sum(
        x[:, i : i + height : stride, j : j + width : stride] * kernel[i, j, 0]
        for i, j in np.ndindex(kernel.shape[:2])
    )


def dense(x: Array, w: Given) -> Array:
    weight = w.take()
    return x @ weight + w.take()


def flatten(x: Array) -> Array:
    """Channels first, as the weights of the dense layer that follows want it."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def norm(x: Array, w: Given) -> Array:
    """Batch normalisation by the statistics of the batch, from one pass over it."""
    weight, bias = w.take(), w.take()
    mean = x.mean((0, 1, 2))
    var = (x * x).mean((0, 1, 2)) - mean * mean
    count = x.size // x.shape[-1]
    for new in (mean, var * (count / (count - 1))):
        old = w.statistic()
        w.news.append(old + 0.1 * (lax.stop_gradient(new) - old))
    scale = weight * lax.rsqrt(var + 1e-5)
    return x * scale + (bias - mean * scale)


def normed(x: Array, w: Given, stride: int = 1, pad: int = 0, groups: int = 1) -> Array:
    """A convolution and its normalisation; for evaluation it was folded to a bias beforehand."""
    if not w.train:
        return conv(x, w, stride, pad, bias=True, groups=groups)
    return norm(conv(x, w, stride, pad, groups=groups), w)


def avgpool(x: Array, size: int) -> Array:
    n, h, w, c = x.shape
    return x.reshape(n, h // size, size, w // size, size, c).mean((2, 4))


def maxpool(x: Array, size: int, stride: int, padding: str | list[tuple[int, int]]) -> Array:
    if size == stride:
        n, h, w, c = x.shape
        return x.reshape(n, h // size, size, w // size, size, c).max((2, 4))
    if not isinstance(padding, str):
        padding = [(0, 0), *padding, (0, 0)]
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), padding
    )


# ---- networks ------------------------------------------------------------------


def mlp(x: Array, w: Given) -> Array:
    x = x.reshape(len(x), -1)
    return dense(relu(dense(relu(dense(x, w)), w)), w)


def lenet5(x: Array, w: Given) -> Array:
    x = avgpool(jnp.tanh(conv(x, w, pad=2, bias=True)), 2)
    x = flatten(avgpool(jnp.tanh(conv(x, w, bias=True)), 2))
    return dense(jnp.tanh(dense(jnp.tanh(dense(x, w)), w)), w)


def vgg11(x: Array, w: Given) -> Array:
    for count in (1, 1, 2, 2, 2):
        for _ in range(count):
            x = relu(conv(x, w, pad=1, bias=True))
        x = maxpool(x, 2, 2, "VALID")
    return dense(flatten(x), w)


def resnet20(x: Array, w: Given) -> Array:
    x = relu(normed(x, w, pad=1))
    for c in (16, 32, 64):
        for _ in range(3):
            before = x.shape[-1]
            y = relu(normed(x, w, stride=c // before, pad=1))
            y = normed(y, w, pad=1)
            if c != before:
                x = jnp.pad(x[:, ::2, ::2], [(0, 0)] * 3 + [(0, c - before)])
            x = relu(y + x)
    return dense(x.mean((1, 2)), w)


def basic(x: Array, w: Given, c: int, stride: int) -> Array:
    y = relu(normed(x, w, stride, 1))
    y = normed(y, w, pad=1)
    return relu(y + (normed(x, w, stride) if x.shape[-1] != c or stride > 1 else x))


def bottleneck(x: Array, w: Given, c: int, stride: int) -> Array:
    y = relu(normed(x, w))
    y = relu(normed(y, w, stride, 1))
    y = normed(y, w)
    return relu(y + (normed(x, w, stride) if x.shape[-1] != 4 * c or stride > 1 else x))


def resnet(
    x: Array, w: Given, unit: Callable[[Array, Given, int, int], Array], layers: Sequence[int]
) -> Array:
    x = relu(normed(x, w, 2, 3))
    x = maxpool(x, 3, 2, [(1, 1), (1, 1)])
    for stage, count in enumerate(layers):
        for place in range(count):
            x = unit(x, w, 64 << stage, 2 if stage and not place else 1)
    return dense(x.mean((1, 2)), w)


def resnet18(x: Array, w: Given) -> Array:
    return resnet(x, w, basic, (2, 2, 2, 2))


def resnet50(x: Array, w: Given) -> Array:
    return resnet(x, w, bottleneck, (3, 4, 6, 3))


def mobilenet_v2(x: Array, w: Given) -> Array:
    def relu6(x: Array) -> Array:
        return jnp.clip(x, 0, 6)

    def narrow(x: Array, t: int, stride: int) -> Array:
        if t > 1:
            x = relu6(normed(x, w))
            wide = x.shape[-1]
        else:
            wide = x.shape[-1]
        x = relu6(normed(x, w, stride, 1, groups=wide))
        return normed(x, w)

    x = relu6(normed(x, w, 2, 1))
    table = ((1, 1, 1), (6, 2, 2), (6, 3, 2), (6, 4, 2), (6, 3, 1), (6, 3, 2), (6, 1, 1))
    for t, n, stride in table:
        x = narrow(x, t, stride)
        for _ in range(n - 1):
            x = x + narrow(x, t, 1)
    return dense(relu6(normed(x, w)).mean((1, 2)), w)


def densenet(x: Array, w: Given) -> Array:
    x = conv(x, w, pad=1)
    for block in range(3):
        if block:
            x = avgpool(conv(relu(norm(x, w)), w), 2)
        for _ in range(16):
            y = conv(relu(norm(x, w)), w)
            y = conv(relu(norm(y, w)), w, pad=1)
            x = jnp.concatenate([x, y], -1)
    return dense(relu(norm(x, w)).mean((1, 2)), w)


def googlenet(x: Array, w: Given) -> tuple[Array, Array, Array]:
    def cr(x: Array, stride: int = 1, pad: int = 0) -> Array:
        return relu(conv(x, w, stride, pad, bias=True))

    def lrn(x: Array) -> Array:
        squares = jnp.pad(x * x, [(0, 0)] * 3 + [(2, 2)])
        near = sum(squares[..., i : i + x.shape[-1]] for i in range(5))
        scale = 1 + 1e-4 / 5 * near
        return x * lax.rsqrt(scale * jnp.sqrt(scale))

    def pool(x: Array) -> Array:
        return maxpool(x, 3, 2, "SAME")

    def inception(x: Array) -> Array:
        a = cr(x)
        b = cr(cr(x), pad=1)
        c = cr(cr(x), pad=2)
        d = cr(maxpool(x, 3, 1, "SAME"))
        return jnp.concatenate([a, b, c, d], -1)

    def head(x: Array) -> Array:
        x = lax.reduce_window(x, 0.0, lax.add, (1, 5, 5, 1), (1, 3, 3, 1), "VALID") / 25
        return dense(relu(dense(flatten(cr(x)), w)), w)

    x = lrn(pool(cr(x, 2, 3)))
    x = pool(lrn(cr(cr(x), pad=1)))
    x = inception(pool(inception(inception(x))))
    aux1 = head(x)
    x = inception(inception(inception(x)))
    aux2 = head(x)
    x = inception(inception(pool(inception(x))))
    return dense(x.mean((1, 2)), w), aux1, aux2


def unet(x: Array, w: Given) -> Array:
    def double(x: Array) -> Array:
        x = relu(conv(x, w, pad=1, bias=True))
        return relu(conv(x, w, pad=1, bias=True))

    def up(x: Array) -> Array:
        """Windows of 2x2 that do not overlap: a product and a new order."""
        n, h, width, _ = x.shape
        y = jnp.einsum("nhwi,ioab->nhawbo", x, w.take())
        return y.reshape(n, 2 * h, 2 * width, -1) + w.take()

    seen = [double(x)]
    for _ in range(4):
        seen.append(double(maxpool(seen[-1], 2, 2, "VALID")))
    x = seen.pop()
    while seen:
        x = double(jnp.concatenate([seen.pop(), up(x)], -1))
    return conv(x, w, bias=True)


def lstm(words: Array, w: Given) -> Array:
    x = w.take()[words.T]  # steps, samples, channels
    into, again, bias = w.take(), w.take(), w.take()
    entered = x @ into + bias

    def step(carry: tuple[Array, Array], entered: Array) -> tuple[tuple[Array, Array], None]:
        h, c = carry
        i, f, g, o = jnp.split(entered + h @ again, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[1], again.shape[0]), x.dtype)
    (h, _), _ = lax.scan(step, (zeros, zeros), entered)
    return dense(h, w)[:, 0]


# ---- losses --------------------------------------------------------------------


def cross_entropy(logits: Array, target: Array) -> Array:
    picked = jnp.take_along_axis(logits, target[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - picked).mean()


def google_loss(made: tuple[Array, Array, Array], target: Array) -> Array:
    logits, aux1, aux2 = (cross_entropy(each, target) for each in made)
    return logits + 0.3 * aux1 + 0.3 * aux2


def review_loss(logit: Array, target: Array) -> Array:
    return (jax.nn.softplus(logit) - target * logit).mean()


MODELS: dict[str, Callable[..., object]] = {
    "mlp": mlp, "lenet5": lenet5, "resnet20": resnet20, "vgg11": vgg11, "resnet18": resnet18,
    "resnet50": resnet50, "mobilenet_v2": mobilenet_v2, "densenet": densenet,
    "googlenet": googlenet, "unet": unet, "lstm": lstm,
}  # fmt: skip
LOSSES: dict[str, Callable[..., Array]] = {"googlenet": google_loss, "lstm": review_loss}
