"""A campaign's indicators for others: STIX 2.1, MISP's core format, CSV, and the plain list that `minehunt intel import` reads.

Formats: OASIS STIX 2.1 (cs01), MISP core format (draft-dulaunoy-misp-core-format). Identifiers follow from the content, so that
the same campaign exported twice is the same object.
"""

from __future__ import annotations

import csv
import io
import ipaddress
import json
import uuid
from datetime import datetime
from typing import Any, Optional

from extension.export.indicators import Indicator, of_thing
from extension.export.misp import attribute
from extension.export.stix import indicator_id, pattern
from extension.fleet.report.document import Document
from extension.tabular import as_cell

_SPACE = uuid.UUID("6f1c5b3e-2f0b-5c0e-9a52-9d5a1f0c7e11")
_FOREVER = "1970-01-01T00:00:00Z"


def render(document: Document, names: tuple[str, ...], form: str) -> str:
    """The indicators of these campaigns (of all where none is named) in a format; KeyError for one that there is not."""
    campaigns = {one["name"]: one for one in document["campaigns"]}
    chosen = [campaigns[name] for name in names] if names else list(campaigns.values())
    if form == "csv":
        return _csv(chosen)
    if form == "minehunt":
        return _list(chosen)
    told = _stix(chosen, document["now"]) if form == "stix" else _misp(chosen, document["now"])
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _csv(campaigns: list[Document]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("campaign", "kind", "indicator", "first_seen", "hosts"))
    for one in campaigns:
        for each in one["indicators"]:
            writer.writerow((one["name"], each["kind"], as_cell(each["value"]), one["began"] or "", len(one["hosts"])))
    return buffer.getvalue()


def _list(campaigns: list[Document]) -> str:
    lines = []
    for one in campaigns:
        lines.append(f"# campaign {one['name']}, {len(one['hosts'])} hosts, since {one['began'] or 'unknown'}")
        # Who logs in is no pool: whatever else comes from there would be one's traffic.
        hunted = (each for each in one["indicators"] if each["value"] not in one["visitors"])
        values = sorted({value for each in hunted if (value := _endpoint(each)) is not None})
        # An address with its port is hunted by both; without one, on every port.
        with_port = {value.rpartition(":")[0].strip("[]") for value in values if ":" in value and not _is_address(value)}
        lines += [value for value in values if value not in with_port]
    return "\n".join(lines) + "\n"


def _endpoint(each: dict[str, str]) -> Optional[str]:
    """The address, with its port where it is a pool's, of what has one; not every name of a pool or path on a site does."""
    has_one = each["kind"] in ("pool", "address") and any(of_thing(each["kind"], each["value"], ""))
    return each["value"] if has_one else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _stix(campaigns: list[Document], now: str) -> dict[str, Any]:
    objects: list[dict[str, Any]] = []
    for one in campaigns:
        began = one["began"] or _FOREVER
        campaign_id = f"campaign--{uuid.uuid5(_SPACE, json.dumps(one['indicators'], sort_keys=True))}"
        common = {"spec_version": "2.1", "created": began, "modified": now}
        objects.append(
            {
                "type": "campaign",
                "id": campaign_id,
                **common,
                "name": one["name"],
                "description": one["sentence"]["en"],
                "first_seen": began,
            }
        )
        for each in _indicators(one):
            told = pattern(each)
            if told is None:
                continue
            name = indicator_id(told)
            objects.append(
                {
                    "type": "indicator",
                    "id": name,
                    **common,
                    "name": f"{each.kind} {each.value}"[:250],
                    "pattern": told,
                    "pattern_type": "stix",
                    "valid_from": began,
                    "indicator_types": ["malicious-activity"],
                }
            )
            relation = uuid.uuid5(_SPACE, name + campaign_id)
            objects.append(
                {
                    "type": "relationship",
                    "id": f"relationship--{relation}",
                    **common,
                    "relationship_type": "indicates",
                    "source_ref": name,
                    "target_ref": campaign_id,
                }
            )
    unique = {each["id"]: each for each in objects}
    return {"type": "bundle", "id": f"bundle--{uuid.uuid5(_SPACE, ' '.join(unique))}", "objects": list(unique.values())}


def _misp(campaigns: list[Document], now: str) -> dict[str, Any]:
    events = [
        {
            "Event": {
                "uuid": str(uuid.uuid5(_SPACE, json.dumps(one["indicators"], sort_keys=True))),
                "info": f"Cryptominer campaign {one['name']}: {one['sentence']['en']}"[:1000],
                "date": (one["began"] or now)[:10],
                "threat_level_id": "1" if one["severity"] == "critical" else "2",
                "analysis": "1",
                "distribution": "0",
                "published": False,
                "Attribute": [attribute(each, _unix(one["began"] or now)) for each in _indicators(one)],
            }
        }
        for one in campaigns
    ]
    return events[0] if len(events) == 1 else {"response": events}


def _indicators(one: Document) -> list[Indicator]:
    """What of the campaign others can hunt for, each once."""
    note = f"cryptominer campaign {one['name']}"
    told = (found for each in one["indicators"] for found in of_thing(each["kind"], each["value"], note))
    return list(dict.fromkeys(told))


def _unix(moment: str) -> int:
    return int(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())
