"""What a case of the lab is: something a miner does, the pack queries that must say so, and the innocent thing like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Optional

from tests.lab.room import Planted, Room

Plant = Callable[[Room], Planted]


@dataclass(frozen=True)
class Twin:
    """Something innocent that resembles a case; its docstring names it."""

    plant: Plant

    @property
    def title(self) -> str:
        """What it is, in words."""
        return _title(self.plant)


@dataclass
class Case:
    """One thing that a miner does.

    `plant` does it for real in a room and returns the values that tell it from all else, by column; `found_by` names the
    pack queries that must report it, each with the column in which its row must hold that value.
    """

    step: int
    found_by: Mapping[str, str]
    plant: Plant
    needs: tuple[str, ...] = ()
    twins: list[Twin] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How it is called: the name of the function that plants it."""
        return self.plant.__name__

    @property
    def title(self) -> str:
        """What it is, in words."""
        return _title(self.plant)

    def twin(self, plant: Plant) -> Plant:
        """Decorate the function that plants the innocent twin: no detection of the whole pack may report it."""
        self.twins.append(Twin(plant))
        return plant


def case(step: int, needs: tuple[str, ...] = (), **found_by: str) -> Callable[[Plant], Case]:
    """Decorate a function that plants a case: `case(4, deleted_program="pid")`; `needs` are commands it cannot do without."""

    def decorate(plant: Plant) -> Case:
        return Case(step, found_by, plant, needs)

    return decorate


def cases_of(module: ModuleType) -> list[Case]:
    """The cases that a module defines, in their order."""
    return [value for value in vars(module).values() if isinstance(value, Case)]


def _title(plant: Plant) -> str:
    text: Optional[str] = plant.__doc__
    if not text:
        raise ValueError(f"{plant.__name__} has no docstring that names it")
    return " ".join(text.split()).rstrip(".")
