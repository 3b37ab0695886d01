"""Which things that hosts with findings share are a roll-out's or a misfiring detection's, and join nobody.

Where a new program, job or key of the site's own is taken for something else, all hosts that got it have the same findings and
nothing more; here and there one of them is infected as well, by something that has nothing to do with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from extension.fleet.incidents import HostIncident, happened
from extension.incidents import Finding
from extension.pack.parts import GRAVE, WEAKNESS

# So many hosts with one finding and no other are told as one.
MANY = 5
# A program that is found in two ways must be on more hosts, and on this share of the fleet, to be the site's own.
_MANY_HOSTS, _ONE_OF = 10, 50
# Stages of which a program of the site's own may have a finding.
_ORDINARY = frozenset(["execution", "persistence"])
# What came to a host so soon after or before something else may have come with it; what did so nowhere, by far, has not.
_SOON, _FAR = 6 * 3600, 48 * 3600


def is_rolled_out(
    owners: Iterable[HostIncident], carriers: Mapping[int, Sequence[Finding]], files: Mapping[int, frozenset[str]], fleet: int
) -> bool:
    """Whether a thing of these incidents is a roll-out's; `carriers` has the findings with it and `files` their part's files.

    Both by the incident's id.
    """
    plain: set[str] = set()
    uniform: dict[str, frozenset[str]] = {}
    telling: set[str] = set()
    close: set[str] = set()
    near: set[str] = set()
    is_grave = False
    for one in owners:
        found = carriers[id(one)]
        names = {finding.query.name for finding in found}
        part = part_of(one, found[0])
        is_grave = is_grave or any(map(_is_grave, found))
        rest = [each for each in one.incident.findings if each.query.name not in names and _is_grave(each)]
        beyond = [each for each in rest if each not in part or not _is_ordinary(each)]
        if any(each.query.severity == "critical" or surely_mines(each) for each in found):
            # What carries it says enough by itself.
            return False
        if not rest:
            plain.add(one.host.key)
        elif not beyond:
            uniform[one.host.key] = files[id(one)]
        else:
            telling.add(one.host.key)
            if any(each in part or _is_within(_SOON, each, found) for each in beyond):
                close.add(one.host.key)
            if any(each in part or _is_within(_FAR, each, found) for each in beyond):
                near.add(one.host.key)
    # Attackers draw a path or two anew for each host; whoever installs a package does not.
    common = Counter(uniform.values()).most_common(1)
    if common and common[0][1] * 10 >= len(uniform) * 9 and len(uniform) >= max(_MANY_HOSTS, fleet // _ONE_OF):
        return len(uniform) > len(telling)
    if plain and telling and not near and not uniform:
        return True
    # What nobody would take for an attack by itself is one where it often goes with more.
    often = len(close) * 2 > len(telling) and (is_grave or len(close) * 4 >= len(plain))
    return len(plain) >= MANY and not uniform and not often


def surely_mines(finding: Finding) -> bool:
    """Whether it is sure that something mines there; a program that is only busy may be anybody's."""
    is_sure = finding.query.severity in GRAVE or finding.row.get("wallet") or finding.row.get("pool")
    return finding.stage == "mining" and bool(is_sure)


def part_of(one: HostIncident, finding: Finding) -> tuple[Finding, ...]:
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
