"""From findings to incidents: which rows of the pack's detections are one story, and that story in a sentence.

Plain data in, plain data out: nothing here knows an engine, a report or the command line. A finding is the name of a query
and one of its rows; which column of which query holds what kind of thing is said by the pack (`things`, `stage`, `says`).
"""

from __future__ import annotations

from extension.incidents.grouping import group
from extension.incidents.incident import Finding, Incident, is_compromised
from extension.incidents.sentence import sentence, told
from extension.incidents.things import Thing, things_of

__all__ = ["Finding", "Incident", "Thing", "group", "is_compromised", "sentence", "things_of", "told"]
