"""Serves osquery or runs the command line, as the arguments say."""

from __future__ import annotations

import sys
from typing import NoReturn

from extension.serving.start import is_extension_start, serve


def main() -> NoReturn:
    """Serve osquery or run the command line, as the arguments say."""
    arguments = sys.argv[1:]
    if is_extension_start(arguments):
        serve(arguments)
    try:
        from extension.cli import main as command_line
    except ModuleNotFoundError as error:
        sys.exit(f"minehunt: the command line needs the Python package {error.name}; osquery starts this file with --socket PATH")
    except KeyboardInterrupt:
        # As StoppedError says it, which is not there yet.
        sys.stderr.write("Error: interrupted\n")
        sys.exit(130)
    command_line()
    sys.exit(0)
