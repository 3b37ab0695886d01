"""Indicators as a MISP event (misp-standard.org, core format), which MISP and `minehunt intel import` read."""

from __future__ import annotations

import json
import uuid
from typing import Any

from extension.export.indicators import Indicator, indicators
from extension.incidents import sentence
from extension.triage import Triage, iso_time
from tables.schema import clean_text

_NAMESPACE = uuid.UUID("0b0ce1fb-7a1d-5c5e-9b8e-5b1f0a7c2d34")
_THREAT = {True: "1", False: "3"}


def event(triage: Triage) -> str:
    """The event: an attribute a thing to hunt for; where somebody came from is told, but not meant for detection."""
    compromises = [incident for incident in triage.incidents if incident.is_compromise]
    info = sentence(compromises[0], "en") if compromises else "minehunt found nothing to hunt for"
    found = [attribute(one, int(triage.finished)) for one in indicators(triage)]
    document = {
        "Event": {
            "uuid": str(uuid.uuid5(_NAMESPACE, clean_text(f"{triage.host.get('hostname', '')} {triage.started} {info}"))),
            "info": info,
            "date": iso_time(triage.finished)[:10],
            "timestamp": str(int(triage.finished)),
            "threat_level_id": _THREAT[bool(compromises)],
            "analysis": "0",
            "distribution": "0",
            "published": False,
            "Attribute": found,
        }
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def attribute(one: Indicator, when: int) -> dict[str, Any]:
    """The indicator as an attribute of an event, `when` (unix seconds) being when it was seen."""
    kind, category, value = _typed(one)
    return {
        "uuid": str(uuid.uuid5(_NAMESPACE, clean_text(f"{kind} {value}"))),
        "type": kind,
        "category": category,
        "value": value,
        "comment": one.note,
        "to_ids": not one.is_source and one.kind not in ("wallet", "key", "image"),
        "timestamp": str(when),
    }


def _typed(one: Indicator) -> tuple[str, str, str]:
    if one.kind == "ip":
        direction = "ip-src" if one.is_source else "ip-dst"
        return (
            (f"{direction}|port", "Network activity", f"{one.value}|{one.port}")
            if one.port is not None
            else (direction, "Network activity", one.value)
        )
    if one.kind == "domain" and one.port is not None:
        return "hostname|port", "Network activity", f"{one.value}|{one.port}"
    if one.kind == "domain":
        return "domain", "Network activity", one.value
    if one.kind == "sha256":
        return "sha256", "Payload delivery", one.value
    if one.kind == "image":
        return "text", "Payload delivery", one.value
    if one.kind == "key":
        return "ssh-fingerprint", "Persistence mechanism", one.value
    return ("btc" if one.value.startswith(("1", "3", "bc1")) else "xmr"), "Financial fraud", one.value
