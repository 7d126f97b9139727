"""The commands ``train``, ``evaluate`` and ``predict``: from a file or a run to its figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from netdsl.compiler import Net, load
from netdsl.data import Data, Split
from netdsl.elaborate.overrides import chosen_train
from netdsl.errors import DataError, Interrupted, NetError, RecipeError
from netdsl.files import replace
from netdsl.op import class_scores
from netdsl.recipe import Recipe
from netdsl.runtime.checkpoint import load as read_checkpoint
from netdsl.runtime.confusion import confusion
from netdsl.runtime.confusion import text as confusion_text
from netdsl.runtime.model import Model
from netdsl.runtime.pictures import read_samples
from netdsl.runtime.progress import Progress, figure, progress
from netdsl.runtime.rundir import Run
from netdsl.runtime.trainer import Figures, Watch
from netdsl.tensor import DType, Tensor

Say = Callable[[str], None]
MOST_CLASSES = 30
"""A confusion matrix of more classes is too wide to read."""


def train(net: Net, runs: Path, say: Say) -> Run:
    """Train a net by its recipe and leave a run directory; ends with the test figures."""
    recipe = needs(net)
    data = read_data(net, recipe)
    resolved = net.resolved()
    say(net.summary() + "\n")
    with progress() as screen:
        model = net.compile(report=screen.compiling)
        imports = {path: source.text for path, source in net.sources.items()}
        run = Run.create(runs, net.name.lower(), resolved, threads(), imports)
        say(_sizes(data) + f"; the run is saved in {run.path}")
        facts = {
            "net": net.name,
            "recipe": net.recipe_name or "",
            "classes": json.dumps(data.classes),
        }
        keeper = _Keeper(model, run, screen, facts)
        try:
            model.fit(data.train.x, data.train.y, _pair(data.val), watch=keeper)
        except KeyboardInterrupt as error:
            raise keeper.interrupted() from error
    model.load(run.weights)
    report(model, data, say)
    say(f"saved in {run.path}; go on with: netdsl evaluate {run.path}")
    return run


def evaluate(path: Path, device: str | None, say: Say) -> Figures:
    """The test figures of a run."""
    net, model, _ = open_run(path, device)
    return report(model, read_data(net, needs(net)), say)


def predict(path: Path, samples: Path, device: str | None, output: Path | None, say: Say) -> None:
    """Apply a run to samples: classes with their probabilities, or the outputs as ``.npy``."""
    net, model, classes = open_run(path, device)
    x = read_samples(samples, net.graph.inputs[0].tensor)
    made = model.predict(x)
    if isinstance(made, dict):
        raise RecipeError("E310", "predict wants a network with one output")
    if output:
        content = BytesIO()
        np.save(content, made)
        replace(output, content.getvalue())
        say(f"wrote {output}: {' x '.join(map(str, made.shape))}")
        return
    shares = net.graph.origin(net.graph.outputs[0]).layer.name == "softmax"
    scores = class_scores(made) if model.engine.TARGET and made.ndim == 2 else made
    named = scores.ndim == 2 and scores.shape[1] == len(classes)
    for number, row in enumerate(scores if named else made):
        say(f"{number}: {_best(row, classes, shares) if named else row.tolist()}")


def open_run(path: Path, device: str | None) -> tuple[Net, Model, list[str]]:
    """The network of a run, its model with the trained weights, and the names of the classes."""
    run = Run.open(path)
    facts = read_checkpoint(run.weights)[1]
    if missing := {"net", "recipe", "classes"} - facts.keys():
        message = f"{run.weights} does not say its {', '.join(sorted(missing))}"
        raise DataError("E406", message, help="it was saved by Model.save: load it in Python")
    net = load(run.network, facts["net"], facts["recipe"] or None)
    model = net.compile(device)
    model.load(run.weights)
    return net, model, json.loads(facts["classes"])


def needs(net: Net) -> Recipe:
    """The recipe of a net; RecipeError E308 if the file has none, E309 if it names no data."""
    if net.recipe is None:
        help = "write: train { data = digits() ... }, a key a line"
        message = f"{net.file.span.source.name} has no train section for {net.name}"
        raise RecipeError("E308", message, None, help)
    if net.recipe.data is None:
        train = chosen_train(net.file, net.recipe_name)
        span = train.span if train else None
        raise RecipeError("E309", "the train section names no data", span, "write: data = digits()")
    return net.recipe


def read_data(net: Net, recipe: Recipe) -> Data:
    """The recipe's data, which must fit the network's input and classes."""
    assert recipe.data is not None
    try:
        data = recipe.data.load(recipe.seed)
    except NetError as error:
        error.span = error.span or net.setting("data")
        raise
    span = net.setting("data")
    wanted, *others = net.graph.inputs
    if others:
        names = ", ".join(node.name for node in net.graph.inputs)
        message = f"{recipe.data.name} feeds one input, the network has {names}"
        raise RecipeError("E316", message, span, "train it in Python: net.compile().fit")
    found = Tensor(tuple(data.train.x.shape[1:]))
    if found.dims != wanted.tensor.dims:
        message = f"{recipe.data.name} has samples of {found}, the network takes {wanted.tensor}"
        raise RecipeError("E311", message, span, f"write: input {wanted.name}({found})")
    if wanted.tensor.dtype is DType.INT and data.train.x.dtype.kind != "i":
        message = f"{recipe.data.name} has pictures, {wanted.name} holds whole numbers"
        raise RecipeError("E311", message, span, f"write: input {wanted.name}({found})")
    check_labels(net, recipe.data.name, len(data.classes))
    return data


def check_labels(net: Net, data: str, classes: int) -> None:
    """The losses must compare with one class for a sample, or with no labels at all."""
    schedule = net.schedule()
    if schedule.target is None or schedule.scored is None:
        return
    made = schedule.scored
    known = schedule.classes.get(schedule.target)
    if known is None or schedule.target.tensor.size != 1:
        message = f"{data} has one class for each sample, the loss wants "
        message += f"{schedule.target.tensor} {'numbers' if known is None else 'classes'}"
        help = "compare with a tensor of the network, mse(@made, target=@image), or with classes"
        raise RecipeError("E317", message, net.setting("loss"), help)
    if known < classes:
        message = f"{data} has {classes} classes, {made.name} has {made.tensor}"
        place = net.graph[made.name].span
        raise RecipeError("E312", message, place, f"end the network with: dense({classes})")


def report(model: Model, data: Data, say: Say) -> Figures:
    """Print the figures on the test data, and which class was taken for which."""
    figures = model.evaluate(data.test.x, data.test.y)
    made = model.predict(data.test.x)
    if model.engine.TARGET and isinstance(made, np.ndarray) and made.ndim == 2:
        names = [*data.classes, *map(str, range(len(data.classes), made.shape[1]))]
        if len(names) <= MOST_CLASSES:
            matrix = confusion(np.argmax(class_scores(made), axis=1), data.test.y, len(names))
            say("\n" + confusion_text(matrix, names) + "\n")
    shown = "  ".join(figure(f"test_{name}", value) for name, value in figures.items())
    say(f"{shown}  on {len(data.test):,} samples")
    return figures


class _Keeper(Watch):
    """Shows each epoch, writes it down and keeps the weights, the best ones apart."""

    def __init__(self, model: Model, run: Run, screen: Progress, facts: dict[str, str]) -> None:
        self.model = model
        self.run = run
        self.screen = screen
        self.facts = facts
        self.best: float | None = None

    def epoch(self, number: int, epochs: int, images: int) -> None:
        self.screen.epoch(number, epochs, images)

    def batch(self, images: int, figures: Figures) -> None:
        self.screen.batch(images, figures)

    def epoch_done(self, number: int, figures: Figures) -> None:
        self.screen.epoch_done(figures)
        self.run.record({"epoch": number, **figures})
        texts = {**self.facts, "epoch": str(number)}
        self.model.save(self.run.last, texts)
        if self.better(figures):
            self.model.save(self.run.best, texts)

    def interrupted(self) -> Interrupted:
        """What to say when the user has had enough."""
        if not self.run.last.is_file():
            return Interrupted("E507", "interrupted before the end of the first epoch")
        help = f"its last whole epoch is saved: netdsl evaluate {self.run.path}"
        return Interrupted("E507", "interrupted", help=help)

    def better(self, figures: Figures) -> bool:
        """Whether this epoch is the best yet by the watched data; without any the last one is."""
        watched = [name for name in figures if name.startswith("val_")]
        if not watched:
            return True
        recipe = self.model.needs_recipe()
        metric = recipe.metrics[0] if recipe.metrics else None
        value = figures[f"val_{metric.column()}"] if metric else -figures["val_loss"]
        if self.best is not None and value <= self.best:
            return False
        self.best = value
        return True


def threads() -> int:
    """How many threads kernels use."""
    from numba import get_num_threads

    return get_num_threads()


def _pair(split: Split | None) -> tuple[np.ndarray, np.ndarray] | None:
    return (split.x, split.y) if split is not None else None


def _sizes(data: Data) -> str:
    parts = [("training", data.train), ("validation", data.val), ("test", data.test)]
    return ", ".join(f"{len(split):,} {name}" for name, split in parts if split is not None)


def _best(row: np.ndarray, names: list[str], shares: bool) -> str:
    """The three likeliest classes; of logits, unless the row holds their ``shares`` already."""
    if not shares:
        row = np.exp(row - row.max())
        row /= row.sum()
    order = np.argsort(-row)[:3]
    return ", ".join(f"{names[i]} {100 * row[i]:.1f} %" for i in order)
