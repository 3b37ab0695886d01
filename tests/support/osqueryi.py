"""Stands in for osqueryi where there is none: `osqueryi --extension FILE [--json] [flags] SQL`, on the stand-in core."""

from __future__ import annotations

import json
import sys

from tests.support.osquery_wire import wire_in_folder


def main(arguments: list[str]) -> int:
    """Load the extension as osqueryi does, with `--extensions_require` understood, and print the rows as JSON."""
    flags = {}
    statements = []
    pending = iter(arguments)
    for argument in pending:
        name, has_value, value = argument.partition("=")
        if name == "--extension" and not has_value:
            value = next(pending)
        if name.startswith("--"):
            flags[name] = value
        else:
            statements.append(argument)
    # Without it osqueryi runs the SQL before the extension has registered.
    assert flags.get("--extensions_require") == "minehunt"
    with wire_in_folder() as wire:
        wire.start(program=(flags["--extension"],))
        for statement in statements:
            print(json.dumps(wire.query(statement)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
