"""How schedulers and registries of clusters let clients in: YARN, Spark, Flink, Nacos, Consul, Nomad, Zabbix's agent."""

from __future__ import annotations

import posixpath
import re
from typing import Optional

from tables.host.services.settings import is_true, last, option_values, property_entries, yaml_entries
from tables.reasons.services.facts import LOCAL_ONLY, NO_AUTH, PASSWORD, TLS, UNKNOWN, ServiceFacts, Verdict

_HADOOP_FOLDERS = ("/etc/hadoop/conf", "/etc/hadoop", "/opt/hadoop/etc/hadoop", "/usr/local/hadoop/etc/hadoop")
_XML_PROPERTY = re.compile(r"<name>([^<]{1,300})</name>\s{0,64}<value>([^<]{0,400})</value>")
_KERBEROS = ("hadoop.security.authentication", "hadoop.http.authentication.type")
_ACL_BLOCK = re.compile(r"[\"']?\bacl[\"']?\s{0,8}[=:]?\s{0,8}\{([^{}]{0,4000})")
_SETTING = re.compile(r"[\"']?(\w{1,64})[\"']?\s{0,8}[=:]\s{0,8}[\"']?([\w.-]{1,64})")
_EVERYWHERE = frozenset({"0.0.0.0/0", "::/0"})
_REMOTE_KEY = re.compile(r"system\.run\b")


def _open(fact: str, path: Optional[str] = None, line: Optional[int] = None) -> Verdict:
    return Verdict(NO_AUTH, ("no_auth",), (fact,), path, line)


def hadoop_yarn(facts: ServiceFacts) -> Verdict:
    """YARN's ResourceManager: without Kerberos everybody may start applications through its REST API."""
    given = facts.environment.get("HADOOP_CONF_DIR", "")
    found = facts.first(*(f"{folder}/core-site.xml" for folder in (given, *_HADOOP_FOLDERS) if folder))
    if found is None:
        return Verdict(UNKNOWN, (), ("core-site.xml was not found",))
    settings = {name.strip(): value.strip() for name, value in _XML_PROPERTY.findall(found[1])}
    kerberos = next((name for name in _KERBEROS if settings.get(name) == "kerberos"), None)
    if kerberos:
        return Verdict(PASSWORD, (), (f"{kerberos} is kerberos",), found[0])
    return _open("authentication is simple, which believes every name", found[0])


def spark(facts: ServiceFacts) -> Verdict:
    """A Spark master: spark.authenticate wants a secret of clients, and its REST server knows none."""
    if facts.port == 6066:
        return _open("the REST server asks nobody")
    home = facts.environment.get("SPARK_HOME") or "/opt/spark"
    folder = facts.environment.get("SPARK_CONF_DIR") or f"{home}/conf"
    path = f"{folder}/spark-defaults.conf"
    text = facts.read(path)
    if path in facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    entry = last(property_entries(text or ""), "spark.authenticate")
    if "-Dspark.authenticate=true" in facts.argv or (entry and is_true(entry.value)):
        return Verdict(PASSWORD, (), ("spark.authenticate is on",), path if entry else None, entry.line if entry else None)
    return _open("spark.authenticate is not on", path if entry else None, entry.line if entry else None)


def flink(facts: ServiceFacts) -> Verdict:
    """Flink's JobManager: everybody may upload and start jobs, unless its REST server wants certificates."""
    folder = next(iter(option_values(facts.argv, "--configDir", "-c")), "") or "/opt/flink/conf"
    found = facts.first(f"{folder}/flink-conf.yaml", f"{folder}/config.yaml")
    # The keys of the newer file (Flink 1.19) may nest.
    read = yaml_entries if found and found[0] == f"{folder}/config.yaml" else property_entries
    entries = read(found[1]) if found else []
    certificates = last(entries, "security.ssl.rest.authentication-enabled")
    submit = last(entries, "web.submit.enable")
    if certificates and is_true(certificates.value):
        return Verdict(TLS, (), ("clients show a certificate",), found[0] if found else None, certificates.line)
    if facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{facts.unreadable[0]} could not be read",))
    uploads = "jobs may be uploaded" if submit is None or is_true(submit.value) else "its REST API asks nobody"
    return _open(uploads, found[0] if found and submit else None, submit.line if submit else None)


def nacos(facts: ServiceFacts) -> Verdict:
    """Nacos: nacos.core.auth.enabled, off by default before version 3."""
    home = next((word.partition("=")[2] for word in facts.argv if word.startswith("-Dnacos.home=")), "/home/nacos")
    path = f"{home}/conf/application.properties"
    text = facts.read(path)
    if text is None and path in facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    entry = last(property_entries(text or ""), "nacos.core.auth.enabled")
    variable = facts.environment.get("NACOS_AUTH_ENABLE", "")
    value = entry.value if entry and not entry.value.startswith("${") else variable
    if is_true(value):
        return Verdict(PASSWORD, (), ("nacos.core.auth.enabled is on",), path if entry else None, entry.line if entry else None)
    return _open("nacos.core.auth.enabled is not on", path if entry else None, entry.line if entry else None)


def consul(facts: ServiceFacts) -> Verdict:
    """Consul: access lists with the policy `deny`; without, everybody may register checks, which run commands."""
    return _hashicorp(
        facts, "default_policy", "deny", ("/etc/consul.d/consul.hcl", "/etc/consul.d/config.json", "/consul/config/config.hcl")
    )


def nomad(facts: ServiceFacts) -> Verdict:
    """Nomad: access lists; without, everybody may start jobs."""
    return _hashicorp(facts, "enabled", "true", ("/etc/nomad.d/nomad.hcl", "/etc/nomad.d/server.hcl", "/etc/nomad/nomad.hcl"))


def _hashicorp(facts: ServiceFacts, setting: str, wanted: str, usual: tuple[str, ...]) -> Verdict:
    if "-dev" in facts.argv:
        return _open("development mode")
    given = option_values(facts.argv, "-config-file", "-config", "--config", "-config-dir")
    paths = [path for path in given if path.endswith((".hcl", ".json"))]
    paths += [posixpath.join(folder, posixpath.basename(name)) for folder in given if folder not in paths for name in usual]
    texts = [(path, text) for path in (*paths, *usual) if (text := facts.read(path)) is not None]
    if not texts or facts.unreadable:
        return Verdict(UNKNOWN, (), ("its configuration was not found or cannot be read",))
    for path, text in texts:
        for block in _ACL_BLOCK.finditer(text):
            if dict(_SETTING.findall(block[1])).get(setting) == wanted:
                return Verdict(PASSWORD, (), (f"acl {setting} is {wanted}",), path, text.count("\n", 0, block.start()) + 1)
    return _open("its access lists are not on", texts[0][0])


def zabbix_agent(facts: ServiceFacts) -> Verdict:
    """Zabbix's agent: whether it runs commands (system.run), and for whom."""
    given = next(iter(option_values(facts.argv, "-c", "--config")), "")
    found = facts.first(given, "/etc/zabbix/zabbix_agentd.conf", "/etc/zabbix/zabbix_agent2.conf")
    if found is None:
        return Verdict(UNKNOWN, (), ("its configuration was not found",))
    entries = property_entries(found[1])
    server = last(entries, "Server")
    is_everybody = server is not None and not _EVERYWHERE.isdisjoint(part.strip() for part in server.value.split(","))
    runs = next((entry for entry in entries if entry.key == "AllowKey" and _REMOTE_KEY.search(entry.value)), None)
    old = last(entries, "EnableRemoteCommands")
    runs = runs or (old if old and is_true(old.value) else None)
    if is_everybody and runs is not None:
        return _open(f"{runs.key} {runs.value}, and Server {server.value if server else ''}", found[0], runs.line)
    return Verdict(LOCAL_ONLY, (), ("it answers the addresses of Server only, or runs no commands",), found[0])
