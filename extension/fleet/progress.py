"""How far `minehunt fleet` is, on the terminal's standard error; nothing where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

# How often the bar moves (seconds).
_REFRESH = 0.2


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar while files are read: what it gives is told the bytes that are done, of `total`."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as shown:
        task, began, is_over = shown.add_task("reading", total=total), _read_so_far(), Event()

        def move() -> None:
            # Between the batches, each of which an engine reads at once.
            while not is_over.wait(_REFRESH):
                done = min(_read_so_far() - began, total)
                shown.update(task, completed=max(done, shown.tasks[task].completed))

        mover = Thread(target=move, daemon=True)
        mover.start()
        try:
            yield lambda done: shown.update(task, completed=done)
        finally:
            is_over.set()
            mover.join()


def _read_so_far() -> int:
    """The bytes that this process has read (proc_pid_io(5)), 0 where no kernel tells."""
    with suppress(OSError):
        for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
            if line.startswith("rchar:"):
                return int(line.split()[1])
    return 0


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """What it gives is told what is being done."""
    if not sys.stderr.isatty():
        yield lambda _step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
