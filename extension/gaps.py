"""What the answers of minehunt's tables lacked, as an engine tells it after each query."""

from __future__ import annotations

from dataclasses import dataclass

from extension.engines import Engine, EngineError
from tables.host.status import DEGRADED, ERROR


@dataclass(frozen=True)
class BlindSpot:
    """Something a minehunt table could not see or do; `kind` is error, truncated or degraded.

    `is_blind` tells that something could hide in it.
    """

    table: str
    why: str
    kind: str = DEGRADED
    is_blind: bool = False


class Gaps:
    """What the tables' answers lacked, query by query."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[BlindSpot, None] = {}
        self._last = 0
        self.new()
        # What was said before the triage began is none of its own.
        self._seen.clear()

    def new(self) -> tuple[BlindSpot, ...]:
        """What answers have lacked since the last call."""
        try:
            # A number of our own.
            sql = f"SELECT sequence, table_name, kind, why, is_blind FROM minehunt_gaps WHERE sequence > {self._last}"  # noqa: S608
            rows = self._engine.query(sql)
        except EngineError as error:
            found = [BlindSpot("minehunt_gaps", str(error), ERROR, is_blind=True)]
        else:
            self._last = max([self._last, *(int(row["sequence"]) for row in rows)])
            found = [BlindSpot(row["table_name"], row["why"], row["kind"], row["is_blind"] == "1") for row in rows]
        self._seen.update(dict.fromkeys(found))
        return tuple(found)

    def all(self) -> tuple[BlindSpot, ...]:
        """All of them, each once."""
        return tuple(self._seen)
