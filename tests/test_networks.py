"""Whole networks: twenty steps of training agree with PyTorch, and gradients with differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import ADAM, NETWORKS, SGD, batches, text

from netdsl.backends.cpu import CPU
from netdsl.backends.emit import emit_cached
from netdsl.backends.loader import load
from netdsl.compiler import load_source
from netdsl.random import uniform
from netdsl.source import Source

SEED = 3
BATCH = 8


def engine(name: str, optimizer: str = SGD) -> Any:
    net = load_source(Source(f"{name}.net", text(name, optimizer)))
    return net.compile("cpu", batch=BATCH, seed=SEED).engine


# ---- PyTorch -----------------------------------------------------------------------------------


class Peers:
    """The same networks in PyTorch, written by hand; parameters have the names netdsl gives them.

    Dropout takes its mask from netdsl's counters: a function of seed, step, layer and element.
    """

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.nn, self.F = torch.nn, torch.nn.functional
        self.step = 0

    def conv(self, c: int, k: int, window: int, stride: int = 1, bias: bool = False) -> Any:
        return self.nn.Conv2d(c, k, window, stride, padding=window // 2, bias=bias)

    def named(self, **modules: Any) -> Any:
        return self.nn.ModuleDict(modules)

    def residual(self) -> Any:
        nn, F, bn = self.nn, self.F, self.nn.BatchNorm2d
        m = self.named(
            conv1=self.conv(2, 4, 3), bn1=bn(4),
            residual1=self.named(
                conv1=self.conv(4, 6, 3, stride=2), bn1=bn(6), conv2=self.conv(6, 6, 3), bn2=bn(6),
                project=nn.Conv2d(4, 6, 1, stride=2, bias=False), project_bn=bn(6),
            ),
            residual2=self.named(conv1=self.conv(6, 6, 3), bn1=bn(6)),
            logits=nn.Linear(6, 3),
        )  # fmt: skip

        def forward(x: Any) -> Any:
            x = F.relu(m.bn1(m.conv1(x)))
            r = m.residual1
            body = r.bn2(r.conv2(F.relu(r.bn1(r.conv1(x)))))
            x = F.relu(body + r.project_bn(r.project(x)))
            x = F.relu(m.residual2.bn1(m.residual2.conv1(x)) + x)
            return m.logits(x.mean((2, 3)))

        return m, lambda x, y: self.F.cross_entropy(forward(x), y), forward

    def inception(self) -> Any:
        F = self.F
        m = self.named(
            conv1=self.conv(2, 4, 3, bias=True), conv2=self.conv(4, 3, 1, bias=True),
            conv3=self.conv(4, 2, 1, bias=True), conv4=self.conv(2, 3, 3, bias=True),
            conv5=self.conv(4, 2, 1, bias=True), logits=self.nn.Linear(72, 3),
        )  # fmt: skip

        def forward(x: Any) -> Any:
            x = F.relu(m.conv1(x))
            a = F.relu(m.conv2(x))
            b = F.relu(m.conv4(F.relu(m.conv3(x))))
            c = F.relu(m.conv5(F.max_pool2d(x, 3, stride=1, padding=1)))
            return m.logits(F.max_pool2d(self.torch.cat([a, b, c], 1), 2).flatten(1))

        return m, lambda x, y: F.cross_entropy(forward(x), y, label_smoothing=0.1), forward

    def dense(self) -> Any:
        F, bn = self.F, self.nn.BatchNorm2d
        m = self.named(
            conv1=self.conv(2, 4, 3),
            dense_block1=self.named(
                bn1=bn(4), conv1=self.conv(4, 3, 3), bn2=bn(7), conv2=self.conv(7, 3, 3)
            ),
            bn1=bn(10), conv2=self.conv(10, 5, 1), bn2=bn(5, affine=False),
            bn3=self.nn.BatchNorm1d(45), logits=self.nn.Linear(45, 3),
        )  # fmt: skip

        def forward(x: Any) -> Any:
            x, b = m.conv1(x), m.dense_block1
            x = self.torch.cat([x, b.conv1(F.relu(b.bn1(x)))], 1)
            x = self.torch.cat([x, b.conv2(F.relu(b.bn2(x)))], 1)
            x = m.bn2(F.avg_pool2d(m.conv2(F.relu(m.bn1(x))), 2))
            return m.logits(m.bn3(x.flatten(1)))

        return m, lambda x, y: F.cross_entropy(forward(x), y), forward

    def dropout(self) -> Any:
        F = self.F
        m = self.named(
            conv1=self.conv(2, 4, 3), bn1=self.nn.BatchNorm2d(4),
            dense1=self.nn.Linear(144, 8), logits=self.nn.Linear(8, 3),
        )  # fmt: skip

        def drop(x: Any, p: float, layer: int) -> Any:
            if not m.training:
                return x
            mask = uniform(SEED, self.step, layer, np.arange(x.numel(), dtype=np.uint64))
            kept = self.torch.from_numpy(mask >= np.float32(p)).reshape(x.shape)
            return x * kept / (1 - p)

        # The layers are numbered in the order of the file: image, conv1, bn1, relu1, dropout1 ...
        def forward(x: Any) -> Any:
            x = drop(F.relu(m.bn1(m.conv1(x))), 0.25, 4)
            return m.logits(drop(F.relu(m.dense1(x.flatten(1))), 0.4, 8))

        return m, lambda x, y: F.cross_entropy(forward(x), y), forward

    def shared(self) -> Any:
        F = self.F
        m = self.named(
            conv1=self.conv(2, 4, 3, bias=True), main=self.nn.Linear(144, 3),
            aux=self.nn.Linear(144, 3), idle=self.nn.Linear(144, 2),
        )  # fmt: skip

        def forward(image: Any) -> Any:
            x = self.torch.tanh(m.conv1(image))
            wide = (x + F.relu(x) + self.torch.sigmoid(x) + x * x).flatten(1)
            return {"main": m.main(wide), "aux": m.aux(wide), "idle": m.idle(wide)}

        def loss(image: Any, y: Any) -> Any:
            made = forward(image)
            return F.cross_entropy(made["main"], y) + 0.3 * F.cross_entropy(made["aux"], y)

        return m, loss, forward

    def towers(self) -> Any:
        F, bn = self.F, self.nn.BatchNorm2d
        m = self.named(
            tower1=self.named(conv1=self.conv(2, 4, 3), bn1=bn(4)),
            deep1=self.named(conv1=self.conv(2, 2, 3), bn1=bn(2)),
            aux=self.nn.Linear(36, 3), logits=self.nn.Linear(72, 3),
        )  # fmt: skip

        def tower(x: Any) -> Any:
            return F.avg_pool2d(F.relu(m.tower1.bn1(m.tower1.conv1(x))), 2)

        def deep(x: Any) -> Any:
            return self.torch.tanh(m.deep1.bn1(m.deep1.conv1(x)))

        def heads(image: Any) -> tuple[Any, Any]:
            a, b = tower(image), tower(deep(deep(image)))
            return m.logits(self.torch.cat([a, b], 1).flatten(1)), m.aux(a.flatten(1))

        def loss(image: Any, y: Any) -> Any:
            main, aux = heads(image)
            side = 0.3 * F.cross_entropy(aux, y) if m.training else 0
            return F.cross_entropy(main, y) + side

        return m, loss, lambda image: heads(image)[0]

    def autoencoder(self) -> Any:
        m = self.named(conv1=self.conv(2, 4, 3, bias=True), conv2=self.conv(4, 2, 3, bias=True))

        def forward(x: Any) -> Any:
            return self.torch.sigmoid(m.conv2(self.F.relu(m.conv1(x))))

        return m, lambda x: self.F.mse_loss(forward(x), x), forward

    def optimizer(self, m: Any, written: str) -> Any:
        if written == SGD:
            return self.torch.optim.SGD(
                m.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01
            )
        decayed = [p for p in m.parameters() if p.ndim > 1]
        others = [p for p in m.parameters() if p.ndim == 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others}]
        return self.torch.optim.Adam(groups, lr=0.01)


@pytest.fixture
def peers() -> Peers:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return Peers(torch)


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_agrees_with_pytorch(name: str, optimizer: str, peers: Peers) -> None:
    torch, model = peers.torch, engine(name, optimizer)
    m, loss, forward = getattr(peers, name)()
    begin = {key: torch.from_numpy(value) for key, value in model.parameters().items()}
    missing, unknown = m.load_state_dict(begin, strict=False)
    assert not unknown and all("running" in key or "tracked" in key for key in missing)
    step = peers.optimizer(m, optimizer)
    ours, theirs = [], []
    for arrays in batches(name):
        tensors = [torch.from_numpy(array) for array in arrays]
        peers.step += 1
        step.zero_grad()
        value = loss(*tensors)
        value.backward()
        step.step()
        theirs.append(value.item())
        ours.append(model.train_step(*arrays))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    state = {key: value.numpy() for key, value in m.state_dict().items()}
    for key, value in {**model.parameters(), **model.statistics()}.items():
        np.testing.assert_allclose(value, state[key], rtol=1e-3, atol=1e-3, err_msg=key)
    m.eval()
    arrays = batches(name, 21)[-1]
    with torch.no_grad():
        tensors = [torch.from_numpy(array) for array in arrays]
        made, expected = model.forward(arrays[0]), forward(tensors[0])
        np.testing.assert_allclose(model.loss(*arrays), loss(*tensors).item(), rtol=1e-3)
    pairs = [(made[k], expected[k]) for k in made] if name == "shared" else [(made, expected)]
    for mine, other in pairs:
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-3, atol=1e-3)


# ---- Differences -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_slopes(name: str) -> None:
    """In double precision, along random directions through all weights at once."""
    net = load_source(Source(f"{name}.net", text(name)))
    model = load(emit_cached(net.schedule(), CPU, name, "f8")).Model(seed=SEED, batch=BATCH)
    arrays = batches(name, 1)[0]
    # Away from where it begins: there biases are zero, and relus on a kink.
    generator = np.random.default_rng(1)
    start = model.snapshot()
    start |= {k: w + generator.normal(0, 0.1, w.shape) for k, w in model.parameters().items()}

    def loss(along: dict[str, np.ndarray], h: float) -> float:
        model.restore({**start, **{key: start[key] + h * d for key, d in along.items()}})
        return model.train_step(*arrays, lr=0)

    for _ in range(3):
        along = {key: generator.normal(size=w.shape) for key, w in model.parameters().items()}
        slope = (loss(along, 1e-6) - loss(along, -1e-6)) / 2e-6
        loss(along, 0)
        gradient = model.gradients()
        assert sum(np.vdot(gradient[key], along[key]) for key in along) == pytest.approx(
            slope, rel=1e-6
        )
