"""What a lowering decides, told for people: which kernel a layer got, and what was fused."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from netdsl.schedule import Buffer, Call, Note

GENERIC, FUSED, LAZY = "generic", "fused", "made while it is read"
WRITTEN, IN_PLACE, COPIED = "written where it is read", "in place", "copied"
CONVERSIONS = ("to_last", "to_first", "to_across", "from_across")
"""Kernels that copy pictures between the orders of their axes."""
HELPERS = (*CONVERSIONS, "pack", "bias_", "spread_bias", "materialise", "_sum")
"""Kernels beside others have this in their names."""
WORDS = {
    "conv": "direct", "depthwise": "depthwise", "dense": "matrix product", "combine": "sum",
    "norm": "normalisation", "join": "normalisation", "across": "images side by side",
}  # fmt: skip
"""What kernels are called whose names begin so."""


class Notes:
    """The notes of one lowering."""

    def __init__(self, training: bool) -> None:
        self.training = training
        self.said: dict[int, tuple[str, str]] = {}  # by the identity of calls
        self.along: list[Call] = []
        self.found: dict[tuple[str, str], tuple[Note, Buffer | None]] = {}
        self.readers: dict[Buffer, dict[tuple[str, Buffer | None], None]] = {}
        self.written: set[Buffer] = set()

    def decide(self, call: Call, how: str = "", why: str = "") -> None:
        """How the tensor of a call is made, if it has a choice, and why so."""
        self.said.setdefault(id(call), (how, why))

    def took(self, call: Call, others: Sequence[Call]) -> None:
        """A call does others along: those of its layer, and what is fused into it."""
        self.along += [other for other in others if other is not call]

    def read(self, buffer: Buffer, owner: str, into: Buffer | None = None) -> None:
        """A layer makes a lazy tensor while it reads it, perhaps for one that is lazy itself."""
        self.readers.setdefault(buffer, {})[owner, into] = None

    def done(self, call: Call, made: Sequence[Call], lazy: Container[Buffer]) -> None:
        """A call is lowered to those that were made of it; some tensors are lazy now."""
        for each in (call, *self.along):
            how, why = self.said.get(id(each), ("", ""))
            out, into = each.out.buffer, ()
            if each.owner != call.owner:
                how, into = FUSED, (call.owner,)
            elif out in lazy:
                how = LAZY
                for operand in each.operands():
                    if operand.buffer in lazy and operand.buffer.role == out.role:
                        self.read(operand.buffer, each.owner, out)
            else:
                how = how or (name_of(made) if made else IN_PLACE)
            note = Note(each.owner, each.kernel.makes, how, why, into, self.training)
            waits = out if how == LAZY else None
            self.found.setdefault((note.owner, note.makes), (note, waits))
        self.along = []

    def all(self) -> Iterator[Note]:
        """The notes, each with the layers that make a tensor along with theirs."""
        for note, waits in self.found.values():
            if waits is None:
                yield note
                continue
            how = WRITTEN if waits in self.written else LAZY
            into = tuple(dict.fromkeys(self.makers(waits)))
            yield Note(note.owner, note.makes, how, note.why, into, note.training)

    def makers(self, buffer: Buffer) -> Iterator[str]:
        """The layers whose kernels make a lazy tensor."""
        for owner, into in self.readers.get(buffer, {}):
            if into is None:
                yield owner
            elif into != buffer:
                yield from self.makers(into)


def name_of(made: Sequence[Call]) -> str:
    """The kernel, of those that make a tensor, that does the work, in words."""
    main = [c for c in made if not any(part in c.kernel.fn.__name__ for part in HELPERS)]
    if not main:
        return COPIED
    call = main[0]
    if call.op.name == "dense":
        return WORDS["dense"]
    name = call.kernel.fn.__name__.removesuffix("_forward").removesuffix("_backward")
    if name.startswith("winograd"):
        m = {**call.passed, **call.baked}["m"]
        return f"winograd F({m}x{m})"
    found = (word for begin, word in WORDS.items() if name.startswith(begin))
    return next(found, name.replace("_", " "))
