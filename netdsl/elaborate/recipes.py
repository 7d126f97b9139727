"""The ``train`` section: keys to a recipe, and the losses that it makes small."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from netdsl.arguments import Word
from netdsl.elaborate.build import build, make, named, no_such
from netdsl.elaborate.mistakes import walk
from netdsl.elaborate.scope import Argument, Given, Scope, TensorValue, brief, known
from netdsl.elaborate.strangers import LABELS, object_help
from netdsl.elaborate.values import evaluate, no_tensor
from netdsl.errors import NetError, Problem, RecipeError
from netdsl.ir import Graph
from netdsl.op import Loss, Registry
from netdsl.recipe import Recipe
from netdsl.schedule import Term
from netdsl.source import Span
from netdsl.syntax import ast
from netdsl.tensor import DType, Tensor

_LABELS = "the labels come with the data: leave it out"


@dataclass(frozen=True)
class Training:
    """A recipe, and the weighted losses over the tensors of one network."""

    recipe: Recipe
    terms: tuple[Term, ...]


def training(train: ast.Train, graph: Graph, scope: Scope, registry: Registry) -> Training:
    """The recipe that a ``train`` section describes; ``scope`` has the labels of the network."""
    wrong: list[NetError] = []
    recipe = _recipe(train, scope, registry, wrong)
    terms: tuple[Term, ...] = ()
    losses = next((s.value for s in train.settings if s.key.text == "loss"), None)
    if losses:
        try:
            terms = _terms(losses, recipe, train, _Losses(graph, scope, registry))
        except NetError as error:
            wrong.append(error)
    if wrong or recipe is None:
        raise NetError.together(wrong)
    return Training(recipe, terms)


def _terms(
    losses: ast.Expr, recipe: Recipe | None, train: ast.Train, found: _Losses
) -> tuple[Term, ...]:
    """The losses; RecipeError if they cannot be what a training is for."""
    terms = tuple(found.terms(losses, 1.0))
    if all(found.graph[term.prediction].side for term in terms):
        message = "every loss reads a side head, which only training computes"
        raise RecipeError("E319", message, losses.span, "add a loss of the main flow")
    classes = found.labels is not None and found.labels.dtype is DType.INT
    if recipe and recipe.metrics and not classes:
        message = f"{recipe.metrics[0].name} compares with classes, and no loss has any"
        help = "leave the metrics out, or train with cross_entropy"
        span = next(s.value.span for s in train.settings if s.key.text == "metrics")
        raise RecipeError("E318", message, span, help)
    return terms


def check_recipe(train: ast.Train, scope: Scope, registry: Registry) -> None:
    """The mistakes of a ``train`` section that do not depend on the network."""
    wrong: list[NetError] = []
    _recipe(train, scope, registry, wrong)
    if wrong:
        raise NetError.together(wrong)


def tensors(train: ast.Train) -> set[str]:
    """The names of the tensors that the losses of a recipe read."""
    return {
        tree.name
        for setting in train.settings
        for tree in walk(setting.value)
        if isinstance(tree, ast.TensorRef)
    }


def _word(train: ast.Train) -> Span:
    return train.span.source.span(train.span.start, train.span.start + len("train"))


def _recipe(
    train: ast.Train, scope: Scope, registry: Registry, wrong: list[NetError]
) -> Recipe | None:
    """The recipe, of all keys but the loss; None if there is none for what is now ``wrong``."""
    bound = _bound(train, scope, wrong)
    keys = {_meant(setting.key.text) for setting in train.settings}
    if "loss" not in keys:
        help = "write: loss = cross_entropy(@logits)"
        wrong.append(RecipeError("E301", "the train section has no loss", _word(train), help))
    if "optimizer" not in keys:
        help = "write: optimizer = sgd(lr=0.05, momentum=0.9)"
        message = "the train section has no optimizer"
        wrong.append(RecipeError("E303", message, _word(train), help))
    if "optimizer" not in bound:
        return None
    try:
        return make(Recipe, bound, _word(train), scope, registry)
    except NetError as error:
        wrong.append(error)
    return None


def _meant(key: str) -> str:
    """The key that a misspelt one stands for: that one is not missing too."""
    names = ["loss", *(parameter.name for parameter in Recipe.parameters())]
    near = get_close_matches(key, names, n=1)
    return Recipe.synonyms.get(key) or next(iter(near), key)


def _bound(train: ast.Train, scope: Scope, wrong: list[NetError]) -> dict[str, Argument]:
    """The values of all keys but the loss."""
    bound: dict[str, Argument] = {}
    for setting in train.settings:
        try:
            _check_key(setting.key, scope)
            if setting.key.text != "loss":
                value = evaluate(setting.value, scope)
                bound[setting.key.text] = Argument(setting.key, value, setting.value.span)
        except NetError as error:
            wrong.append(error)
    return bound


def _check_key(key: ast.Name, scope: Scope) -> None:
    """A key is one that a recipe has; the parser saw to it that none comes twice."""
    if key.text in Recipe.LATER:
        raise scope.error("E190", f"'{key.text}' is not supported yet", key.span, "leave it out")
    names = ["loss", *(parameter.name for parameter in Recipe.parameters())]
    head, _, rest = key.text.partition(".")
    if rest and head in names:
        help = f"write it where {head} is given: {head} = name({rest}=...)"
        raise scope.error("E110", f"train has no key '{key.text}'", key.span, help)
    if key.text not in names:
        unknown = Argument(key, None, key.span)
        raise no_such("train", names, unknown, scope, Recipe.synonyms)


class _Losses:
    """Reads ``cross_entropy(@main) + 0.3 * cross_entropy(@aux)``."""

    def __init__(self, graph: Graph, scope: Scope, registry: Registry) -> None:
        self.graph = graph
        self.scope = scope
        self.registry = registry
        self.labels: Tensor | None = None
        self.behind: dict[str, str | None] = {}

    def terms(self, expr: ast.Expr, weight: float) -> list[Term]:
        """The losses of an expression, each with its weight."""
        if isinstance(expr, ast.Binary) and expr.op == "+":
            return [*self.terms(expr.left, weight), *self.terms(expr.right, weight)]
        if isinstance(expr, ast.Binary) and expr.op == "*":
            sides = [expr.left, expr.right]
            sides.sort(key=_has_call)
            return self.terms(sides[1], weight * self.factor(sides[0]))
        self.check_tensors(expr)
        value = None if isinstance(expr, (ast.Binary, ast.Unary)) else evaluate(expr, self.scope)
        if isinstance(value, Word):
            value = Given(value.name, (), expr.span, self.scope)
        if not isinstance(value, Given):
            message, help = self.no_loss(expr, value)
            raise RecipeError("E302", message, expr.span, help)
        return [self.term(value, weight)]

    def no_loss(self, expr: ast.Expr, value: Any) -> tuple[str, str]:
        """What is wrong with an expression that is no loss, and the way out."""
        if isinstance(value, TensorValue):
            message = f"{value} is a tensor, and no loss of it"
            return message, f"write cross_entropy({expr.span.text})"
        if isinstance(value, str):
            help = object_help(value, self.registry["loss"])
            return f"a loss is written as a call, not as {brief(value)}", help
        message = "losses are added, and multiplied with numbers"
        if isinstance(expr, ast.ListExpr) and expr.items:
            return message, f"write {' + '.join(item.span.text for item in expr.items)}"
        if isinstance(expr, ast.Binary) and expr.op == "/":
            return message, f"write 0.5 * {expr.left.span.text}"
        return message, "write cross_entropy(@main) + 0.3 * cross_entropy(@aux)"

    def factor(self, expr: ast.Expr) -> float:
        """The number that a loss is multiplied with."""
        value = known(evaluate(expr, self.scope), expr.span, self.scope)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            message = f"a loss is multiplied with a number, not {brief(value)}"
            raise RecipeError("E302", message, expr.span, "write 0.3 * cross_entropy(@aux)")
        return float(value)

    def term(self, given: Given, weight: float) -> Term:
        """One loss, its prediction and its target."""
        op = named("loss", given, self.scope, self.registry)
        tensors, args = self.tensors(given)
        loss = cast(Loss, build(op, args, given.span, self.scope, self.registry))
        node = self.prediction(tensors.get("prediction"), given)
        self.check(loss, node, given.span)
        target = tensors.get("target")
        self.check_target(loss, node, target, given.span)
        return Term(weight, loss, node, target.node if target else None)

    def tensors(self, given: Given) -> tuple[dict[str, TensorValue], tuple[Argument, ...]]:
        """Part the tensors among the arguments (prediction, then target) from the others."""
        found: dict[str, TensorValue] = {}
        rest: list[Argument] = []
        for argument in given.args:
            if not isinstance(argument.value, TensorValue):
                self.check_word(argument)
                rest.append(argument)
                continue
            free = [name for name in ("prediction", "target") if name not in found]
            name = argument.name.text if argument.name else next(iter(free), "")
            if name not in free:
                message = f"{given.name} takes one prediction and one target"
                help = f"write {given.name}(@prediction), or {given.name}(@prediction, @target)"
                raise RecipeError("E304", message, argument.span, help)
            found[name] = argument.value
        return found, tuple(rest)

    def check_tensors(self, expr: ast.Expr) -> None:
        """No tensor of the network is the labels, unless one is called so."""
        for tree in walk(expr):
            name = tree.name if isinstance(tree, ast.TensorRef) else ""
            if name.lower() in LABELS and name not in self.scope.labels:
                raise no_tensor(name, tree.span, self.scope, _LABELS)

    def check_word(self, argument: Argument) -> None:
        """The labels have no name: they come with the data."""
        value = argument.value
        if isinstance(value, Word) and value.name.lower() in LABELS:
            raise self.scope.unknown(value.name, argument.span, _LABELS)

    def prediction(self, value: TensorValue | None, given: Given) -> str:
        """The node that a loss looks at: the one it names, or the network's one output."""
        if value is not None:
            return value.node
        if len(self.graph.outputs) == 1:
            return self.graph.outputs[0]
        message = "the network has several outputs: which one does the loss read?"
        raise RecipeError("E305", message, given.span, f"write {given.name}(@name)")

    def check(self, loss: Loss, name: str, span: Span) -> None:
        """The prediction suits the loss, and is no softmax where logits are wanted."""
        node = self.graph[name]
        try:
            loss.target(node.tensor)
        except Problem as problem:
            raise RecipeError("E306", problem.message, span, problem.help) from problem
        while node.layer.alias:
            node = self.graph[node.inputs[0]]
        if node.layer.name == loss.contains:
            made = loss.contains
            message = f"{loss.name} takes logits, and {node.name} ({node.place}) is a {made}"
            help = f"drop the {made}: {loss.name} contains it, and prediction does not need it"
            raise RecipeError("E307", message, span, help)

    def check_target(self, loss: Loss, name: str, target: TensorValue | None, span: Span) -> None:
        """What a loss compares with is of the type that it wants; labels are the same for all."""
        wanted = loss.target(self.graph[name].tensor)
        if target is None:
            self.labels = self.labels or wanted
            if self.labels != wanted:
                message = f"{loss.name} wants labels of {_what(wanted)}"
                message += f", but a loss before it wants {_what(self.labels)}"
                help = "declare an input for the second labels, and compare with it: target=@name"
                raise RecipeError("E314", message, span, help)
        elif target.tensor != wanted:
            message = f"{loss.name} wants a target of {_what(wanted)}"
            message += f", {target.node} is of {_what(target.tensor)}"
            raise RecipeError("E313", message, span, "make the two equal")
        elif learnt := self.learnt(target.node):
            message = f"the target {target.node} is learnt too, by {learnt}"
            help = "a loss compares with what the network is given: an input, or the labels"
            raise RecipeError("E315", message, span, help)

    def learnt(self, name: str) -> str | None:
        """The first layer with weights that a tensor depends on, if there is one."""
        if name not in self.behind:
            before = self.graph.behind([name])
            found = (n.name for n in self.graph if n.name in before and self.graph.weights(n))
            self.behind[name] = next(found, None)
        return self.behind[name]


def _what(tensor: Tensor) -> str:
    """``10 numbers``, ``one class``, ``1x8x8 classes``: what a target holds for a sample."""
    what = ("class", "classes") if tensor.dtype is DType.INT else ("number", "numbers")
    return f"one {what[0]}" if tensor.size == 1 else f"{tensor} {what[1]}"


def _has_call(expr: ast.Expr) -> bool:
    """Whether a loss stands in an expression: ``2 * 0.3`` has none."""
    if isinstance(expr, ast.Binary):
        return _has_call(expr.left) or _has_call(expr.right)
    return isinstance(expr, ast.Fn)
