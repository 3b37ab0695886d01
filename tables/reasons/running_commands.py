"""What is odd about the program text that a running shell or other interpreter was given as an argument."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tables.reasons.code_strings import code_reasons
from tables.reasons.commands import command_reasons
from tables.text.programs import SHELLS, is_interpreter, resolve

_REMEMBERED = 4096
# Programs that tie a connection to a program which their arguments name.
_RELAYS = frozenset({"nc", "ncat", "netcat", "nc.traditional", "nc.openbsd", "socat"})


class RunningCommands:
    """Judges command lines by the patterns of command_patterns.yaml, each once as long as it is remembered."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def reasons(self, exe_path: str, argv: Sequence[str]) -> str:
        """The sorted reasons, comma separated; "" for what is no interpreter with program text as an argument, nor a relay."""
        name = exe_path.rpartition("/")[2]
        if name == "busybox" and argv:
            name = argv[0].rpartition("/")[2].lstrip("-")
        is_relay = name in _RELAYS
        if name != "busybox" and not is_relay and not is_interpreter(name):
            return ""
        words = (name, *argv[1:])
        started = resolve(words)
        if started is None or (started.code is None and not is_relay):
            return ""
        key = hash(words)
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = set(command_reasons(shlex.join(words)))
            if started.code is not None and started.name not in SHELLS:
                found.update(code_reasons(started.code))
            self._known[key] = ",".join(sorted(found))
        return self._known[key]
