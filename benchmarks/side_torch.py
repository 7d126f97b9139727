"""A row as PyTorch does it: eager or compiled, with either order of the axes in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from rows import MOMENTUM, Row
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_models import LOSSES, MODELS
from weights import Weights


def prepare(row: Row, weights: Weights | None, threads: int, variant: str) -> Callable[[], object]:
    """The step of a row; ``variant`` has the words ``last`` (channels), ``compile``, ``double``."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    order = torch.channels_last if "last" in variant else torch.contiguous_format
    net = MODELS[row.model](**row.params)
    if weights is not None:
        fill(net, weights)
    x, y = (torch.from_numpy(array) for array in row.data())
    if row.pictures:
        x = x.to(memory_format=order)
    if "double" in variant:
        net, x = net.double(), x if row.words else x.double()
    if row.train:
        return training(row, net.to(memory_format=order), x, y, "compile" in variant)
    net = fused(net.eval()).to(memory_format=order)
    return inference(net, x, "compile" in variant)


def fill(net: nn.Module, weights: Weights) -> None:
    """Give the model the weights of netdsl, by order."""
    learnt = [each for each in net.parameters() if each.requires_grad]
    kept = [each for each in net.buffers() if each.dim()]
    with torch.no_grad():
        for mine, array in zip([*learnt, *kept], [*weights.learnt, *weights.kept], strict=True):
            if mine.shape != array.shape:
                raise ValueError(f"{tuple(mine.shape)} is not {array.shape}")
            mine.copy_(torch.from_numpy(array))


def training(
    row: Row, net: nn.Module, x: torch.Tensor, y: torch.Tensor, compiled: bool
) -> Callable[[], float]:
    """Forward, backward and the update; the loss comes back."""
    loss_of = LOSSES.get(row.model, F.cross_entropy)
    learnt = [each for each in net.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(learnt, lr=row.rate, momentum=MOMENTUM, fused=True)

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return loss_of(net(x), y)

    if compiled:
        forward = torch.compile(forward)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = forward(x, y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference(net: nn.Module, x: torch.Tensor, compiled: bool) -> Callable[[], np.ndarray]:
    """The logits as evaluation makes them."""
    if compiled:
        from torch._inductor import config

        config.freezing = True
        net = torch.compile(net)

    def step() -> np.ndarray:
        with torch.inference_mode():
            return net(x).numpy()

    return step


def fused(net: nn.Module) -> nn.Module:
    """Normalisations folded into the convolutions before them, as for every deployment."""
    for part in net.modules():
        if isinstance(part, nn.Sequential):
            for (name, conv), (after, norm) in zip(
                list(part.named_children()), list(part.named_children())[1:], strict=False
            ):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    part._modules[name] = fuse_conv_bn_eval(conv, norm)
                    part._modules[after] = nn.Identity()
    return net
