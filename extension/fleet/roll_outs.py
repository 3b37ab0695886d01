"""Which things that hosts with findings share are a roll-out's or a misfiring detection's, and join nobody.

Where a new program, job or key of the site's own is taken for something else, all hosts that got it have the same findings and
nothing more; here and there one of them is infected as well, by something that has nothing to do with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from extension.fleet.incidents import HostIncident, happened
from extension.incidents import Finding
from extension.incidents.things import FILE
from extension.pack.parts import GRAVE, WEAKNESS

# So many hosts with one finding and no other are told as one.
MANY = 5
# A program that is found in two ways must be on more hosts, and on this share of the fleet, to be the site's own.
_MANY_HOSTS, _ONE_OF = 10, 50
# A detection that is sure of itself must be alone on so many, and on the same share, to be taken for a misfire.
_MOST_HOSTS = 20
# Whose they are a detection does not mistake.
_OWN = ("wallet", "wallets", "pool", "pools", "feed", "fingerprint")
# Stages of which a program of the site's own may have a finding.
_ORDINARY = frozenset(["execution", "persistence"])
# What came to a host so soon after or before something else may have come with it; what did so nowhere, by far, has not.
_SOON, _FAR = 6 * 3600, 48 * 3600


@dataclass
class _Hosts:
    """Hosts that have a thing, by what else they have: nothing grave, other findings of one program, or more than that.

    `close` and `near` are those of the last on which that came at the same time.
    """

    plain: set[str] = field(default_factory=set)
    uniform: dict[str, frozenset[str]] = field(default_factory=dict)
    telling: set[str] = field(default_factory=set)
    close: set[str] = field(default_factory=set)
    near: set[str] = field(default_factory=set)


class RollOuts:
    """Tells what was rolled out from what else stands on its hosts."""

    def __init__(self, incidents: Iterable[HostIncident], fleet: int) -> None:
        self._fleet = fleet
        self._grave: dict[str, list[Finding]] = defaultdict(list)
        for one in incidents:
            self._grave[one.host.key] += filter(_is_grave, one.incident.findings)

    def has(self, carriers: Sequence[tuple[HostIncident, Sequence[Finding]]]) -> bool:
        """Whether a thing is a roll-out's or a misfire's, by the incidents that have it and their findings with it."""
        findings = [finding for _one, found in carriers for finding in found]
        if any(finding.row.get(column) for finding in findings for column in _OWN):
            return False
        hosts = self._by_evidence(carriers)
        many = max(_MANY_HOSTS, self._fleet // _ONE_OF)
        if any(finding.query.severity == "critical" or surely_mines(finding) for finding in findings):
            is_one = len({finding.query.name for finding in findings}) == 1
            return is_one and not hosts.uniform and not hosts.telling and len(hosts.plain) >= max(many, _MOST_HOSTS)
        # Attackers draw a path or two anew for each host; whoever installs a package does not.
        common = Counter(hosts.uniform.values()).most_common(1)
        if common and common[0][1] * 10 >= len(hosts.uniform) * 9 and len(hosts.uniform) >= many:
            return len(hosts.uniform) > len(hosts.telling)
        if hosts.uniform:
            return False
        if hosts.plain and hosts.telling and not hosts.near:
            return True
        # What nobody would take for an attack by itself is one where it often goes with more.
        often = len(hosts.close) * 2 > len(hosts.telling)
        often = often and (any(map(_is_grave, findings)) or len(hosts.close) * 4 >= len(hosts.plain))
        return len(hosts.plain) >= MANY and not often

    def _by_evidence(self, carriers: Iterable[tuple[HostIncident, Sequence[Finding]]]) -> _Hosts:
        hosts = _Hosts()
        for one, found in carriers:
            key, part = one.host.key, _part_of(one, found[0])
            names = {finding.query.name for finding in found}
            rest = [each for each in self._grave[key] if each.query.name not in names]
            beyond = [each for each in rest if each not in part or not _is_ordinary(each)]
            if not rest:
                hosts.plain.add(key)
            elif not beyond:
                hosts.uniform[key] = frozenset(thing.value for each in part for thing in each.things if thing.kind == FILE)
            else:
                hosts.telling.add(key)
                for seconds, having in ((_SOON, hosts.close), (_FAR, hosts.near)):
                    if any(each in part or _is_within(seconds, each, found) for each in beyond):
                        having.add(key)
        return hosts


def surely_mines(finding: Finding) -> bool:
    """Whether it is sure that something mines there; a program that is only busy may be anybody's."""
    is_sure = finding.query.severity in GRAVE or finding.row.get("wallet") or finding.row.get("pool")
    return finding.stage == "mining" and bool(is_sure)


def _part_of(one: HostIncident, finding: Finding) -> tuple[Finding, ...]:
    """Those of an incident's findings that share things with this one."""
    parts = (one.incident.linked, *one.incident.others)
    return next((part for part in parts if finding in part), one.incident.linked)


def _is_grave(finding: Finding) -> bool:
    return finding.query.severity in GRAVE and finding.stage != WEAKNESS


def _is_ordinary(finding: Finding) -> bool:
    return finding.stage in _ORDINARY and finding.query.severity != "critical"


def _is_within(seconds: int, finding: Finding, others: Iterable[Finding]) -> bool:
    time = happened(finding)
    return time is not None and any(abs(time - (happened(other) or 0)) <= seconds for other in others)
