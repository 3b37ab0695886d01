"""Which senders are one host.

A sender is a host identifier with the decorations of its lines. Hosts are told apart by decorations' host_uuid where it is one
host's; by hostIdentifier otherwise, as osquery itself was told to.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# What machines without a serial number of their own say (DMI product_uuid of boards and clones).
_NO_UUID = re.compile(
    r"0*|f*|03000200040005000006000700080009|4c4c4544000000000000000000000000|123456781234567812345678123456789?[0-9a-f]*"
)
# Names that say nothing of which host it is.
NAMELESS = frozenset(["", "localhost", "debian", "ubuntu", "centos", "rocky", "raspberrypi", "kali"])
_HOUR = 3600


@dataclass
class Sender:
    """What one sender said of itself, and when it was heard (unix seconds of its own clock)."""

    sender: int
    identifier: str
    decorations: Mapping[str, str]
    first: int
    last: int
    lines: int


@dataclass
class Host:
    """One host: its key in every table, its names, and when it was heard by its own clock.

    `clock_ahead` is by how many seconds that is before the fleet's, below 0 where it is behind.
    """

    key: str
    name: str
    names: tuple[str, ...]
    decorations: Mapping[str, str]
    first: int
    last: int
    senders: tuple[int, ...]
    notes: list[str] = field(default_factory=list)
    clock_ahead: int = 0
    identifier: str = ""

    @property
    def version(self) -> str:
        """Minehunt's version there, "" when its lines do not say."""
        return self.decorations.get("minehunt_version", "")


def identify(senders: Iterable[Sender]) -> dict[str, Host]:
    """The hosts behind the senders, by key; a name that two have, or a UUID that clones share, is told in their notes."""
    groups: dict[str, list[Sender]] = defaultdict(list)
    for sender in senders:
        groups[_uuid(sender) or f"name:{_identifier(sender)}"].append(sender)
    hosts: dict[str, Host] = {}
    for group_key, members in groups.items():
        for key, part, note in _apart(group_key, members):
            newest = max(part, key=lambda sender: (sender.last, sender.lines, sender.sender))
            names = tuple(dict.fromkeys(map(_name, sorted(part, key=lambda each: -each.last))))
            host = Host(
                key, names[0], names, newest.decorations, min(s.first for s in part), max(s.last for s in part),
                tuple(s.sender for s in part), [note] if note else [], identifier=newest.identifier,
            )  # fmt: skip
            if len({short_name(name) for name in names}) > 1:
                host.notes.append("renamed")
            hosts[key] = host
    _follow(hosts)
    _adopt(hosts)
    _mark_twins(hosts)
    return hosts


def _uuid(sender: Sender) -> str:
    uuid = sender.decorations.get("host_uuid", "").strip().lower() or (
        sender.identifier.lower() if _is_uuid(sender.identifier) else ""
    )
    return "" if _is_nobodys(uuid) else uuid


def _identifier(sender: Sender) -> str:
    """What a sender without a UUID goes by: a UUID that boards without one say is nobody's identifier either."""
    return _name(sender) if _is_nobodys(sender.identifier.lower()) else sender.identifier


def _is_nobodys(uuid: str) -> bool:
    return not uuid or _NO_UUID.fullmatch(uuid.replace("-", "")) is not None


def _is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None


def _name(sender: Sender) -> str:
    return sender.decorations.get("hostname") or sender.identifier


def short_name(name: str) -> str:
    """What a host is called whether or not its domain is told: what stands before the first dot, in small letters."""
    return name.lower().partition(".")[0]


def _apart(key: str, members: Sequence[Sender]) -> Iterable[tuple[str, list[Sender], str]]:
    """The hosts that share a key: machines that run side by side have one UUID, clones, and containers of one machine.

    Identifiers that somebody gave tell them apart; names that were heard at the same time do, one after the other it is a new
    name; and so do identifiers that osquery made up on each.
    """
    if len({(sender.identifier, sender.decorations.get("hostname")) for sender in members}) == 1:
        yield key, list(members), ""
        return
    given = {sender.identifier for sender in members if _is_given(sender, key)}
    if len(given) > 1:
        parts = _by(members, lambda sender: sender.identifier if sender.identifier in given else _name(sender))
    else:
        parts = _by(members, lambda sender: short_name(_name(sender)))
        parts = {_name(part[0]): part for part in parts.values()} if not _is_one(parts.values()) else {"": list(members)}
    for name, part in sorted(parts.items()):
        made_up = _by(
            (s for s in part if _is_uuid(s.identifier) and s.identifier.lower() != key), lambda sender: sender.identifier
        )
        if len(made_up) > 1 and not _is_one(made_up.values()) and sum(map(len, made_up.values())) == len(part):
            for identifier, ours in sorted(made_up.items()):
                yield f"{key}/{identifier}", ours, "shared_uuid"
        else:
            yield (f"{key}/{name}", part, "shared_uuid") if name else (key, part, "")


def _by(senders: Iterable[Sender], label: Callable[[Sender], str]) -> dict[str, list[Sender]]:
    parts: dict[str, list[Sender]] = defaultdict(list)
    for sender in senders:
        parts[label(sender)].append(sender)
    return parts


def _is_given(sender: Sender, key: str) -> bool:
    """Whether osquery was told the identifier (--specified_identifier): it is neither its UUID nor its name nor made up."""
    identifier = sender.identifier.lower()
    return (
        bool(identifier)
        and identifier != key
        and not _is_uuid(identifier)
        and short_name(identifier) != short_name(_name(sender))
    )


def _is_one(parts: Iterable[Sequence[Sender]]) -> bool:
    """Whether these were heard one after the other; late lines may make it look like a little at the same time."""
    spans = sorted((min(s.first for s in part), max(s.last for s in part)) for part in parts)
    return all(
        after[0] >= before[1] - min(_HOUR, (before[1] - before[0]) // 2, (after[1] - after[0]) // 2)
        for before, after in zip(spans, spans[1:])
    )


def _follow(hosts: dict[str, Host]) -> None:
    """A name under UUIDs that were heard one after the other is one host: osquery made a new one up, or it was set up anew."""
    named: dict[str, list[Host]] = defaultdict(list)
    for key, host in hosts.items():
        if (
            not key.startswith("name:")
            and "/" not in key
            and host.decorations.get("hostname")
            and short_name(host.name) not in NAMELESS
        ):
            named[host.name].append(host)
    for same in named.values():
        same.sort(key=lambda host: (host.first, host.key))
        if len(same) > 1 and all(after.first >= before.last for before, after in zip(same, same[1:])):
            newest = same[-1]
            for before in same[:-1]:
                del hosts[before.key]
                newest.senders += before.senders
            newest.first = same[0].first
            newest.notes.append("new_identifier")


def _adopt(hosts: dict[str, Host]) -> None:
    """A sender without a UUID (a triage, a line without decorations) belongs to the one host of its name."""
    named: dict[str, list[Host]] = defaultdict(list)
    for host in hosts.values():
        if not host.key.startswith("name:"):
            for name in {*host.names, host.decorations.get("hostname", "")}:
                named[name].append(host)
    for key in [key for key in hosts if key.startswith("name:")]:
        owners = named.get(hosts[key].name, [])
        if len(owners) == 1:
            orphan, owner = hosts.pop(key), owners[0]
            owner.senders += orphan.senders
            owner.first, owner.last = min(owner.first, orphan.first), max(owner.last, orphan.last)


def _mark_twins(hosts: dict[str, Host]) -> None:
    by_name: dict[str, list[Host]] = defaultdict(list)
    for host in hosts.values():
        by_name[host.name].append(host)
    for same in by_name.values():
        if len(same) < 2:
            continue
        # Where each was given an identifier, that is what it is called.
        given = {host.identifier for host in same if host.identifier and not _is_uuid(host.identifier)}
        for host in same:
            host.notes.append("shared_name")
            if len(given) == len(same):
                host.name, host.names = host.identifier, tuple(dict.fromkeys((host.identifier, *host.names)))
