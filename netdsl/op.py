"""What an op is: its parameters, its shape rule, its weights, and the registry of them all.

An op (a layer, a loss, an optimizer …) is one class in one file. Its fields are its parameters in
the language, and its kernels (`netdsl.kernel`) stand below it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import (
    Any,
    ClassVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from netdsl.arguments import spell
from netdsl.errors import Problem
from netdsl.kernel import Kernel
from netdsl.sight import SAME, Sights
from netdsl.tensor import DType, Tensor, View, as_is

Registry = dict[str, dict[str, type["Op"]]]

REGISTRY: Registry = {}
"""Every op by kind and name, filled by importing their packages. The compiler hands it down."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of an op in the language: its name, its kind and its default."""

    name: str
    kind: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether the user must give it."""
        return self.default is MISSING


@dataclass_transform(frozen_default=True)
class Op:
    """Anything the language can name. A subclass is a frozen dataclass, registered by its name.

    ``name=`` in the class statement is the word in the language; the first class of a kind, without
    a name, says ``kind=``. ``synonyms`` are what other systems call the parameters: they are never
    accepted, but the error names the right one. ``examples`` feed the tests and the reference:
    each is a call in the language and the shapes it is given.
    """

    kind: ClassVar[str]
    name: ClassVar[str] = ""
    synonyms: ClassVar[dict[str, str]] = {}
    kernels: ClassVar[tuple[Kernel, ...]] = ()
    examples: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init_subclass__(cls, name: str | None = None, kind: str | None = None) -> None:
        super().__init_subclass__()
        dataclass(frozen=True)(cls)
        if kind:
            cls.kind = kind
            REGISTRY.setdefault(kind, {})
        if name:
            cls.name = name
            known = REGISTRY[cls.kind]
            if name in known:
                raise TypeError(f"two {cls.kind}s are called '{name}': {known[name]} and {cls}")
            known[name] = cls

    @classmethod
    @cache
    def parameters(cls) -> tuple[Parameter, ...]:
        """The parameters in the order of the fields."""
        kinds = get_type_hints(cls, include_extras=True)
        return tuple(Parameter(f.name, kinds[f.name], f.default) for f in fields(cls))  # type: ignore[arg-type]

    @classmethod
    def law(cls) -> str:
        """The first line of its docstring: what it computes, in a sentence."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class Initializer(Op, kind="initializer"):
    """How a weight begins."""

    def draw(self, fan_in: int, fan_out: int) -> tuple[str, float]:
        """The distribution and its one number.

        ``("normal", std)``, ``("uniform", bound)``, ``("constant", value)``, ``("orthogonal",
        gain)``, ``("forget", value)``: the second quarter, else 0, or ``("bilinear", gain)``: every
        channel by itself, with the weights of a bilinear upsampling.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Weight:
    """What training learns: its sizes, and how it begins.

    ``fan_in`` and ``fan_out`` count the inputs that one output sees and the outputs that one input
    reaches (He et al. 2015). ``decay`` is false for what weight decay may be told to leave alone.
    """

    dims: tuple[int, ...]
    init: Initializer
    fan_in: int = 1
    fan_out: int = 1
    decay: bool = True

    @property
    def tensor(self) -> Tensor:
        """Its type: all samples share it."""
        return Tensor(self.dims, batch=False)


@dataclass(frozen=True)
class State:
    """What outlives a step without being learnt, such as running statistics."""

    dims: tuple[int, ...]
    value: float

    @property
    def tensor(self) -> Tensor:
        """Its type: all samples share it."""
        return Tensor(self.dims, batch=False)


class Layer(Op, kind="layer"):
    """A step of a network.

    ``view`` is how its kernels see tensors. An ``alias`` has no kernels: its output is its input in
    another shape. ``join`` layers take several inputs, ``takes`` is their type. ``shape`` names the
    inputs in its signature.
    """

    view: ClassVar[View] = staticmethod(as_is)
    alias: ClassVar[bool] = False
    join: ClassVar[bool] = False
    takes: ClassVar[DType] = DType.REAL

    def shape(self, *xs: Tensor) -> Tensor:
        """The type of the output; raises `Problem` if the inputs do not suit."""
        raise NotImplementedError

    def weights(self, *xs: Tensor) -> dict[str, Weight]:
        """What it learns, by the names that its kernels read."""
        return {}

    def state(self, *xs: Tensor) -> dict[str, State]:
        """What it keeps from step to step, by the names that its kernels read and make."""
        return {}

    def aux(self, *xs: Tensor) -> dict[str, Tensor]:
        """Other tensors that its kernels make for one another."""
        return {}

    def numbers(self, *xs: Tensor) -> dict[str, Any]:
        """The numbers that its kernels take: whole ones are compiled in, others are passed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def bound(self) -> int | None:
        """How many whole numbers its input tells apart, from 0 on; None if any will do."""
        return None

    def part(self, which: int, *xs: Tensor) -> dict[str, Any]:
        """The numbers for the gradient of one of several inputs; they are passed."""
        return {"which": which}

    def macs(self, *xs: Tensor) -> int:
        """Multiply-accumulate operations of one sample's forward pass."""
        return 0

    def sees(self, *xs: Tensor) -> Sights | None:
        """What a position of the output sees of the input, along each axis: the receptive field.

        ``()`` is place by place, though places may be counted otherwise (flatten), None all of
        them. The features of a vector are its places. Statistics over a batch do not count. A join
        is asked for each input alone. Unless a layer says better, equal sizes are seen place by
        place, others as a whole.
        """
        y = self.shape(*xs)
        return (SAME,) * len(y.spatial) if all(x.spatial == y.spatial for x in xs) else None

    def formulas(self, *xs: Tensor) -> dict[str, str]:
        """How its sizes come about, with their numbers, by what they say: ``height``, ``MACs``."""
        return {}

    def warnings(self, *xs: Tensor) -> tuple[str, ...]:
        """What is legal here and seldom meant."""
        return ()

    @classmethod
    @cache
    def inputs(cls) -> tuple[str, ...]:
        """The names of its inputs; a join has the one name of them all."""
        return tuple(name for name in inspect.signature(cls.shape).parameters if name != "self")


class Loss(Op, kind="loss"):
    """What training makes small: a number, the mean over the batch.

    Kernels read ``x`` (the prediction), ``target`` and the number ``scale`` (the weight of this
    loss in a sum); they make ``y`` of one element, and ``dx``. What it ``contains`` is a layer that
    its prediction must not come from.
    """

    view: ClassVar[View] = staticmethod(as_is)
    contains: ClassVar[str] = ""

    def target(self, x: Tensor) -> Tensor:
        """The type of the target for a prediction; raises `Problem` if there is none."""
        raise NotImplementedError

    def classes(self, x: Tensor) -> int:
        """How many classes a target of whole numbers tells apart: one for each channel."""
        return x.channels

    def aux(self, x: Tensor) -> dict[str, Tensor]:
        """Other tensors that its kernels make for one another."""
        return {}

    def numbers(self, x: Tensor) -> dict[str, Any]:
        """The numbers that its kernels take: whole ones are compiled in, others are passed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


class Optimizer(Op, kind="optimizer"):
    """How gradients change weights.

    Kernels are elementwise: they read the weight ``p``, its gradient ``g`` and the ``slots`` (one
    number a weight, zero at first), and make ``p`` and the slots, in the order of the file. They
    may take ``lr`` and ``step`` (from 1) besides the op's own parameters.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    lr: float


class Schedule(Op, kind="schedule"):
    """How the learning rate goes as training proceeds.

    ``epoch`` counts from 0, with its fraction: the middle of a step, ``e + (i + 0.5) / steps``
    for step ``i`` of epoch ``e``. So no step of a ramp has a rate of zero, first or last.
    """

    def multiplier(self, epoch: float, epochs: int) -> float:
        """What the learning rate is multiplied with at a place in a training of so many epochs."""
        raise NotImplementedError

    @staticmethod
    def warmed(epoch: float, warmup: float) -> float:
        """The part of the rate that a linear warm-up has reached: ``epoch / warmup``, at most 1."""
        return epoch / warmup if epoch < warmup else 1.0


class Metric(Op, kind="metric"):
    """A figure that people read, never a gradient: the higher, the better."""

    def column(self) -> str:
        """What its figures are called: ``accuracy``, ``top(5)``."""
        values = [spell(getattr(self, parameter.name)) for parameter in self.parameters()]
        return f"{self.name}({', '.join(values)})" if values else self.name

    def score(self, prediction: np.ndarray, target: np.ndarray) -> float:
        """The sum over the samples of the batch."""
        raise NotImplementedError


def class_scores(prediction: np.ndarray) -> np.ndarray:
    """A score for each class: a single logit ``z`` stands for the scores 0 and ``z`` of two."""
    if prediction.shape[1] > 1:
        return prediction
    return np.concatenate([np.zeros_like(prediction), prediction], axis=1)


def expand(value: int | tuple[int, ...], rank: int, what: str) -> tuple[int, ...]:
    """A size for each spatial axis: ``3`` is ``(3, 3)`` for a picture.

    Raises `Problem` if the user gave another number of sizes than there are axes.
    """
    if isinstance(value, int):
        return (value,) * rank
    if len(value) != rank:
        raise Problem(
            f"{what} has {len(value)} sizes, the input has {rank} spatial axes", argument=what
        )
    return value


def as_three(sizes: tuple[int, ...], neutral: int) -> tuple[int, ...]:
    """Sizes for kernels, which are written for three spatial axes: missing ones are neutral."""
    return (*(neutral,) * (3 - len(sizes)), *sizes)


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that the ops in them are registered."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")


def call_text(op: Op, whole: bool = False) -> str:
    """The op as the language writes it: ``conv(64, 7, stride=2)``, defaults left out.

    ``whole`` names every parameter: ``sgd(lr=0.05, momentum=0.9, nesterov=false, …)``.
    """
    given: list[str] = []
    for parameter in op.parameters():
        value = getattr(op, parameter.name)
        text = value_text(value, parameter.kind, whole)
        if whole or not parameter.required:
            text = f"{parameter.name}={text}"
        if whole or parameter.required or value != parameter.default:
            given.append(text)
    return f"{op.name}({', '.join(given)})" if given else op.name


def value_text(value: object, kind: Any, whole: bool = False) -> str:
    """An argument of a kind as the language writes it."""
    if isinstance(value, Op):
        return call_text(value, whole)
    if get_origin(kind) is tuple and isinstance(value, tuple):
        return f"[{', '.join(value_text(item, get_args(kind)[0], whole) for item in value)}]"
    if isinstance(value, float) and not whole:
        value = float(f"{value:.6g}")  # to be read: 0.1 + 0.2 is 0.3
    # A text has quotes; every other kind that holds a str holds one of the language's words.
    text = str in (kind, *get_args(kind))
    return value if isinstance(value, str) and not text else spell(value)
