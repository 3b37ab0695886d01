"""Reads the logs of strace(1)."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

STRACE = shutil.which("strace")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Call(NamedTuple):
    """One system call that strace saw."""

    pid: int
    name: str
    arguments: str
    result: str

    @property
    def path(self) -> str:
        """The first path among its arguments, "" where there is none."""
        found = _QUOTED.search(self.arguments)
        return os.fsdecode(ast.literal_eval(f"b{found[0]}")) if found else ""


def calls(log: Path) -> Iterator[Call]:
    """The calls of a log of strace -f, those that another thread interrupted put together."""
    unfinished: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        pid = line.partition(" ")[0]
        if line.endswith("<unfinished ...>"):
            unfinished[pid] = line[: -len(" <unfinished ...>")]
            continue
        resumed = re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line)
        if resumed:
            line = unfinished.pop(pid, "") + resumed[1]
        if found := _LINE.match(line):
            yield Call(int(found[1]), found[2], found[3], found[4])
