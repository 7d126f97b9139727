"""What a target executes: kernel calls in order, over named buffers.

A schedule is derived from a graph by `netdsl.autodiff`; the emitter writes it out as a module, and
`netdsl.interpret` runs it as plain Python. Everything in it is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from netdsl.kernel import Kernel
from netdsl.op import Loss, Op, Weight
from netdsl.tensor import Tensor

Role = Literal["value", "grad", "aux", "weight", "dweight", "state", "slot", "target", "loss"]


@dataclass(frozen=True)
class Buffer:
    """A tensor in memory: ``owner`` is the node or loss it belongs to, ``name`` which one of it."""

    role: Role
    owner: str
    name: str
    tensor: Tensor

    def __str__(self) -> str:
        return ".".join(filter(None, (self.owner, self.name)))


@dataclass(frozen=True)
class Operand:
    """A buffer as a kernel sees it: reshaped to ``view`` (-1 is the batch), or its ``part``.

    With ``memory`` it is the numbers as they lie, from its first one on; ``strided`` ones are seen
    through strides, since they lie in another order than that of their axes.
    """

    buffer: Buffer
    view: tuple[int, ...]
    part: tuple[int, int] | None = None
    memory: bool = False
    strided: bool = False

    @property
    def rank(self) -> int:
        """The number of axes that the kernel sees."""
        return len(self.view)


@dataclass(frozen=True)
class Symbol:
    """A number that the running model supplies: ``seed``, ``step``, ``lr``, ``count``."""

    name: str


@dataclass(frozen=True)
class Scaled:
    """``count * factor``, where ``count`` is the number of samples of a batch."""

    factor: int


@dataclass(frozen=True)
class Counted:
    """A function of numbers, some of which only the running model knows."""

    fn: Callable[..., int]
    arguments: tuple[tuple[str, int | Symbol | Scaled], ...]


Number = float | int | Symbol | Scaled | Counted
Reads = Mapping[str, Operand | tuple[Operand, ...] | None]


@dataclass(frozen=True)
class Call:
    """One kernel, run over one tensor.

    ``out = kernel(reads, baked, passed)``, or ``out += `` with ``add``. ``baked`` numbers are
    compiled in, ``passed`` ones are given at each call. ``None`` among the reads is a tensor that
    the op does not have, such as the bias of a layer without one.
    """

    owner: str
    place: str
    op: Op
    kernel: Kernel
    out: Operand
    reads: Reads
    baked: Mapping[str, Any] = field(default_factory=dict)
    passed: Mapping[str, Number] = field(default_factory=dict)
    add: bool = False

    def arguments(self) -> Iterator[Operand | None]:
        """All that it reads, in the order of the kernel's signature; None for what there is not."""
        for name in self.kernel.tensors:
            read = self.reads[name]
            yield from read if isinstance(read, tuple) else (read,)

    def operands(self) -> Iterator[Operand]:
        """All that it reads, in the order of the kernel's signature."""
        for name in self.kernel.tensors:
            read = self.reads[name]
            if isinstance(read, tuple):
                yield from read
            elif read is not None:
                yield read


@dataclass(frozen=True)
class Term:
    """One loss of a weighted sum: ``weight * loss(prediction, target)``.

    ``target`` is a node of the network (an autoencoder's input), or None for the labels.
    """

    weight: float
    loss: Loss
    prediction: str
    target: str | None = None


@dataclass(frozen=True)
class Placed:
    """A weight in the flat buffer of all weights: elements ``start`` to ``start + size``."""

    buffer: Buffer
    weight: Weight
    start: int

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.weight.dims)


@dataclass(frozen=True)
class Output:
    """What a network gives: its name, the memory that holds it, and its type there."""

    name: str
    buffer: Buffer
    tensor: Tensor


@dataclass(frozen=True)
class Place:
    """Where a buffer lies: among the channels of a ``host``, from channel ``first`` on."""

    host: Buffer
    first: int = 0


@dataclass(frozen=True)
class Note:
    """What a target decided of a tensor that a layer makes, ``y``, ``dx`` or ``dweight``.

    ``how`` is the kernel in words, ``why`` the rule that chose it, if there was a choice. ``into``
    are the layers whose kernels make it along with theirs.
    """

    owner: str
    makes: str
    how: str
    why: str = ""
    into: tuple[str, ...] = ()
    training: bool = True


@dataclass(frozen=True)
class Schedule:
    """The whole of a network at work.

    ``train`` and ``evaluate`` are forward passes, each with its losses last: ``losses`` are all,
    ``measured`` those of them that evaluation knows, since it has no side heads; ``predict`` is the
    evaluation without losses. ``backward`` fills the gradients of the weights that a loss reaches,
    ``update`` applies them. ``product`` makes those gradients that no array holds, since the update
    makes them as it goes. ``unread`` are the inputs that no output depends on, so that prediction
    does without them. ``prepare`` makes what evaluation and prediction read of the weights alone.
    ``precision`` says which shortcuts convolutions may take: ``exact`` none. Buffers in ``last``
    lie with their channels last, those in ``across`` with images side by side in blocks, those in
    ``places`` inside others. ``classes`` is how many classes a target may tell apart, ``scored``
    the prediction that metrics compare with the labels. ``notes`` tell people what a target
    decided.
    """

    name: str
    inputs: tuple[Buffer, ...]
    unread: tuple[Buffer, ...]
    outputs: tuple[Output, ...]
    target: Buffer | None
    classes: Mapping[Buffer, int]
    scored: Output | None
    weights: tuple[Placed, ...]
    states: tuple[tuple[Buffer, float], ...]
    slots: tuple[str, ...]
    losses: tuple[Buffer, ...]
    measured: tuple[Buffer, ...]
    train: tuple[Call, ...]
    evaluate: tuple[Call, ...]
    predict: tuple[Call, ...]
    backward: tuple[Call, ...]
    update: tuple[Call, ...]
    lr: float | None
    precision: str = "fast"
    prepare: tuple[Call, ...] = ()
    product: tuple[Call, ...] = ()
    last: frozenset[Buffer] = frozenset()
    across: frozenset[Buffer] = frozenset()
    places: Mapping[Buffer, Place] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers training learns."""
        return sum(placed.size for placed in self.weights)

    @property
    def unheld(self) -> tuple[Buffer, ...]:
        """The gradients by weights that no array holds."""
        made = (call.out.buffer for call in self.product)
        return tuple(dict.fromkeys(buffer for buffer in made if buffer.role == "dweight"))

    @property
    def lasting(self) -> int:
        """How many numbers outlive a step, and those of the gradients of the weights."""
        return self.size * (2 + len(self.slots)) + sum(b.tensor.size for b, _ in self.states)

    def memory(self, batch: int, element: int = 4) -> int:
        """The bytes of all its buffers for a batch, with elements of so many bytes."""
        found = {*self.inputs, *(output.buffer for output in self.outputs)}
        for call in self.calls():
            found |= {operand.buffer for operand in (call.out, *call.operands())}
        held = sum(
            buffer.tensor.size * (batch if buffer.tensor.batch else 1)
            for buffer in found
            if buffer.role in ("value", "grad", "aux", "target")
        )
        return (self.lasting + held) * element

    def calls(self) -> Iterator[Call]:
        """Every call of every pass."""
        yield from (*self.prepare, *self.train, *self.evaluate, *self.predict)
        yield from (*self.backward, *self.update, *self.product)
