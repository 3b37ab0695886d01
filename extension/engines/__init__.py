"""Where pack SQL runs: a real osquery, or SQLite with the same tables on machines without one."""

from __future__ import annotations

from typing import Protocol

# A result as osquery gives it: every value a string, NULL as "".
ResultRow = dict[str, str]


class EngineError(Exception):
    """The engine could not be started, or refused a query; the message is what the user is told."""


class Engine(Protocol):
    """Runs SQL over osquery's tables and minehunt's."""

    name: str
    version: str

    def query(self, sql: str) -> list[ResultRow]:
        """The rows of one SELECT; EngineError with the reason when it fails."""

    def close(self) -> None:
        """Stop what the engine started."""
