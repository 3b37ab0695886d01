"""All answers about a fleet, worked out together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from extension.fleet.alike import Alike
from extension.fleet.answers import Ground, prepare
from extension.fleet.campaigns import Campaign, campaigns
from extension.fleet.coverage import Coverage, coverage
from extension.fleet.engines import Engine
from extension.fleet.incidents import HostIncident, host_incidents
from extension.fleet.logins import ask_logins
from extension.fleet.names import Names
from extension.fleet.next_hosts import Next, next_hosts
from extension.fleet.planted import planted
from extension.fleet.rare import Rarity, rare, stacked
from extension.fleet.roles import roles
from extension.fleet.roll_outs import surely_mines
from extension.fleet.shared_things import bonds
from extension.fleet.spread import tell_logins


@dataclass(frozen=True)
class FleetView:
    """The answers.

    `honest` has the ids of findings that honest hosts have too (shared_things.Bonds), `compromised` the keys of the hosts to be
    taken for that; `roles` names each host's kind.
    """

    ground: Ground
    coverage: Coverage
    incidents: tuple[HostIncident, ...]
    honest: frozenset[int]
    compromised: frozenset[str]
    campaigns: tuple[Campaign, ...]
    alike: tuple[Alike, ...]
    rare: tuple[Rarity, ...]
    next: tuple[Next, ...]
    roles: dict[str, str]

    @cached_property
    def found_now(self) -> frozenset[str]:
        """The keys of the hosts with findings that last."""
        return frozenset(one.host.key for one in self.incidents if one.ended is None)


def look(engine: Engine, names: Names, step: Callable[[str], None] = lambda _: None, now: Optional[int] = None) -> FleetView:
    """Answer everything about the results in the engine, telling `step` what is being done."""
    ground = prepare(engine, names, step, now)
    # What needs no other answer is asked first: the engine works on it while Ibis compiles and Python groups.
    finish_coverage, finish_incidents = coverage(ground), host_incidents(ground)
    stacks, finish_roles, asked_logins = stacked(ground), roles(ground), ask_logins(ground)
    step("coverage")
    covered = finish_coverage()
    step("incidents")
    incidents, cut = finish_incidents()
    for key, left_out in cut.items():
        covered.hosts[key].problems.append(("findings_cut", str(left_out)))
    compromised = frozenset(one.host.key for one in incidents if one.incident.is_compromise and one.ended is None)
    step("campaigns")
    bound = bonds(ground, incidents)
    for thing, owners in planted(ground, incidents).items():
        bound.add(thing, owners)
    found, alike = campaigns(incidents, bound)
    told = {id(member) for campaign in found for member in campaign.members}
    # What is over and no campaign's is told where something was sure to mine; a misfire that somebody mended is no news.
    incidents = [
        one for one in incidents if one.ended is None or id(one) in told or any(map(surely_mines, one.incident.findings))
    ]
    inside = tell_logins(ground, found, compromised, asked_logins)
    # What looks like a roll-out or a misfire does not keep anybody from being next.
    alone = {host.key for one in alike for host in one.hosts}
    following = next_hosts(ground, found, compromised - alone, inside)
    step("rare")
    kinds = finish_roles()
    rarities = rare(ground, stacks, kinds, compromised)
    return FleetView(
        ground, covered, tuple(incidents), bound.honest, compromised,
        tuple(found), tuple(alike), tuple(rarities), tuple(following), kinds,
    )  # fmt: skip
