"""The commands around files: ``diff``, ``list``, ``new``, ``check``, ``fmt`` and ``cache``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

WIDTH = 100
"""Of text that is not for a terminal."""
NARROWEST = 60
MACHINE = click.option("--json", "machine", is_flag=True, help="As JSON, for machines.")


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE",
    help="A value for a parameter of both networks; may be given several times.",
)  # fmt: skip
@MACHINE
def diff_(before: str, after: str, changes: Sequence[str], machine: bool) -> int:
    """Tell how two networks differ: layers, shapes, and what they cost.

    BEFORE and AFTER are each a FILE, for its first net, or FILE:NET. Names of layers do not count.
    The exit status is 0 if the networks are equal, 1 if they differ, 2 if one is wrong.
    """
    from netdsl.compare import compare

    return compare(before, after, changes, machine, click.echo)


@click.command("list")
@click.argument("name", required=False)
@MACHINE
def list_(name: str | None, machine: bool) -> None:
    """Show the library's networks and their papers, or one of its files."""
    from netdsl.catalog import show

    show(name, machine, columns(), click.echo)


@click.command("new")
@click.argument("name", required=False)
@click.option(
    "--like", default="digits", show_default=True, metavar="NAME",
    help="What to begin with: digits, which trains at once, or a FILE of the library.",
)  # fmt: skip
def new_(name: str | None, like: str) -> None:
    """Write NAME.net, a network to begin with."""
    from netdsl.starter import write

    write(name, like, click.echo)


@click.command("check")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILES|FOLDERS]...")
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@MACHINE
def check_(files: Sequence[Path], strict: bool, machine: bool) -> int:
    """Tell all that is wrong with files: every network and recipe is tried.

    Without FILES it looks at all .net files from the current folder on. The exit status is 2 if
    there are errors (or warnings, with --strict).
    """
    from netdsl.check import check, told

    checked = check(files or [Path()])
    for text in told(checked, machine):
        click.echo(text)
    return 2 if checked.count("error") or (strict and checked.count("warning")) else 0


@click.command("fmt")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILES|FOLDERS..."
)
@click.option("--check", is_flag=True, help="Write nothing; status 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def fmt_(files: Sequence[Path], check: bool, diff: bool) -> int:
    """Put files in their canonical form; comments stay.

    What comes from standard input (-) goes to standard output. A file with a mistake is told of and
    left alone; the exit status is then 2.
    """
    from netdsl.fmt import PIPE, fmt

    if PIPE in files and len(files) > 1:
        raise click.UsageError("- stands for standard input, and stands alone")
    return fmt(files, check, diff, click.echo, complain)


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove all of them; they are compiled anew.")
def cache_(clear: bool) -> None:
    """Show where compiled kernels are kept, and what room they take."""
    from netdsl.storage import remove, show

    if clear:
        remove(click.echo)
    else:
        show(columns(), click.echo)


COMMANDS = (diff_, list_, new_, check_, fmt_, cache_)


def columns() -> int:
    """How wide text may be: as the terminal, or 100 where the output is none."""
    out: TextIO | None = sys.stdout  # None where it was closed before the program began
    if out is None or not out.isatty():
        return WIDTH
    return max(NARROWEST, shutil.get_terminal_size().columns)


def complain(text: str) -> None:
    """Tell a mistake, on standard error."""
    click.echo(text, err=True)
