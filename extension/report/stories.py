"""Incidents as the first page of a report tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from extension.incidents import Incident, sentence, told

# Of a stage of the chain, so many findings are told on the first page.
_LINKS_SHOWN = 4


@dataclass(frozen=True)
class Link:
    """A finding in the chain of an incident: when (unix seconds), what, and by which query of which severity."""

    when: Optional[int]
    text: str
    query: str
    severity: str


@dataclass(frozen=True)
class Story:
    """An incident: its sentence, and its chain by stage, each with as many links as are left out."""

    sentence: str
    severity: str
    confidence: str
    count: int
    chain: tuple[tuple[str, tuple[Link, ...], int], ...]


def story(incident: Incident, language: str) -> Story:
    """The story of an incident, `language` being en or zh."""
    chain = []
    for stage, findings in incident.chain.items():
        links = dict.fromkeys(
            Link(finding.when, told(finding, language), finding.query.name, finding.query.severity) for finding in findings
        )
        chain.append((stage, tuple(links)[:_LINKS_SHOWN], max(0, len(links) - _LINKS_SHOWN)))
    return Story(sentence(incident, language), incident.severity, incident.confidence, len(incident.findings), tuple(chain))
