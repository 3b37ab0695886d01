"""Times as the fleet document and its reports have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from extension.triage import iso_time


def as_time(seconds: Optional[int]) -> Optional[str]:
    """Unix seconds as ISO 8601 in UTC, None where they are not known or beyond every calendar."""
    try:
        return iso_time(seconds) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def when(moment: Optional[str]) -> str:
    """A time of the document as people read it, "" where it is not known."""
    return (moment or "").replace("T", " ").replace("Z", "")


def silence(document: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """What the report says of who was heard: since when those that are silent are, or that nobody is."""
    covered = document["coverage"]
    text = words["silence_means" if covered["silent"] else "all_heard"]
    return text.format(hours=covered["silence_seconds"] // 3600, now=when(document["now"]))


def over_since(ended: Optional[str], words: Mapping[str, str]) -> str:
    """What stands behind a host on which it is over, "" while it lasts."""
    return f" ({words['over_since']} {when(ended)})" if ended else ""
