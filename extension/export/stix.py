"""Indicators as a STIX 2.1 bundle (OASIS): what `minehunt intel import` of another host reads."""

from __future__ import annotations

import json
import uuid
from typing import Any, Optional

from extension.export.indicators import Indicator, indicators
from extension.triage import Triage, iso_time
from tables.schema import clean_text

# The namespace of our ids: the same indicator has the same id on every host.
_NAMESPACE = uuid.UUID("6d1c1b3c-9a3f-5f0e-8c53-0e3f5a1b7c11")


def bundle(triage: Triage) -> str:
    """The bundle: one indicator a thing to hunt for, each with a pattern."""
    when = iso_time(triage.finished).replace("Z", ".000Z")
    identity = {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{uuid.uuid5(_NAMESPACE, 'minehunt')}",
        "created": when,
        "modified": when,
        "name": "minehunt",
        "identity_class": "system",
    }
    objects = [identity, *(_indicator(one, when, str(identity["id"])) for one in indicators(triage) if pattern(one))]
    name = f"bundle--{uuid.uuid5(_NAMESPACE, json.dumps(objects, sort_keys=True))}"
    return json.dumps({"type": "bundle", "id": name, "objects": objects}, indent=2, ensure_ascii=False) + "\n"


def _indicator(one: Indicator, when: str, author: str) -> dict[str, Any]:
    told = pattern(one)
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": indicator_id(str(told)),
        "created": when,
        "modified": when,
        "created_by_ref": author,
        "name": f"{one.kind}: {one.value}",
        "description": one.note,
        "indicator_types": ["malicious-activity"],
        "pattern": told,
        "pattern_type": "stix",
        "valid_from": when,
    }


def indicator_id(told: str) -> str:
    """The id of the indicator with this pattern, the same whoever exports it."""
    return f"indicator--{uuid.uuid5(_NAMESPACE, clean_text(told))}"


def pattern(one: Indicator) -> Optional[str]:
    """The indicator as a STIX pattern; None for what nothing that reads them could look for."""
    value = one.value.replace("\\", "\\\\").replace("'", "\\'")
    kind = "domain-name" if one.kind == "domain" else "ipv6-addr" if ":" in one.value else "ipv4-addr"
    if one.kind == "sha256":
        return f"[file:hashes.'SHA-256' = '{value}']"
    if one.kind == "wallet":
        return f"[process:command_line LIKE '%{value}%']"
    if one.kind not in ("ip", "domain"):
        return None
    if one.is_source:
        return f"[network-traffic:src_ref.type = '{kind}' AND network-traffic:src_ref.value = '{value}']"
    if one.port is not None:
        host = f"network-traffic:dst_ref.type = '{kind}' AND network-traffic:dst_ref.value = '{value}'"
        return f"[{host} AND network-traffic:dst_port = {one.port}]"
    return f"[{kind}:value = '{value}']"
