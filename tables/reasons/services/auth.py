"""How a service of entry_services.yaml lets clients in: by its own configuration, or by what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Optional

from tables.reasons.services import platforms as platform_auth
from tables.reasons.services import stores as store_auth
from tables.reasons.services.entry_services import EntryService
from tables.reasons.services.facts import NO_AUTH, PASSWORD, UNKNOWN, ServiceFacts, Verdict

# What entry_services.yaml calls a judge.
JUDGES: Mapping[str, Callable[[ServiceFacts], Optional[Verdict]]] = {
    "docker": platform_auth.docker,
    "elasticsearch": store_auth.elasticsearch,
    "etcd": store_auth.etcd,
    "jenkins": platform_auth.jenkins,
    "jupyter": platform_auth.jupyter,
    "kubelet": platform_auth.kubelet,
    "mongodb": store_auth.mongodb,
    "mysql": store_auth.mysql,
    "opensearch": store_auth.opensearch,
    "postgresql": store_auth.postgresql,
    "redis": store_auth.redis,
}


def judge(service: EntryService, facts: ServiceFacts) -> Optional[Verdict]:
    """How the service behind a listener lets clients in; None when that port is not its front door."""
    if service.judge is not None:
        return JUDGES[service.judge](facts)
    if not service.open_by_default:
        return Verdict(UNKNOWN, (), ("how it lets clients in is not read",))
    if service.guarded_by is not None and service.guarded_by.search(facts.cmdline):
        return Verdict(PASSWORD, (), ("an option asks for a password or token",))
    return Verdict(NO_AUTH, ("no_auth",), ("it asks for no password unless told to",))
