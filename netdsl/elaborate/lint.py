"""What is wrong with a file whatever its values are: names and arguments that nothing knows.

Every block, net and recipe is carried out once without sizes: parameters and inputs are unknown,
both ways of an ``if`` are gone, every repeat once, and blocks are not entered from their calls. So
a block that no net uses, and a branch that is not taken, are looked at as well.
"""

from __future__ import annotations

from contextlib import suppress

from netdsl.elaborate.atoms import ATOMS
from netdsl.elaborate.connections import CONNECTIONS
from netdsl.elaborate.homes import Homes
from netdsl.elaborate.mistakes import Enough, walk
from netdsl.elaborate.names import Names
from netdsl.elaborate.network import Network
from netdsl.elaborate.program import Program
from netdsl.elaborate.recipes import check_recipe
from netdsl.elaborate.scope import LOST, Scope
from netdsl.elaborate.statements import STATEMENTS
from netdsl.elaborate.values import evaluate, tensor
from netdsl.errors import LimitError, NetError
from netdsl.syntax import ast


def lint(program: Program) -> list[NetError]:
    """The mistakes of a file that show without carrying its networks out."""
    network = Network(STATEMENTS, ATOMS, CONNECTIONS, program.registry, program.nets, dry=True)
    with suppress(LimitError, Enough):  # what carries the networks out tells of it
        _file(program, network)
    return network.mistakes.found


def _file(program: Program, network: Network) -> None:
    homes = Homes(network)
    home = homes.of(program)
    for block in program.blocks.values():
        inner = _inside(home, block.params, network)
        network.body(block.body, LOST, inner, Names(f"{block.name.text}."))
    seen = home.called(home)
    for name in program.nets:
        with network.mistakes.apart():
            net, where = program.stands_for(name)
            inner = _inside(homes.of(where), net.params, network)
            network.body(net.body, None, inner, Names())
            seen.labels.update(inner.labels)
    for section in program.recipes.values():
        with network.mistakes.apart():
            check_recipe(section, seen, network.registry)
        for part in (part for setting in section.settings for part in walk(setting.value)):
            if isinstance(part, ast.TensorRef):
                with network.mistakes.apart():
                    tensor(part.name, part.span, seen)


def _inside(home: Scope, params: tuple[ast.Param, ...], network: Network) -> Scope:
    """The scope of a body whose parameters are unknown; their defaults are looked at."""
    inner = home.called(home, LOST)
    inner.names = {param.name.text: LOST for param in params}
    for param in params:
        with network.mistakes.apart():
            if param.default is not None:
                evaluate(param.default, inner)
    return inner
