"""Where pack SQL runs: a real osquery, or SQLite with the same tables on machines without one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Optional, Protocol

# A result as osquery gives it: every value a string, NULL as "".
ResultRow = dict[str, str]


class EngineError(Exception):
    """The engine could not be started, or refused a query; the message is what the user is told."""


class Engine(Protocol):
    """Runs SQL over osquery's tables and minehunt's."""

    name: str
    version: str

    def expect(self, tables: Collection[str]) -> None:
        """Told before a triage which tables its queries read, so that long scans can begin."""

    def query(self, sql: str) -> list[ResultRow]:
        """The rows of one SELECT; EngineError with the reason when it fails."""

    def inapplicable(self, sql: str) -> Optional[str]:
        """Why the query cannot apply to what is examined, None where it can."""

    def host_facts(self) -> dict[str, str]:
        """What identifies the examined host in a report: hostname, system, kernel, architecture, and the user we run as."""

    def close(self) -> None:
        """Stop what the engine started."""
