"""Which groups make root of their members, and which service accounts have a login shell by design (accounts.yaml)."""

from __future__ import annotations

import functools

from tables.indicators.loader import load_yaml


@functools.cache
def admin_groups() -> frozenset[str]:
    """Names of groups whose members can become root."""
    return _names("admin_groups")


@functools.cache
def service_accounts_with_shell() -> frozenset[str]:
    """Names of service accounts that packages create with a login shell."""
    return _names("service_accounts_with_shell")


def _names(section: str) -> frozenset[str]:
    return frozenset(name for entry in load_yaml("accounts.yaml")[section] for name in entry["names"])
