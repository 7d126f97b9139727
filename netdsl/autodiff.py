"""Graph to schedule: forward, backward and update, derived from the signatures of the kernels.

Reverse-mode differentiation needs no rules here: an op's kernel called ``dx`` makes the gradient by
``x``, and what it reads must still be there when the backward pass comes to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from netdsl.ir import Graph, Node
from netdsl.op import Kernel, Loss, Optimizer, When
from netdsl.schedule import Buffer, Call, Operand, Placed, Reads, Schedule, Symbol, Term
from netdsl.tensor import DType, Tensor, flat

RUNTIME = ("seed", "step")
"""Numbers that a kernel may ask for and the running model supplies."""


def schedule(
    graph: Graph, terms: Iterable[Term] = (), optimizer: Optimizer | None = None
) -> Schedule:
    """Everything a target must do to predict with a network, and to train it on the losses."""
    return _Scheduler(graph, tuple(terms), optimizer).schedule()


class _Scheduler:
    def __init__(self, graph: Graph, terms: tuple[Term, ...], optimizer: Optimizer | None) -> None:
        self.graph = graph
        self.terms = terms
        self.optimizer = optimizer
        self.number = {node.name: i for i, node in enumerate(graph)}
        self.root = self._roots()
        self.active = self._active()
        self.written: set[Buffer] = set()

    def schedule(self) -> Schedule:
        weights = self._place()
        predict = tuple(self._forward("eval"))
        target, classes = self._target()
        needed = self._outputs()
        losses = tuple(self._loss(i) for i in range(len(self.terms)))
        backward = tuple(self._backward()) if self.terms else ()
        train = (*self._forward("train"), *self._losses())
        kept = {operand.buffer for call in backward for operand in call.operands()}
        states = [
            (Buffer("state", node.name, name, state.tensor), state.value)
            for node in self.graph
            for name, state in self.graph.state(node).items()
        ]
        stateful = {buffer for buffer, _ in states}
        gradients = {
            Buffer("dweight", p.buffer.owner, p.buffer.name, p.buffer.tensor) for p in weights
        }
        return Schedule(
            name=self.graph.name,
            inputs=tuple(self._value(node.name) for node in self.graph.inputs),
            outputs=needed,
            target=target,
            classes=classes,
            weights=weights,
            states=tuple(states),
            slots=self.optimizer.slots if self.optimizer else (),
            losses=losses,
            train=_prune(train, {*losses, *needed, *kept, *stateful}),
            evaluate=_prune((*predict, *self._losses()), {*losses, *needed}),
            predict=_prune(predict, set(needed)),
            backward=_prune(backward, gradients),
            update=tuple(self._update(weights)) if self.optimizer and self.terms else (),
            lr=self.optimizer.lr if self.optimizer else None,
        )

    # ---- what is there ---------------------------------------------------------

    def _roots(self) -> dict[str, str]:
        """For each node the one whose memory holds its tensor: aliases share their input's."""
        root: dict[str, str] = {}
        for node in self.graph:
            root[node.name] = root[node.inputs[0]] if node.layer.alias else node.name
        return root

    def _active(self) -> set[str]:
        """The nodes whose tensor depends on a weight: only they need a gradient."""
        active: set[str] = set()
        for node in self.graph:
            if self.graph.weights(node) or any(name in active for name in node.inputs):
                active.add(node.name)
        return active

    def _value(self, name: str) -> Buffer:
        root = self.graph[self.root[name]]
        return Buffer("value", root.name, "", root.tensor)

    def _grad(self, name: str) -> Buffer:
        return replace(self._value(name), role="grad")

    def _loss(self, i: int) -> Buffer:
        name = "loss" if len(self.terms) == 1 else f"loss{i + 1}"
        return Buffer("loss", name, "", Tensor((1,), batch=False))

    def _outputs(self) -> tuple[Buffer, ...]:
        return tuple(self._value(name) for name in self.graph.outputs)

    def _target(self) -> tuple[Buffer | None, int | None]:
        """The labels' buffer, and how many classes they tell apart."""
        for term in self.terms:
            if term.target is None:
                assert isinstance(term.loss, Loss)
                prediction = self.graph[term.prediction].tensor
                tensor = term.loss.target(prediction)
                classes = prediction.channels if tensor.dtype is DType.INT else None
                return Buffer("target", "target", "", tensor), classes
        return None, None

    def _place(self) -> tuple[Placed, ...]:
        """Lay all weights into one flat buffer, those that weight decay may spare last."""
        owned = [
            (Buffer("weight", node.name, name, weight.tensor), weight)
            for node in self.graph
            for name, weight in self.graph.weights(node).items()
        ]
        starts: dict[Buffer, int] = {}
        start = 0
        for buffer, weight in sorted(owned, key=lambda item: not item[1].decay):
            starts[buffer] = start
            start += weight.tensor.size
        return tuple(Placed(buffer, weight, starts[buffer]) for buffer, weight in owned)

    # ---- forward ---------------------------------------------------------------

    def _forward(self, when: When) -> Iterator[Call]:
        for node in self.graph:
            if node.inputs and not node.layer.alias:
                for kernel in node.layer.kernels:
                    if kernel.when in ("always", when) and not self._late(node, kernel):
                        yield self._call(node, kernel)

    def _late(self, node: Node, kernel: Kernel) -> bool:
        """Whether a kernel belongs to the backward pass: it reads ``dy``, if only through others."""
        late = {"dy"}
        for other in node.layer.kernels:
            if late & set(other.tensors):
                late.add(other.makes)
            if other is kernel:
                return kernel.makes in late
        raise AssertionError(f"{kernel.makes} is no kernel of {node.name}")

    def _call(self, node: Node, kernel: Kernel, which: int = 0, out: Operand | None = None) -> Call:
        xs = self.graph.tensors(node)
        view = node.layer.view
        known = node.layer.numbers(*xs)
        known |= {"layer": self.number[node.name]} | node.layer.part(which, *xs)
        baked = {
            name: known[name]
            for name in kernel.numbers
            if name in node.layer.numbers(*xs) and not isinstance(known[name], float)
        }
        passed = {
            name: Symbol(name) if name in RUNTIME else known[name]
            for name in kernel.numbers
            if name not in baked
        }
        reads: Reads = {name: self._read(node, name) for name in kernel.reads}
        if kernel.many:
            reads = {**reads, kernel.many: tuple(self._see(node, n) for n in node.inputs)}
        if out is None:
            buffer = self._made(node, kernel.makes)
            out = Operand(buffer, view(buffer.tensor))
        return Call(node.name, node.place, node.layer, kernel, out, reads, baked, passed)

    def _see(self, node: Node, name: str) -> Operand:
        """A node's tensor in the shape of that node, as a kernel of another node sees it."""
        return Operand(self._value(name), node.layer.view(self.graph[name].tensor))

    def _made(self, node: Node, name: str) -> Buffer:
        xs = self.graph.tensors(node)
        if name == "y":
            return self._value(node.name)
        if name in (state := node.layer.state(*xs)):
            return Buffer("state", node.name, name, state[name].tensor)
        return Buffer("aux", node.name, name, node.layer.aux(*xs)[name])

    def _read(self, node: Node, name: str) -> Operand | None:
        layer, xs = node.layer, self.graph.tensors(node)
        if name in layer.inputs():
            return self._see(node, node.inputs[layer.inputs().index(name)])
        if name == "dy":
            return Operand(self._grad(node.name), layer.view(node.tensor))
        if name == "y" or name in layer.state(*xs) or name in layer.aux(*xs):
            buffer = self._made(node, name)
            return Operand(buffer, layer.view(node.tensor if name == "y" else buffer.tensor))
        weight = layer.weights(*xs).get(name)
        if weight is None:
            return None
        return Operand(Buffer("weight", node.name, name, weight.tensor), layer.view(weight.tensor))

    # ---- losses ----------------------------------------------------------------

    def _losses(self) -> Iterator[Call]:
        for i, term in enumerate(self.terms):
            for kernel in term.loss.kernels:
                if kernel.makes != "dx":
                    yield self._loss_call(i, term, kernel)

    def _loss_call(self, i: int, term: Term, kernel: Kernel) -> Call:
        loss = term.loss
        assert isinstance(loss, Loss)
        x = self.graph[term.prediction]
        owner = self._loss(i)
        numbers = loss.numbers(x.tensor)
        baked = {
            name: numbers[name]
            for name in kernel.numbers
            if name in numbers and not isinstance(numbers[name], float)
        }
        passed = {
            name: term.weight if name == "scale" else numbers[name]
            for name in kernel.numbers
            if name not in baked
        }

        def operand(name: str) -> Operand:
            if name == "x":
                return Operand(self._value(x.name), loss.view(x.tensor))
            if name == "dx":
                return Operand(self._grad(x.name), loss.view(x.tensor))
            if name == "target" and term.target:
                return Operand(self._value(term.target), loss.view(self.graph[term.target].tensor))
            if name == "target":
                tensor = loss.target(x.tensor)
                return Operand(Buffer("target", "target", "", tensor), loss.view(tensor))
            if name == "y":
                return Operand(owner, loss.view(owner.tensor))
            tensor = loss.aux(x.tensor)[name]
            return Operand(Buffer("aux", owner.owner, name, tensor), loss.view(tensor))

        reads = {name: operand(name) for name in kernel.reads}
        return self._adding(
            Call(owner.owner, x.place, loss, kernel, operand(kernel.makes), reads, baked, passed)
        )

    # ---- backward --------------------------------------------------------------

    def _adding(self, call: Call) -> Call:
        """The call, adding to a gradient that an earlier call has begun."""
        if call.out.buffer.role not in ("grad", "dweight"):
            return call
        add = call.out.buffer in self.written
        self.written.add(call.out.buffer)
        return replace(call, add=add)

    def _backward(self) -> Iterator[Call]:
        for i, term in enumerate(self.terms):
            for kernel in term.loss.kernels:
                if kernel.makes == "dx" and term.prediction in self.active:
                    yield self._loss_call(i, term, kernel)
        for node in reversed(self.graph.nodes):
            reached = node.name in self.active and self._grad(node.name) in self.written
            if reached and not node.layer.alias:
                for kernel in node.layer.kernels:
                    if self._late(node, kernel):
                        yield from self._gradients(node, kernel)

    def _gradients(self, node: Node, kernel: Kernel) -> Iterator[Call]:
        weights = self.graph.weights(node)
        made = kernel.makes.removeprefix("d")
        inputs = node.layer.inputs()
        if kernel.makes == f"d{made}" and made in weights:
            buffer = Buffer("dweight", node.name, made, weights[made].tensor)
            out = Operand(buffer, node.layer.view(buffer.tensor))
            yield self._adding(self._call(node, kernel, out=out))
        elif node.layer.join and kernel.makes == "dx":
            for which, name in enumerate(node.inputs):
                yield from self._to_input(node, kernel, which, name)
        elif kernel.makes == f"d{made}" and made in inputs:
            yield from self._to_input(node, kernel, 0, node.inputs[inputs.index(made)])
        elif kernel.makes in node.layer.aux(*self.graph.tensors(node)):
            yield self._call(node, kernel)

    def _to_input(self, node: Node, kernel: Kernel, which: int, name: str) -> Iterator[Call]:
        if name in self.active:
            out = Operand(self._grad(name), node.layer.view(self.graph[name].tensor))
            yield self._adding(self._call(node, kernel, which, out))

    # ---- update ----------------------------------------------------------------

    def _update(self, weights: tuple[Placed, ...]) -> Iterator[Call]:
        optimizer = self.optimizer
        assert optimizer is not None
        size = sum(placed.size for placed in weights)
        spared = min((p.start for p in weights if not p.weight.decay), default=size)
        whole = getattr(optimizer, "decay_bn", True)
        parts = [(0, size)] if whole else [(0, spared), (spared, size)]
        for part in parts:
            for kernel in optimizer.kernels if part[0] < part[1] else ():
                yield self._update_call(optimizer, kernel, size, part, part[0] < spared)

    def _update_call(
        self, optimizer: Optimizer, kernel: Kernel, size: int, part: tuple[int, int], decays: bool
    ) -> Call:
        whole = Tensor((size,), batch=False)

        def operand(name: str) -> Operand:
            role = {"p": "weight", "g": "dweight"}.get(name, "slot")
            return Operand(Buffer(role, "", name, whole), flat(whole), part)  # type: ignore[arg-type]

        numbers = {p.name: getattr(optimizer, p.name) for p in optimizer.parameters()}
        if not decays:
            numbers["weight_decay"] = 0.0
        baked = {n: numbers[n] for n in kernel.numbers if isinstance(numbers.get(n), bool)}
        passed = {
            n: Symbol(n) if n in ("lr", *RUNTIME) else numbers[n]
            for n in kernel.numbers
            if n not in baked
        }
        reads = {name: operand(name) for name in kernel.reads}
        return Call("", "train", optimizer, kernel, operand(kernel.makes), reads, baked, passed)


def _prune(calls: Iterable[Call], wanted: set[Buffer]) -> tuple[Call, ...]:
    """Only the calls whose result is wanted, or read by a later one that is kept."""
    needed = set(wanted)
    kept: list[Call] = []
    for call in reversed(tuple(calls)):
        if call.out.buffer in needed:
            kept.append(call)
            needed.update(operand.buffer for operand in call.operands())
    return tuple(reversed(kept))
