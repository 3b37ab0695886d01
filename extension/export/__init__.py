"""What a triage found in the forms that other programs read: findings as JSON Lines or SARIF, indicators as STIX or MISP."""

from __future__ import annotations

from extension.triage import Triage

FORMATS = ("jsonl", "sarif", "stix", "misp")


def render(form: str, triage: Triage) -> str:
    """The triage in one of FORMATS."""
    from extension.export import findings, misp, stix

    return {"jsonl": findings.json_lines, "sarif": findings.sarif, "stix": stix.bundle, "misp": misp.event}[form](triage)
