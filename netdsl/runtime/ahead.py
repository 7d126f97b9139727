"""Work ahead: a thread prepares what comes next while the program uses what is there."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")


def ahead(made: Iterator[Sequence[T]], most: int = 2) -> Generator[T, None, None]:
    """All things of all sequences in their order; a thread makes up to ``most`` sequences ahead.

    What fails in the thread is raised here, where its place among the things is. The thread ends
    with the generator: at its end, by an error, or when it is closed (`contextlib.closing`).
    """
    ready: SimpleQueue[Sequence[T] | BaseException | None] = SimpleQueue()
    room: SimpleQueue[None] = SimpleQueue()
    over = Event()

    def work() -> None:
        try:
            for things in made:
                ready.put(things)
                room.get()
                if over.is_set():
                    return
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    for _ in range(most - 1):
        room.put(None)
    # A daemon, so that an interrupt between its start and our waiting cannot hang the program.
    thread = Thread(target=work, name="netdsl ahead", daemon=True)
    try:
        thread.start()
        while (things := ready.get()) is not None:
            if isinstance(things, BaseException):
                raise things
            room.put(None)
            yield from things
    finally:
        over.set()
        room.put(None)
        if thread.is_alive():
            thread.join()
