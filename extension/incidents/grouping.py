"""Which findings of one host are one incident.

Findings that share a thing are. What shares nothing, but is grave, goes with the one incident of the host that explains it:
the one whose process mines, else the one that mines, else the one that runs or hides something. Where there are two of
those, it stays by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from extension.incidents.groups import Groups
from extension.incidents.incident import Finding, Incident
from extension.incidents.things import PROCESS, Thing, process_pid
from extension.pack.parts import GRAVE, SEVERITIES
from tables.schema import whole_number

# Which stages explain what else is found on a host, the best first.
_CORES = (("mining",), ("execution", "hiding"))
# What happened so long before an incident began is another story.
_BEFORE_SECONDS = 30 * 86400


def group(findings: Iterable[Finding]) -> tuple[Incident, ...]:
    """The incidents of one host, the gravest first. Every finding is in one of them."""
    groups = _joined(list(findings))
    core = _core(groups)
    incidents = []
    others: list[tuple[Finding, ...]] = []
    for members in groups:
        if core is not None and members is not core and _goes_with(members, core):
            others.append(_ordered(members))
        elif members is not core:
            incidents.append(Incident(_ordered(members)))
    if core is not None:
        incidents.append(Incident(_ordered(core), tuple(others)))
    return tuple(sorted(incidents, key=_rank))


def _joined(findings: list[Finding]) -> list[list[Finding]]:
    """Findings that share things, directly or through others."""
    groups = Groups(len(findings))
    owners: dict[Thing, list[int]] = {}
    pids: dict[str, list[int]] = {}
    for number, finding in enumerate(findings):
        for thing in finding.strong_things:
            owners.setdefault(thing, []).append(number)
            if thing.kind == PROCESS:
                pids.setdefault(process_pid(thing), []).append(number)
    for numbers in owners.values():
        for number in numbers[1:]:
            groups.join(numbers[0], number)
    for number, finding in enumerate(findings):
        for thing in finding.things:
            for other in _meant(thing, owners, pids):
                if thing.kind != PROCESS or _may_be_it(findings[other], finding):
                    groups.join(other, number)
    return [[findings[number] for number in numbers] for numbers in groups.all()]


def _meant(thing: Thing, owners: dict[Thing, list[int]], pids: dict[str, list[int]]) -> Iterator[int]:
    if thing.is_weak:
        yield from pids.get(thing.value, ()) if thing.kind == PROCESS else owners.get(thing._replace(is_weak=False), ())


def _may_be_it(found: Finding, child: Finding) -> bool:
    """Whether a process named by its pid alone can be the one that `found` is about: not one that began after its child."""
    started, later = (whole_number(finding.row.get("start_time", "")) for finding in (found, child))
    return started is None or later is None or started <= later


def _core(groups: list[list[Finding]]) -> list[Finding] | None:
    for stages in _CORES:
        having = [members for members in groups if any(_is_of(finding, stages) for finding in members)]
        # A socket or file of a miner without its process is as a rule that of a hidden one.
        running = [members for members in having if any(_is_of(finding, stages) and finding.has_process for finding in members)]
        if having:
            found = running or having
            return found[0] if len(found) == 1 else None
    return None


def _is_of(finding: Finding, stages: tuple[str, ...]) -> bool:
    return finding.stage in stages and (stages[0] == "mining" or finding.query.severity in GRAVE)


def _goes_with(members: list[Finding], core: list[Finding]) -> bool:
    if not any(finding.query.severity in GRAVE for finding in members):
        return False
    times = [finding.when for finding in members if finding.when]
    began = [finding.when for finding in core if finding.when]
    return not times or not began or max(times) >= min(began) - _BEFORE_SECONDS


def _ordered(members: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(members, key=lambda finding: finding.order))


def _rank(incident: Incident) -> tuple[bool, bool, int, int]:
    return not incident.is_compromise, not incident.is_mining, SEVERITIES.index(incident.severity), -len(incident.findings)
