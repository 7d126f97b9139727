"""The networks of the benchmarks in PyTorch, as its users write them.

Layers are registered in the order of the ``.net`` files, so that weights are handed over by order.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512), nn.ReLU(),
        nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, 10),
    )  # fmt: skip


def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(),
        nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10),
    )  # fmt: skip


def vgg(counts: tuple[int, ...], head: list[nn.Module]) -> nn.Module:
    layers: list[nn.Module] = []
    before = 3
    for width, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
            before = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), *head)


def vgg11() -> nn.Module:
    return vgg((1, 1, 2, 2, 2), [nn.Linear(512, 10)])


def vgg16() -> nn.Module:
    head = [
        nn.Linear(512 * 49, 4096), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(4096, 1000),
    ]  # fmt: skip
    return vgg((2, 2, 3, 3, 3), head)


# ---- residual networks ---------------------------------------------------------


def normed(
    before: int, width: int, window: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution without bias, padded on both sides alike, and its normalisation."""
    conv = nn.Conv2d(before, width, window, stride, window // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(width)]


class PadShortcut(nn.Module):
    """Every n-th position, and zeros for the new channels."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))``, or without the last rectifier."""

    def __init__(self, body: list[nn.Module], shortcut: nn.Module, relu: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = shortcut
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y += self.shortcut(x)
        return F.relu(y, inplace=True) if self.relu else y


def project(before: int, width: int, stride: int) -> nn.Module:
    if before == width and stride == 1:
        return nn.Identity()
    return nn.Sequential(*normed(before, width, 1, stride))


def basic(before: int, c: int, stride: int, shortcut: nn.Module | None = None) -> nn.Module:
    body = [*normed(before, c, 3, stride), nn.ReLU(inplace=True), *normed(c, c, 3)]
    return Residual(body, shortcut or project(before, c, stride))


def bottleneck(before: int, c: int, stride: int) -> nn.Module:
    body = [
        *normed(before, c, 1), nn.ReLU(inplace=True),
        *normed(c, c, 3, stride), nn.ReLU(inplace=True),
        *normed(c, 4 * c, 1),
    ]  # fmt: skip
    return Residual(body, project(before, 4 * c, stride))


def pooled(width: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]


def resnet(
    unit: Callable[[int, int, int], nn.Module], layers: tuple[int, ...], wider: int, classes: int
) -> nn.Module:
    made = [*normed(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    before = 64
    for stage, count in enumerate(layers):
        c = 64 << stage
        for place in range(count):
            made.append(unit(before, c, 2 if stage and not place else 1))
            before = wider * c
    return nn.Sequential(*made, *pooled(before, classes))


def resnet18(layers: tuple[int, ...] = (2, 2, 2, 2)) -> nn.Module:
    return resnet(basic, layers, 1, 200)


def resnet50() -> nn.Module:
    return resnet(bottleneck, (3, 4, 6, 3), 4, 1000)


def resnet20() -> nn.Module:
    made = [*normed(3, 16, 3), nn.ReLU(inplace=True)]
    before = 16
    for c in (16, 32, 64):
        for _ in range(3):
            stride = c // before
            shortcut = PadShortcut(c - before, stride) if stride > 1 else nn.Identity()
            made.append(basic(before, c, stride, shortcut))
            before = c
    return nn.Sequential(*made, *pooled(64, 10))


def mobilenet_v2() -> nn.Module:
    def narrow(before: int, c: int, t: int, stride: int) -> list[nn.Module]:
        wide = t * before
        first = [*normed(before, wide, 1), nn.ReLU6(inplace=True)] if t > 1 else []
        depthwise = [*normed(wide, wide, 3, stride, groups=wide), nn.ReLU6(inplace=True)]
        return [*first, *depthwise, *normed(wide, c, 1)]

    table = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    )  # fmt: skip
    made = [*normed(3, 32, 3, 2), nn.ReLU6(inplace=True)]
    before = 32
    for t, c, n, stride in table:
        made += narrow(before, c, t, stride)
        made += [Residual(narrow(c, c, t, 1), nn.Identity(), relu=False) for _ in range(n - 1)]
        before = c
    last = [*normed(before, 1280, 1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*made, *last, *pooled(1280, 1000))


# ---- networks that join --------------------------------------------------------


class Dense(nn.Module):
    """The body, and what entered before what it makes."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], 1)


def densenet() -> nn.Module:
    def activated(before: int, width: int, window: int) -> list[nn.Module]:
        conv = nn.Conv2d(before, width, window, padding=window // 2, bias=False)
        return [nn.BatchNorm2d(before), nn.ReLU(inplace=True), conv]

    growth, width = 12, 24
    made: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False)]
    for block in range(3):
        if block:
            made += [*activated(width, width // 2, 1), nn.AvgPool2d(2)]
            width //= 2
        for _ in range(16):
            inner = [*activated(width, 4 * growth, 1), *activated(4 * growth, growth, 3)]
            made.append(Dense(*inner))
            width += growth
    return nn.Sequential(*made, nn.BatchNorm2d(width), nn.ReLU(inplace=True), *pooled(width, 10))


def cr(before: int, width: int, window: int, stride: int = 1, pad: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(before, width, window, stride, pad), nn.ReLU(inplace=True)]


class Inception(nn.Module):
    def __init__(self, before: int, c1: int, r3: int, c3: int, r5: int, c5: int, pool: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*cr(before, c1, 1)),
                nn.Sequential(*cr(before, r3, 1), *cr(r3, c3, 3, pad=1)),
                nn.Sequential(*cr(before, r5, 1), *cr(r5, c5, 5, pad=2)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), *cr(before, pool, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class LocalResponseNorm(nn.Module):
    """Written out: here it takes half the time of nn.LocalResponseNorm."""

    def forward(self, x: Tensor) -> Tensor:
        squares = F.pad(x * x, (0, 0, 0, 0, 2, 2))
        c = x.shape[1]
        near = squares[:, :c]
        for shift in range(1, 5):
            near = near + squares[:, shift : shift + c]
        scale = 1 + 1e-4 / 5 * near
        return x * torch.rsqrt(scale * torch.sqrt(scale))


class GoogLeNet(nn.Module):
    """Both auxiliary heads come back beside the logits."""

    def __init__(self) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        self.first = nn.Sequential(
            *cr(3, 64, 7, 2, 3), pool(), LocalResponseNorm(),
            *cr(64, 64, 1), *cr(64, 192, 3, pad=1), LocalResponseNorm(), pool(),
            Inception(192, 64, 96, 128, 16, 32, 32),
            Inception(256, 128, 128, 192, 32, 96, 64), pool(),
            Inception(480, 192, 96, 208, 16, 48, 64),
        )  # fmt: skip
        self.aux1 = self.head(512)
        self.second = nn.Sequential(
            Inception(512, 160, 112, 224, 24, 64, 64),
            Inception(512, 128, 128, 256, 24, 64, 64),
            Inception(512, 112, 144, 288, 32, 64, 64),
        )
        self.aux2 = self.head(528)
        self.third = nn.Sequential(
            Inception(528, 256, 160, 320, 32, 128, 128), pool(),
            Inception(832, 256, 160, 320, 32, 128, 128),
            Inception(832, 384, 192, 384, 48, 128, 128),
            *pooled(1024, 1000),
        )  # fmt: skip

    @staticmethod
    def head(before: int) -> nn.Module:
        return nn.Sequential(
            nn.AvgPool2d(5, 3), *cr(before, 128, 1), nn.Flatten(),
            nn.Linear(128 * 16, 1024), nn.ReLU(inplace=True), nn.Linear(1024, 1000),
        )  # fmt: skip

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        early = self.first(x)
        late = self.second(early)
        return self.third(late), self.aux1(early), self.aux2(late)


class Up(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * c, c, 2, 2)
        self.both = nn.Sequential(*cr(2 * c, c, 3, pad=1), *cr(c, c, 3, pad=1))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.both(torch.cat([skip, self.up(x)], 1))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = 1
        for c in (64, 128, 256, 512, 1024):
            self.down.append(nn.Sequential(*cr(before, c, 3, pad=1), *cr(c, c, 3, pad=1)))
            before = c
        self.up = nn.ModuleList([Up(c) for c in (512, 256, 128, 64)])
        self.last = nn.Conv2d(64, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [self.down[0](x)]
        for down in self.down[1:]:
            seen.append(down(F.max_pool2d(seen[-1], 2)))
        y = seen.pop()
        for up in self.up:
            y = up(y, seen.pop())
        return self.last(y)


# ---- sequences -----------------------------------------------------------------


class Reviews(nn.Module):
    """PyTorch has two biases where netdsl has one: the second stays zero."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20_000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.lstm.bias_hh_l0.requires_grad_(False).zero_()
        self.last = nn.Linear(128, 1)

    def forward(self, words: Tensor) -> Tensor:
        return self.last(self.lstm(self.embedding(words))[0][:, -1])[:, 0]


# ---- losses --------------------------------------------------------------------


def google_loss(made: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
    logits, aux1, aux2 = (F.cross_entropy(each, target) for each in made)
    return logits + 0.3 * aux1 + 0.3 * aux2


def review_loss(logit: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logit, target.to(logit.dtype))


MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp, "lenet5": lenet5, "resnet20": resnet20, "vgg11": vgg11, "vgg16": vgg16,
    "resnet18": resnet18, "resnet50": resnet50, "mobilenet_v2": mobilenet_v2,
    "densenet": densenet, "googlenet": GoogLeNet, "unet": UNet, "lstm": Reviews,
}  # fmt: skip
LOSSES: dict[str, Callable[..., Tensor]] = {"googlenet": google_loss, "lstm": review_loss}
