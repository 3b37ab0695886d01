"""How a service of entry_services.yaml lets clients in: by its own configuration, or by what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Optional

from tables.reasons.services import applications as application_auth
from tables.reasons.services import clusters as cluster_auth
from tables.reasons.services import platforms as platform_auth
from tables.reasons.services import storages as storage_auth
from tables.reasons.services import stores as store_auth
from tables.reasons.services.entry_services import EntryService
from tables.reasons.services.facts import NO_AUTH, PASSWORD, UNKNOWN, ServiceFacts, Verdict

# What entry_services.yaml calls a judge.
JUDGES: Mapping[str, Callable[[ServiceFacts], Optional[Verdict]]] = {
    "clickhouse": storage_auth.clickhouse,
    "comfyui": application_auth.comfyui,
    "consul": cluster_auth.consul,
    "docker": platform_auth.docker,
    "elasticsearch": store_auth.elasticsearch,
    "etcd": store_auth.etcd,
    "flink": cluster_auth.flink,
    "grafana": application_auth.grafana,
    "hadoop_yarn": cluster_auth.hadoop_yarn,
    "jenkins": platform_auth.jenkins,
    "jupyter": platform_auth.jupyter,
    "kubelet": platform_auth.kubelet,
    "langflow": application_auth.langflow,
    "minio": storage_auth.minio,
    "mongodb": store_auth.mongodb,
    "mysql": store_auth.mysql,
    "n8n": application_auth.n8n,
    "nacos": cluster_auth.nacos,
    "nextjs": application_auth.nextjs,
    "nomad": cluster_auth.nomad,
    "opensearch": store_auth.opensearch,
    "postgresql": store_auth.postgresql,
    "phpmyadmin": application_auth.phpmyadmin,
    "rabbitmq": storage_auth.rabbitmq,
    "redis": store_auth.redis,
    "registry": storage_auth.registry,
    "spark": cluster_auth.spark,
    "zabbix_agent": cluster_auth.zabbix_agent,
}


def judge(service: EntryService, facts: ServiceFacts) -> Optional[Verdict]:
    """How the service behind a listener lets clients in; None when that port is not its front door."""
    if service.judge is not None:
        return JUDGES[service.judge](facts)
    if service.opened_by is not None:
        if service.opened_by.search(facts.cmdline):
            return Verdict(NO_AUTH, ("no_auth",), ("an option lets everybody in",))
        return Verdict(PASSWORD, (), ("it asks for a password or token unless told not to",))
    if not service.open_by_default:
        return Verdict(UNKNOWN, (), ("how it lets clients in is not read",))
    if service.guarded_by is not None and service.guarded_by.search(facts.cmdline):
        return Verdict(PASSWORD, (), ("an option asks for a password or token",))
    if any(facts.environment.get(name) for name in service.guarded_by_variables):
        return Verdict(PASSWORD, (), ("a variable sets a password or token",))
    return Verdict(NO_AUTH, ("no_auth",), ("it asks for no password unless told to",))
