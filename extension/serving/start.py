"""The arguments with which osquery starts an extension."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def is_extension_start(arguments: Sequence[str]) -> bool:
    """Whether these are osquery's arguments: options only, a socket among them; a subcommand may have a --socket too."""
    is_socket = [argument == "--socket" or argument.startswith("--socket=") for argument in arguments]
    return any(is_socket) and arguments[0].startswith("-")


def serve(arguments: Sequence[str]) -> NoReturn:
    """Run as osquery's extension, and end the process with its exit status; options that are not ours are tolerated."""
    parser = argparse.ArgumentParser(prog="minehunt", add_help=False, allow_abbrev=False)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--timeout", type=float, default=3.0)
    parser.add_argument("--interval", type=float, default=3.0)
    parser.add_argument("--verbose", nargs="?", const="true", default="false")
    options, _ = parser.parse_known_args(arguments)

    # What the command line does not need, in the order in which the process that scans is small: it has no Thrift.
    import tables
    from extension.serving.logs import configure_logging
    from extension.serving.workers import Workers
    from tables.errors import TableError
    from tables.host import Host
    from tables.host.settings import Settings

    configure_logging(options.verbose != "false")
    try:
        workers = Workers(tables.indexed(), Host(settings=Settings.from_environment()))
    except TableError as error:
        sys.exit(f"minehunt: {error}")
    workers.start()

    from extension.serving import server

    code = server.serve(workers, options.socket, options.timeout, options.interval)
    sys.stderr.flush()
    # A scan may be inside a long system call, and interpreter shutdown would wait for it.
    os._exit(code)
