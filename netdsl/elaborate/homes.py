"""The scopes of files: what their ``let``, ``default``, ``block`` and ``import`` lines declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.elaborate.names import Names
from netdsl.elaborate.network import Network
from netdsl.elaborate.scope import Scope, Work
from netdsl.elaborate.statements import default, let
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.elaborate.program import Program


class Homes:
    """The scopes of the files that take part in one network, each made once."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.work = Work()
        self.made: dict[int, Scope] = {}

    def of(self, program: Program) -> Scope:
        """The scope of a file: what it imports, its blocks, then its statements in their order."""
        if id(program) in self.made:
            return self.made[id(program)]
        scope = self.made[id(program)] = Scope(work=self.work, file=program.file)
        for name, other in program.imported.items():
            home = self.of(other)
            if name in home.blocks:
                scope.blocks[name] = home.blocks[name]
            elif name in home.names:
                scope.names[name] = home.names[name]
        for name, block in program.blocks.items():
            scope.blocks[name] = (block, scope)
        for item in program.file.items:
            if isinstance(item, ast.Let):
                let(self.network, item, None, scope, Names())
            elif isinstance(item, ast.Default):
                default(self.network, item, None, scope, Names())
        return scope
