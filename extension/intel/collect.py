"""From a feed's entries to a list's indicators: what can be used, what is refused and why, what is junk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from extension.intel.formats import Feed, Raw
from extension.intel.normalise import RefusedError, name_problem, normalise
from extension.intel.ranges import RangeSet, refusal, reserved_reason
from tables.indicators.pool_lists import SHARED, Indicator


class Rejected(NamedTuple):
    """An entry that did not become an indicator: where it stands, what it says, and why."""

    place: str
    text: str
    reason: str


@dataclass
class Collected:
    """`junk` is what no indicator could be read from; `refused` could be read but must not be matched."""

    kind: str
    indicators: list[Indicator] = field(default_factory=list)
    duplicates: int = 0
    refused: list[Rejected] = field(default_factory=list)
    junk: list[Rejected] = field(default_factory=list)

    def summary(self) -> str:
        """One line: the counts."""
        reasons = Counter(rejected.reason for rejected in self.refused)
        words = [f"{len(self.indicators)} entries"]
        if self.duplicates:
            words.append(f"{self.duplicates} duplicates")
        if self.refused:
            words.append(f"{len(self.refused)} refused ({'; '.join(f'{n} {why}' for why, n in reasons.most_common(8))})")
        if self.junk:
            words.append(f"{len(self.junk)} not understood")
        return ", ".join(words)


def collect(feed: Feed, kind: str, shared: RangeSet) -> Collected:
    """The feed's indicators in its order, each once, for a list of `kind`."""
    collected = Collected(kind)
    known: set[Indicator] = set()
    for raw in feed.entries:
        indicator = _judged(raw, collected, shared)
        if indicator is None:
            continue
        if indicator in known:
            collected.duplicates += 1
        else:
            known.add(indicator)
            collected.indicators.append(indicator)
    return collected


def _judged(raw: Raw, collected: Collected, shared: RangeSet) -> Optional[Indicator]:
    """The indicator that the entry is; None, after a word in `collected`, when it is none or must not be matched."""
    place, text, reason = raw
    try:
        if not reason:
            indicator = normalise(text)
            reason = unfit(indicator, collected.kind, shared)
            if reason is None:
                return indicator
    except RefusedError as error:
        reason = str(error)
    except ValueError as error:
        collected.junk.append(Rejected(place, text, str(error)))
        return None
    collected.refused.append(Rejected(place, text, reason))
    return None


def unfit(indicator: Indicator, kind: str, shared: RangeSet) -> Optional[str]:
    """Why a list of `kind` must not hold the indicator's address or name; None when it may."""
    network = indicator.network
    if kind == SHARED:
        return "no address range" if network is None or indicator.port is not None else reserved_reason(network)
    if network is not None:
        return refusal(network, shared)
    return name_problem(indicator.domain or "")


def first(rejected: Iterable[Rejected], count: int) -> Iterator[str]:
    """Lines that name the first `count` of them, and say how many more there are."""
    every = list(rejected)
    for place, text, reason in every[:count]:
        yield f"{place}: {text[:80]!r}: {reason}"
    if len(every) > count:
        yield f"… and {len(every) - count} more"
