"""Progress: a live line on a terminal, else one plain line per epoch.

It goes to standard output, with the other results, so that a run can be piped into a file; errors
and warnings alone go to standard error. rich, which draws the live line, is imported on a terminal
only; it leaves colours out where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TextIO

Figures = Mapping[str, float]

REDRAWN = 0.05
"""Seconds between two texts of a bar: no screen draws them sooner, and steps may be shorter."""


class Screen:
    """Where progress is shown (abstract)."""

    def say(self, text: str) -> None:
        """A line that stays."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """A line that stays, and that is not wanted where `show` shows anything."""
        raise NotImplementedError

    def show(self, done: int, total: int, text: str) -> None:
        """A bar and a text that the next call replaces."""
        raise NotImplementedError

    def close(self) -> None:
        """Take away what does not stay."""
        raise NotImplementedError


class PlainScreen(Screen):
    """Lines that stay, and no others."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, text: str) -> None:
        """Print the line."""
        print(text, file=self.stream, flush=True)

    note = say

    def show(self, done: int, total: int, text: str) -> None:
        """Nothing: what is printed cannot be replaced."""

    def close(self) -> None:
        """Nothing: all that was printed stays."""


class LiveScreen(Screen):
    """A bar at the foot of a terminal; lines that stay stand above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self.console = Console(file=stream, highlight=False, markup=False)
        # The text gets what it needs, and the bar the rest of the line.
        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
        bar = BarColumn(bar_width=None, table_column=Column(ratio=1))
        self.bar = Progress(bar, text, console=self.console, transient=True, expand=True)
        self.task = self.bar.add_task("", total=None)

    def say(self, text: str) -> None:
        """Print the line above the bar."""
        self.console.print(text, soft_wrap=True)

    def note(self, text: str) -> None:
        """Nothing: the bar says as much."""

    def show(self, done: int, total: int, text: str) -> None:
        """Set the bar and its text."""
        self.bar.update(self.task, completed=done, total=total, description=text)
        self.bar.start()

    def close(self) -> None:
        """Take the bar away."""
        self.bar.stop()


class Progress:
    """Counts what is done and says so; a context that cleans the screen up behind it.

    ``compiling`` is called before every kernel and once at the end; ``epoch``, then ``batch`` after
    every step, then ``epoch_done``.
    """

    def __init__(self, screen: Screen, clock: Callable[[], float] = monotonic) -> None:
        self.screen = screen
        self.clock = clock
        self.compiling_since: float | None = None
        self.training_since: float | None = None
        self.images_done = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.screen.close()

    def compiling(self, done: int, total: int, name: str = "") -> None:
        """``done`` of ``total`` kernels are compiled, ``name`` is the next; silent if all were."""
        if self.compiling_since is None:
            if done == total:
                return
            self.compiling_since = self.clock()
            self.screen.note(f"compiling {_kernels(total)}")
        if done < total:
            self.screen.show(done, total, f"compiling kernel {done + 1} of {total}: {name}")
            return
        seconds = self.clock() - self.compiling_since
        self.compiling_since = None
        self.screen.say(f"compiled {_kernels(total)} in {seconds:.1f} s")

    def epoch(self, number: int, epochs: int, images: int) -> None:
        """Epoch ``number`` (from 1) of ``epochs`` begins; it has so many images."""
        self.number, self.epochs, self.images = number, epochs, images
        self.seen = 0
        self.epoch_since = self.last_batch = self.clock()
        self.shown_at = float("-inf")
        if self.training_since is None:
            self.training_since = self.epoch_since

    def batch(self, images: int, figures: Figures) -> None:
        """A step is done; the figures are those of the epoch so far. Shown now and then."""
        self.seen += images
        self.images_done += images
        self.last_batch = self.clock()
        if self.last_batch - self.shown_at >= REDRAWN or self.seen >= self.images:
            self.shown_at = self.last_batch
            self.screen.show(self.seen, self.images, self._line(figures))

    def epoch_done(self, figures: Figures) -> None:
        """The epoch is over, its evaluation too."""
        self.screen.say(self._line(figures))

    def _line(self, figures: Figures) -> str:
        number = f"{self.number:>{len(str(self.epochs))}}"
        parts = [f"epoch {number}/{self.epochs}"]
        parts += [figure(name, value) for name, value in figures.items()]
        seconds = self.last_batch - self.epoch_since
        if seconds > 0:
            parts.append(f"{self.seen / seconds:,.0f} images/s")
        return "  ".join([*parts, self._time()])

    def _time(self) -> str:
        """Time left, at the mean speed so far; after the last step, the time that all took."""
        spent = self.clock() - (self.training_since or 0.0)
        left = (self.epochs - self.number) * self.images + self.images - self.seen
        if not left:
            return f"{_duration(spent)} in all"
        return f"{_duration(spent * left / self.images_done)} left" if self.images_done else ""


def progress(stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> Progress:
    """Live on a terminal that can move its cursor, else plain; to standard output by default."""
    out = sys.stdout if stream is None else stream
    live = out.isatty() and os.environ.get("TERM") != "dumb"
    return Progress(LiveScreen(out) if live else PlainScreen(out), clock)


def figure(name: str, value: float) -> str:
    """A figure as people read it: ``accuracy 93.41 %``, ``loss 0.2134``, ``loss 3.1e-05``."""
    kind = name.removeprefix("val_").removeprefix("test_")
    if kind.startswith(("accuracy", "top")):
        return f"{name} {100 * value:.2f} %"
    return f"{name} {value:.4f}" if abs(value) >= 0.001 or not value else f"{name} {value:.1e}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _kernels(count: int) -> str:
    return "1 kernel" if count == 1 else f"{count} kernels"
