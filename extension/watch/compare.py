"""Two triages of one host compared: what is gone, still there, back under another pid, new, or was not checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from extension.incidents import Finding
from extension.triage import ERROR, INCOMPLETE, NEEDS_ROOT, NOT_APPLICABLE, Triage
from extension.watch.identity import Identity, identity

_UNSURE = (ERROR, INCOMPLETE, NEEDS_ROOT, NOT_APPLICABLE)


@dataclass
class Comparison:
    """Findings by what became of them; those of `back` are the newer ones, those of `gone` and `unchecked` the older."""

    still: list[Finding] = field(default_factory=list)
    back: list[Finding] = field(default_factory=list)
    new: list[Finding] = field(default_factory=list)
    gone: list[Finding] = field(default_factory=list)
    unchecked: list[Finding] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing that was found is there any more, nothing came, and all was looked at again."""
        return not (self.still or self.back or self.new or self.unchecked)


def compare(old: Triage, new: Triage) -> Comparison:
    """What became of the findings of `old` by the time of `new`."""
    result = Comparison()
    was, now = _known(old.chained), _known(new.chained)
    runs_now: dict[tuple[str, tuple[str, ...]], list[Finding]] = {}
    for one, finding in now.items():
        runs_now.setdefault(one[:2], []).append(finding)
    matched: set[Identity] = set()
    checked = {result.query.name for result in new.results if result.status not in _UNSURE}
    for one, finding in was.items():
        again = runs_now.get(one[:2], [])
        if one in now:
            result.still.append(now[one])
            matched.add(one)
        elif again:
            result.back += [other for other in again if identity(other) not in matched and identity(other) not in was]
            matched.update(map(identity, again))
        elif one.query in checked:
            result.gone.append(finding)
        else:
            result.unchecked.append(finding)
    result.new = [finding for one, finding in now.items() if one not in matched and one not in was]
    return result


def _known(findings: Iterable[Finding]) -> dict[Identity, Finding]:
    return {identity(finding): finding for finding in findings}
