"""The pack's own name of a query in a log, whatever scheduled it, and what kind of query it is."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Optional

from extension.fleet.forms import STATUS
from tables import modules

if TYPE_CHECKING:
    from extension.pack.parts import Pack, Query

# What says hourly that the extension is there, and of which version (build/osquery_pack.py).
LOADED = "minehunt_loaded"
# The detection that a query of ours is denylisted, which is a matter of coverage.
DENYLISTED = "minehunt_query_denylisted"
# Known beside the pack's queries.
_BESIDE = (STATUS, LOADED)
# Evidence whose rows the fleet view reads; of all other queries only that, and when, a host reported them.
EVIDENCE = ("logins", "login_failures", "open_ports", "tcp_connections", "packages", LOADED, STATUS)
# Each answer of these holds only the newest of what there was, so that all of them are read and not a log's first and last.
_HISTORIES = ("logins",)
# What stands before it: nothing, Fleet's pack/Global/ or pack/team-7/, or a pack of this name or minehunt's; a query of
# the same name in another pack is another query.
_SCHEDULERS = re.compile(r"pack.(?:Global|team-[0-9]+)[/_:.|-]")
_DELIMITERS = "_/:.|-"


@dataclass(frozen=True)
class Names:
    """The queries of the packs that `open_packs` opens, when the first is asked for."""

    open_packs: Callable[[], Sequence[Pack]]

    @classmethod
    def of(cls, *packs: Pack) -> Names:
        """The names that the queries of these packs go by."""
        return cls(lambda: packs)

    @cached_property
    def queries(self) -> Mapping[str, Query]:
        """The packs' queries by name."""
        return {query.name: query for pack in self._opened for query in pack.queries()}

    @cached_property
    def _packs(self) -> tuple[str, ...]:
        # Queries of events are scheduled as a pack for each of their entries of discovery.
        parts = (f"{pack.name}_{entry}" for pack in self._opened for entry in pack.discovery)
        return (*(pack.name for pack in self._opened), *parts, "minehunt")

    @cached_property
    def _opened(self) -> Sequence[Pack]:
        return self.open_packs()

    def bare(self, logged: str) -> str:
        """The pack's name in a logged one: X of `pack_cryptominer_triage_X`, `pack/Global/cryptominer_triage_X` and `X`."""
        if logged in self.queries or logged in _BESIDE:
            return logged
        # From the left, so that the longest name wins: hidden_processes is none of `processes`.
        for before, name in _parted(logged):
            if name in self.queries or name == LOADED:
                # Whatever --pack_delimiter is, of one sign or of several.
                is_ours = before.rstrip(_DELIMITERS).endswith(self._packs) or _SCHEDULERS.fullmatch(before)
                return name if is_ours else logged
        return logged

    def stands_in(self, logged: str) -> Optional[str]:
        """What stands before a detection or policy of ours in the name of a query of another pack; None for any other name."""
        for before, name in _parted(logged):
            if self.kind(name) in ("detection", "policy"):
                return before if self.bare(logged) == logged else None
        return None

    def kind(self, name: str) -> str:
        """detection, inventory, policy, evidence, or "" for a query of another pack."""
        query = self.queries.get(name)
        return query.kind if query else "evidence" if name in _BESIDE else ""

    def has_read_rows(self, name: str) -> bool:
        """Whether the fleet view looks into the query's rows."""
        return self.kind(name) in ("detection", "inventory") or name in EVIDENCE

    def has_history(self, name: str) -> bool:
        """Whether what a query's earlier answers hold, and its last does not, is true all the same."""
        return name in _HISTORIES

    def logs_removed(self, name: str) -> bool:
        """Whether osquery tells what is no longer in a query's answer: of no snapshot, no events, and no other pack's query."""
        query = self.queries.get(name)
        return query is not None and not query.snapshot and not any(table.endswith("_events") for table in query.tables)

    def stacked(self) -> Iterable[str]:
        """The names of the queries of which the rows are counted over the fleet."""
        return [*self.of_kind("inventory"), "open_ports"]

    def of_extension(self, *kinds: str) -> Iterable[str]:
        """The names of the queries of these kinds that only a host with minehunt's extension answers."""
        return [name for name in self.of_kind(*kinds) if self.queries[name].tables & _own_tables()]

    def of_kind(self, *kinds: str) -> Iterable[str]:
        """The names of all queries of these kinds."""
        return [name for name, query in self.queries.items() if query.kind in kinds]


def _parted(logged: str) -> Iterator[tuple[str, str]]:
    """A name parted behind each of its delimiters, from the left."""
    return ((logged[: index + 1], logged[index + 1 :]) for index, sign in enumerate(logged) if sign in _DELIMITERS)


@functools.cache
def _own_tables() -> frozenset[str]:
    return frozenset(modules())
