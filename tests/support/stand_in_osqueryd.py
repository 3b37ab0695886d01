"""Stands in for osqueryd where there is none: the stand-in core at `--extensions_socket=PATH`, until standard input ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.core import Core

REPOSITORY = Path(__file__).resolve().parents[2]


def write_program(path: str) -> str:
    """Write an executable file that is this program, and takes osqueryd's flags; its path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    start = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from tests.support.stand_in_osqueryd import main; main(sys.argv)"
    )
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    os.chmod(path, 0o755)
    return path


def main(arguments: list[str]) -> None:
    """Serve until standard input ends, or a signal does it."""
    flag = "--extensions_socket="
    Core(next(argument[len(flag) :] for argument in arguments if argument.startswith(flag))).start()
    sys.stdin.read()
