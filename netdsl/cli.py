"""The commands. Exit status: 0 done, 1 failed while working, 2 the input is wrong."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import netdsl
from netdsl.errors import NetError, Warning_
from netdsl.menu import Commands
from netdsl.tools import COMMANDS, columns

if TYPE_CHECKING:
    from netdsl.compiler import Net
    from netdsl.report.formats import Form

FILE = click.argument("file", type=click.Path(path_type=Path))
NET = click.argument("net", required=False)
SET = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE",
    help="A value for a parameter of the net, classes=10, or for a key of its recipe, "
    "train.optimizer.lr=0.1; may be given several times.",
)  # fmt: skip
RECIPE = click.option("--recipe", help="The train section of that name.")
DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Instead of the recipe's."
)
PRECISION = click.option(
    "--precision", type=click.Choice(["exact", "normal", "fast"]),
    help="Of convolutions on a CPU, instead of the recipe's.",
)  # fmt: skip


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A FILE is a .net file, or the name of one of the library, such as resnet: netdsl list. "
    "lib:resnet is the library's even where there is a file resnet.net.",
)
@click.version_option(netdsl.__version__, message="netdsl %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """A language and a compiler for neural networks: .net files to parallel kernels."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@FILE
@NET
@SET
@RECIPE
@click.option("--batch", type=click.IntRange(1), help="For memory; else the recipe's, or 1.")
@click.option(
    "--depth", type=click.IntRange(0),
    help="How many levels of blocks to open: 0 opens none. As many as suit a screen if not given. "
    "A connection, such as residual, is opened with the block that it stands in.",
)  # fmt: skip
@click.option("--unfold", is_flag=True, help="A row for every layer, also of equal blocks.")
@click.option("--json", "form", flag_value="json", multiple=True, help="Every figure, as JSON.")
@click.option("--csv", "form", flag_value="csv", multiple=True, help="A row a layer, as CSV.")
@click.option(
    "--markdown", "form", flag_value="markdown", multiple=True, help="A table for a paper."
)
def summary(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    recipe: str | None,
    batch: int | None,
    depth: int | None,
    unfold: bool,
    form: Sequence[Form],
) -> None:
    """Show a network as a table: layers, shapes, parameters, MACs, memory, receptive fields."""
    if len(form) > 1:
        raise click.UsageError(f"--{form[0]} and --{form[1]} exclude each other")
    chosen = form[0] if form else "text"
    if chosen in ("json", "csv") and (unfold or depth is not None):
        raise click.UsageError(f"--{chosen} tells every layer: leave out --depth and --unfold")
    if chosen == "csv" and batch is not None:
        raise click.UsageError("--csv tells the figures of one sample: leave out --batch")
    loaded = _load(file, net, changes, recipe)
    click.echo(loaded.summary(chosen, batch=batch, depth=depth, unfold=unfold, width=columns()))


@cli.command()
@FILE
@click.argument("layer")
@click.option("--net", help="The net of the file; the first if not given.")
@SET
def explain(file: Path, layer: str, net: str | None, changes: Sequence[str]) -> None:
    """Show how a LAYER or a block comes about: formulas with their numbers, weights, what it sees.

    LAYER is a name that the summary shows, after those of the blocks around it, or an end of that
    which only one has: stage2.bottleneck1.residual1.conv1, bottleneck2..4.
    """
    click.echo(_load(file, net, changes).explain(layer, columns()))


@cli.command()
@FILE
@NET
@SET
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="The picture: .svg, .png, .pdf or .dot. The net's name with .svg if not given.",
)  # fmt: skip
@click.option(
    "--depth", default="auto", show_default=True, metavar="N|auto|all",
    help="How many levels of blocks are open; auto opens what fits on a page.",
)  # fmt: skip
@click.option("--left-right", is_flag=True, help="Draw from left to right, as on a slide.")
def draw(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    output: Path | None,
    depth: str,
    left_right: bool,
) -> None:
    """Draw a network: blocks as boxes, repeats once, skips beside the chain."""
    from netdsl.report.draw import render
    from netdsl.report.picture_view import read_depth

    levels = read_depth(depth)
    loaded = _load(file, net, changes)
    for path in render(loaded.graph, output or Path(f"{loaded.name}.svg"), levels, left_right):
        click.echo(f"wrote {path}")


@cli.command("compile")
@FILE
@NET
@SET
@RECIPE
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="The module to write, a .py file; lenet5.py for LeNet5 if not given.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
    help="What the kernels run on.",
)  # fmt: skip
@click.option(
    "--explain", is_flag=True,
    help="Tell which kernel each layer gets, why, and the plan of memory; write if -o is given.",
)  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="With --explain: for memory.")
def compile_(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    recipe: str | None,
    output: Path | None,
    device: str,
    explain: bool,
    batch: int | None,
) -> None:
    """Write a network as a Python module: it needs numpy and numba alone."""
    from netdsl.publish import publish, tell

    if explain and device != "cpu":
        raise click.UsageError("--explain is for the CPU: leave out --device cuda")
    if batch and not explain:
        raise click.UsageError("--batch is for --explain: a module is told when it runs")
    loaded = _load(file, net, changes, recipe)
    if explain:
        tell(loaded, batch, columns(), click.echo)
    if output or not explain:
        publish(loaded, device, output, click.echo)


@cli.command("train")
@FILE
@NET
@SET
@RECIPE
@DEVICE
@PRECISION
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(0), help="Instead of the recipe's.")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Where run directories are made.",
)  # fmt: skip
def train_(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    recipe: str | None,
    device: str | None,
    precision: str | None,
    epochs: int | None,
    seed: int | None,
    runs: Path,
) -> None:
    """Train a network as its train section says, and save the run."""
    from netdsl.commands import train

    given = {"epochs": epochs, "seed": seed, "device": device, "precision": precision}
    changes = [*changes, *(f"train.{k}={v}" for k, v in given.items() if v is not None)]
    train(_load(file, net, changes, recipe, train=True), runs, click.echo)


@cli.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@DEVICE
def evaluate_(run: Path, device: str | None) -> None:
    """Measure a trained RUN, a directory, on its recipe's test data."""
    from netdsl.commands import evaluate

    evaluate(run, device, click.echo)


@cli.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("samples", type=click.Path(path_type=Path))
@DEVICE
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the outputs as .npy.")
def predict_(run: Path, samples: Path, device: str | None, output: Path | None) -> None:
    """Apply a trained RUN, a directory, to SAMPLES: .npy, or a picture."""
    from netdsl.commands import predict

    predict(run, samples, device, output, click.echo)


@cli.command("bench")
@FILE
@NET
@SET
@RECIPE
@click.option("--batch", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--threads", type=click.IntRange(1), help="As many as there are cores if not given.")
@click.option("--steps", type=click.IntRange(1), help="For some seconds if not given.")
@click.option("--forward", is_flag=True, help="Only predict, also where there is a recipe.")
@click.option("--json", "machine", is_flag=True, help="As JSON, for machines.")
def bench_(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    recipe: str | None,
    batch: int | None,
    threads: int | None,
    steps: int | None,
    forward: bool,
    machine: bool,
) -> None:
    """Time the training of a network on the CPU, layer by layer.

    It trains on noise; a network without a recipe only predicts.
    """
    from netdsl.bench import Ask, bench

    loaded = _load(file, net, changes, recipe)
    if loaded.recipe and loaded.recipe.device == "cuda":
        help = "add --set train.device=cpu"
        raise click.UsageError(f"bench is for the CPU, and the recipe asks for cuda: {help}")
    bench(loaded, Ask(batch, threads, steps, forward, machine), columns(), click.echo)


for _command in COMMANDS:
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; errors go to standard error, one clear message each."""
    try:
        sys.exit(cli.main(args, prog_name="netdsl", standalone_mode=False) or 0)
    except NetError as error:
        click.echo(str(error), err=True)
        sys.exit(error.status)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader has seen enough; Python must not complain about it on its way out.
        sys.stdout = None  # type: ignore[assignment]
        sys.exit(0)
    except OSError as error:
        click.echo(f"error[E501]: the output cannot be written: {error.strerror}", err=True)
        sys.stdout = None  # type: ignore[assignment]
        sys.exit(1)


def _load(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    recipe: str | None = None,
    train: bool = False,
) -> Net:
    """The network of a command, its warnings told; to ``train`` it, its recipe must fit."""
    from netdsl.compiler import load
    from netdsl.elaborate.overrides import change

    train = train or recipe is not None
    loaded = load(file, net, recipe, [change(text) for text in changes], train)
    _warn(loaded.graph.warnings)
    return loaded


def _warn(warnings: Sequence[Warning_]) -> None:
    """Tell each warning once, however often its line is carried out."""
    times = Counter((warning.code, warning.message, warning.span) for warning in warnings)
    first = {(w.code, w.message, w.span): w for w in reversed(warnings)}
    for key, count in times.items():
        click.echo(str(first[key]), err=True)
        if count > 1:
            click.echo(f"  and {count - 1} more times for the same line", err=True)
