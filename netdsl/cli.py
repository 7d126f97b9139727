"""The commands. Exit status: 0 done, 1 failed while working, 2 the input is wrong."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import netdsl
from netdsl.errors import DataError, NetError, Warning_

if TYPE_CHECKING:
    from netdsl.compiler import Net

FILE = click.argument("file", type=click.Path(path_type=Path))
NET = click.argument("net", required=False)
SET = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE",
    help="Change a parameter of the net, or train.KEY of its recipe; may be given several times.",
)  # fmt: skip
RECIPE = click.option("--recipe", help="The train section of that name.")
DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Instead of the recipe's."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(netdsl.__version__, message="netdsl %(version)s")
def cli() -> None:
    """A language and a compiler for neural networks: .net files to parallel kernels."""


@cli.command()
@FILE
@NET
@SET
def summary(file: Path, net: str | None, changes: Sequence[str]) -> None:
    """Show a network as a table: layers, shapes, parameters, MACs, memory."""
    click.echo(_load(file, net, changes).summary())


@cli.command()
@FILE
@NET
@SET
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="The picture: .svg, .png, .pdf or .dot. The net's name with .svg if not given.",
)  # fmt: skip
def draw(file: Path, net: str | None, changes: Sequence[str], output: Path | None) -> None:
    """Draw a network."""
    from netdsl.report.draw import render

    loaded = _load(file, net, changes)
    for path in render(loaded.graph, output or Path(f"{loaded.name}.svg")):
        click.echo(f"wrote {path}")


@cli.command("compile")
@FILE
@NET
@SET
@RECIPE
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The Python file to write.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
    help="What the kernels run on.",
)  # fmt: skip
def compile_(
    file: Path,
    net: str | None,
    changes: Sequence[str],
    recipe: str | None,
    output: Path | None,
    device: str,
) -> None:
    """Write a network as a Python module that needs numpy and numba alone."""
    from netdsl.files import replace

    loaded = _load(file, net, changes, recipe)
    path = output or Path(f"{loaded.name.lower()}.py")
    if path.resolve() == file.resolve():
        raise DataError(
            "E413", f"{path} is the network itself", help="name another file: -o net.py"
        )
    replace(path, loaded.source(device).encode())
    click.echo(f"wrote {path}")


@cli.command("train")
@FILE
@NET
@SET
@RECIPE
@DEVICE
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
    epochs: int | None,
    seed: int | None,
    runs: Path,
) -> None:
    """Train a network as its train section says, and save the run."""
    from netdsl.commands import train

    given = {"epochs": epochs, "seed": seed, "device": device}
    changes = [*changes, *(f"train.{k}={v}" for k, v in given.items() if v is not None)]
    train(_load(file, net, changes, recipe), runs, click.echo)


@cli.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@DEVICE
def evaluate_(run: Path, device: str | None) -> None:
    """Measure a trained RUN (its directory) on the test data of its recipe."""
    from netdsl.commands import evaluate

    evaluate(run, device, click.echo)


@cli.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("samples", type=click.Path(path_type=Path))
@DEVICE
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the outputs as .npy.")
def predict_(run: Path, samples: Path, device: str | None, output: Path | None) -> None:
    """Apply a trained RUN (its directory) to SAMPLES: a .npy array, or a picture."""
    from netdsl.commands import predict

    predict(run, samples, device, output, click.echo)


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


def _load(file: Path, net: str | None, changes: Sequence[str], recipe: str | None = None) -> Net:
    """The network of a command, its warnings told."""
    from netdsl.compiler import change, load

    loaded = load(file, net, recipe, [change(text) for text in changes])
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
