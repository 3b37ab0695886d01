"""The hosts of a simulated fleet, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fleet.inventories import Image, Row
from tests.fleet.planted import Event

START = 1795435200
DAY = 86400


@dataclass
class Truth:
    """What was planted: hosts by campaign in the order in which they fell, and what else is to be found out."""

    campaigns: dict[str, list[str]] = field(default_factory=dict)
    insider: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    misfired: list[str] = field(default_factory=list)
    enrolled_again: list[str] = field(default_factory=list)
    clocks: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    twins: str = ""
    lines: int = 0


@dataclass
class SimulatedHost:
    """One host, and everything that happens to its inventories."""

    number: int
    image: Image
    name: str
    uuid: str
    clock: int = 0
    silent_from: int = 0
    again_at: int = 0
    events: list[Event] = field(default_factory=list)
    logins: list[Row] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.{self.number // 62500 + 1}.{self.number // 250 % 250}.{self.number % 250 + 2}"
