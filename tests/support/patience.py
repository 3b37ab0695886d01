"""How long a test waits: longer where MINEHUNT_BUDGET_FACTOR says that the machine is slow."""

from __future__ import annotations

from tables.host.settings import budget_factor


def patient(seconds: float) -> float:
    """A timeout of `seconds`, stretched as minehunt's own time budgets are."""
    return seconds * budget_factor()
