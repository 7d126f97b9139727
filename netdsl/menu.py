"""The list of the commands: their order, their sections, and what a misspelt one may have meant."""

from __future__ import annotations

import click

from netdsl.errors import nearest

SECTIONS = {
    "Look at networks": ("summary", "explain", "draw", "diff", "list"),
    "Write networks": ("new", "check", "fmt"),
    "Train networks": ("train", "evaluate", "predict", "bench", "compile", "cache"),
}


class Commands(click.Group):
    """The commands, in the order in which one meets them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with the first line of its help, by sections."""
        width = max(map(len, self.commands))
        limit = formatter.width - width - 4
        for title, names in SECTIONS.items():
            with formatter.section(title):
                told = [
                    (name.ljust(width), self.commands[name].get_short_help_str(limit))
                    for name in names
                    if name in self.commands
                ]
                formatter.write_dl(told)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name; the error for another name says which may be meant."""
        name = args[0]
        if name not in self.commands:
            help = nearest(name, self.commands) or f"there are {', '.join(sorted(self.commands))}"
            if name.endswith(".net"):
                help = f"to look at a file: netdsl summary {name}"
            ctx.fail(f"there is no command '{name}'\n  help: {help}")
        return super().resolve_command(ctx, args)
