"""The ``train`` section: keys to a recipe, and the losses that it makes small."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.arguments import spell
from netdsl.elaborate.build import build
from netdsl.elaborate.values import Argument, Given, Scope, TensorValue, evaluate
from netdsl.errors import MeaningError, Problem, RecipeError, nearest
from netdsl.ir import Graph
from netdsl.op import Loss, Registry
from netdsl.recipe import Recipe
from netdsl.schedule import Term
from netdsl.syntax import ast


@dataclass(frozen=True)
class Training:
    """A recipe, and the weighted losses over the tensors of one network."""

    recipe: Recipe
    terms: tuple[Term, ...]


def training(
    train: ast.Train,
    labels: dict[str, TensorValue],
    graph: Graph,
    scope: Scope,
    registry: Registry,
) -> Training:
    """The recipe that a ``train`` section describes, for one network."""
    inner = Scope(scope)
    inner.labels = {name: (value, train.span) for name, value in labels.items()}
    args: list[Argument] = []
    losses: ast.Expr | None = None
    for setting in train.settings:
        _check(setting, [arg.name.text for arg in args if arg.name])
        if setting.key.text == "loss":
            losses = setting.value
        else:
            value = evaluate(setting.value, inner)
            args.append(Argument(setting.key, value, setting.value.span))
    recipe = build(Recipe, args, train.span, inner, registry, called="train")
    if losses is None:
        help = "write: loss = cross_entropy(@logits)"
        raise RecipeError("E301", "the train section has no loss", train.span, help)
    return Training(recipe, tuple(_Losses(graph, inner, registry).terms(losses, 1.0)))


def _check(setting: ast.Setting, earlier: list[str]) -> None:
    key = setting.key.text
    if key in Recipe.LATER:
        raise MeaningError("E190", f"'{key}' is not supported yet", setting.key.span)
    known = ["loss", *(parameter.name for parameter in Recipe.parameters())]
    if key not in known:
        synonym = Recipe.synonyms.get(key)
        help = f"did you mean '{synonym}'?" if synonym else nearest(key, known)
        help = help or f"there are {', '.join(known)}"
        raise MeaningError("E110", f"train has no key '{key}'", setting.key.span, help)
    if key in earlier:
        raise MeaningError("E113", f"train got {key} twice", setting.key.span)


class _Losses:
    """Reads ``cross_entropy(@main) + 0.3 * cross_entropy(@aux)``."""

    def __init__(self, graph: Graph, scope: Scope, registry: Registry) -> None:
        self.graph = graph
        self.scope = scope
        self.registry = registry

    def terms(self, expr: ast.Expr, weight: float) -> list[Term]:
        """The losses of an expression, each with its weight."""
        if isinstance(expr, ast.Binary) and expr.op == "+":
            return [*self.terms(expr.left, weight), *self.terms(expr.right, weight)]
        if isinstance(expr, ast.Binary) and expr.op == "*":
            return self.weighted(expr, weight)
        value = evaluate(expr, self.scope)
        if not isinstance(value, Given):
            known = ", ".join(f"{name}(@tensor)" for name in sorted(self.registry["loss"]))
            message = f"a loss is a call, not {spell(value)}"
            raise RecipeError("E302", message, expr.span, f"there are {known}")
        return [self.term(value, weight)]

    def weighted(self, expr: ast.Binary, weight: float) -> list[Term]:
        """``0.3 * loss``, or the other way round."""
        for number, loss in ((expr.left, expr.right), (expr.right, expr.left)):
            factor = evaluate(number, self.scope)
            if isinstance(factor, (int, float)) and not isinstance(factor, bool):
                return self.terms(loss, weight * float(factor))
        message = "a loss is multiplied with a number"
        raise RecipeError("E302", message, expr.span, "write 0.3 * cross_entropy(@aux)")

    def term(self, given: Given, weight: float) -> Term:
        """One loss, its prediction and its target."""
        known = self.registry["loss"]
        if given.name not in known:
            help = nearest(given.name, known) or f"there are {', '.join(sorted(known))}"
            raise RecipeError("E303", f"no loss is called '{given.name}'", given.span, help)
        tensors, args = self.tensors(given)
        op = build(known[given.name], args, given.span, self.scope, self.registry)
        assert isinstance(op, Loss)
        node = self.prediction(tensors.get("prediction"), given)
        self.check(op, node, given)
        target = tensors.get("target")
        return Term(weight, op, node, target.node if target else None)

    def tensors(self, given: Given) -> tuple[dict[str, TensorValue], list[Argument]]:
        """Part the tensors among the arguments (prediction, then target) from the others."""
        places = ["prediction", "target"]
        found: dict[str, TensorValue] = {}
        rest: list[Argument] = []
        for argument in given.args:
            if not isinstance(argument.value, TensorValue):
                rest.append(argument)
            elif (name := argument.name.text if argument.name else places[len(found) % 2]) in found:
                message = f"{given.name} takes a prediction and a target"
                raise RecipeError("E304", message, argument.span)
            else:
                found[name] = argument.value
        return found, rest

    def prediction(self, value: TensorValue | None, given: Given) -> str:
        if value is not None:
            return value.node
        if len(self.graph.outputs) == 1:
            return self.graph.outputs[0]
        help = f"write {given.name}(@name)"
        message = "the network has several outputs: which one does the loss read?"
        raise RecipeError("E305", message, given.span, help)

    def check(self, loss: Loss, name: str, given: Given) -> None:
        """The prediction suits the loss, and is no softmax where logits are wanted."""
        node = self.graph[name]
        try:
            loss.target(node.tensor)
        except Problem as problem:
            raise RecipeError("E306", problem.message, given.span, problem.help) from problem
        while node.layer.alias:
            node = self.graph[node.inputs[0]]
        if loss.name == "cross_entropy" and node.layer.name == "softmax":
            message = (
                f"cross_entropy takes logits, and {node.name} (line {node.span.line}) is a softmax"
            )
            help = "drop the softmax: cross_entropy contains it, and prediction does not need it"
            raise RecipeError("E307", message, given.span, help)
