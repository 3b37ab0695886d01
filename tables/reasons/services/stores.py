"""How databases let clients in, by their options and files: Redis, PostgreSQL, MongoDB, Elasticsearch and others."""

from __future__ import annotations

import posixpath
import re
from typing import Optional

from tables.host.network.listeners import is_loopback
from tables.host.services.pg_hba import HbaRule, parse_hba
from tables.host.services.redis_config import (
    Directive,
    command_line_directives,
    default_user_needs_password,
    last,
    parse_redis,
    with_includes,
)
from tables.host.services.settings import Entry, is_true, option_values, property_entries, switch, yaml_entries
from tables.host.services.settings import last as last_entry
from tables.reasons.services.facts import LOCAL_ONLY, NO_AUTH, PASSWORD, TLS, UNKNOWN, ServiceFacts, Verdict

# redis-server writes `redis-server *:6379` over its arguments (redis.conf, proc-title-template).
_REDIS_TITLE = re.compile(r"\S*(?:redis|valkey|keydb)-server \S*:\d+(?: \[\w+\])?")
_REDIS_FILES = (
    "/etc/redis/redis.conf", "/etc/redis/{port}.conf", "/etc/redis/redis_{port}.conf", "/etc/redis/redis-{port}.conf",
    "/etc/redis.conf", "/usr/local/etc/redis/redis.conf", "/usr/local/etc/redis.conf", "/etc/valkey/valkey.conf",
    "/usr/local/etc/valkey/valkey.conf", "/etc/keydb/keydb.conf", "/opt/redis/redis.conf", "/usr/local/redis/redis.conf",
)  # fmt: skip
# A database dumped into one of these is a job or a key of the attacker's (CONFIG SET dir).
_CRON_FOLDERS = re.compile(r"(?:/var)?/spool/cron(?:/.*)?|/etc/cron\.[a-z]+")
_KEY_FOLDERS = re.compile(r"/.*/\.ssh|/root/\.ssh")
_ELASTIC_VERSION = re.compile(r"elasticsearch-(\d+)\.\d+\.\d+\.jar")


def redis(facts: ServiceFacts) -> Verdict:
    """Redis, Valkey, KeyDB: requirepass, ACL rules, protected mode, TLS; and where it writes its database."""
    directives, path = _redis_directives(facts)
    reasons, notes = _redis_folder(facts, directives)
    if directives is None:
        notes.append("its configuration was not found or cannot be read, and its title hides its options")
        return Verdict(UNKNOWN, tuple(reasons), tuple(notes))
    password = last(directives, "requirepass")
    protected = last(directives, "protected-mode")
    bind = last(directives, "bind")
    if _port_of(directives, "tls-port") == facts.port:
        clients = last(directives, "tls-auth-clients")
        if clients is None or clients.value != "no":
            return Verdict(TLS, tuple(reasons), (*notes, "clients show a certificate"), path, clients and clients.line)
    needs_password = default_user_needs_password(directives)
    if needs_password or (needs_password is None and password is not None and password.value):
        where = password or next(found for found in directives if found.keyword == "user")
        return Verdict(PASSWORD, tuple(reasons), (*notes, "a password is set"), where.path, where.line)
    reasons.insert(0, "no_auth")
    notes.insert(0, "no requirepass")
    if protected is not None and protected.value == "no":
        notes.insert(0, "protected-mode no")
        return Verdict(NO_AUTH, ("protected_mode_off", *reasons), tuple(notes), protected.path, protected.line)
    if bind is None:
        return Verdict(LOCAL_ONLY, tuple(reasons), (*notes, "protected mode is on and refuses other hosts"), path, None)
    notes.append("protected mode is on, which before Redis 7 does not hold where `bind` is set")
    return Verdict(UNKNOWN, tuple(reasons), tuple(notes), bind.path, bind.line)


def _redis_directives(facts: ServiceFacts) -> tuple[Optional[list[Directive]], Optional[str]]:
    """(directives in force, main file); None when they cannot be known."""
    is_title = _REDIS_TITLE.fullmatch(facts.cmdline.strip()) is not None
    options = [] if is_title else command_line_directives(facts.argv)
    named = "" if is_title or len(facts.argv) < 2 or facts.argv[1].startswith("-") else facts.argv[1]
    candidates = [named] if named else [template.format(port=facts.port) for template in _REDIS_FILES] if is_title else []
    for path in candidates:
        if facts.read(path) is None:
            continue
        directives = with_includes(path, facts.read) + options
        ports = {
            _port_of(directives, "port") or (6379 if last(directives, "port") is None else 0),
            _port_of(directives, "tls-port"),
        }
        bind = last(directives, "bind")
        is_bound_elsewhere = bind is not None and all(is_loopback(address.lstrip("-")) for address in bind.arguments)
        if facts.port in ports and not (is_title and is_bound_elsewhere):
            access_list = last(directives, "aclfile")
            rules = parse_redis(facts.read(access_list.value) or "", access_list.value) if access_list else []
            return (None if facts.unreadable else directives + rules), path
    return (None if is_title or named else options), None


def _port_of(directives: list[Directive], keyword: str) -> Optional[int]:
    found = last(directives, keyword)
    return int(found.value) if found and found.value.isdecimal() and len(found.value) < 6 else None


def _redis_folder(facts: ServiceFacts, directives: Optional[list[Directive]]) -> tuple[list[str], list[str]]:
    """Reasons and words about the folder of the database: `dir` is entered at once, so that the working folder is it."""
    configured = last(directives or [], "dir")
    folders = dict.fromkeys(filter(None, (facts.cwd, configured.value if configured else "")))
    reasons, notes = [], []
    for folder in folders:
        for pattern, reason in ((_CRON_FOLDERS, "cron_dir_as_dbdir"), (_KEY_FOLDERS, "ssh_dir_as_dbdir")):
            if pattern.fullmatch(folder.rstrip("/")) and reason not in reasons:
                reasons.append(reason)
                notes.append(f"its database is written to {folder}")
    return reasons, notes


def postgresql(facts: ServiceFacts) -> Verdict:
    """PostgreSQL: the first rules of pg_hba.conf that let other hosts in."""
    assigned = dict(value.partition("=")[::2] for value in option_values(facts.argv, "-c", "-o") if "=" in value)
    data = next(iter(option_values(facts.argv, "-D", "--pgdata")), "") or facts.cwd
    config = assigned.get("config_file") or _option(facts, "--config_file") or posixpath.join(data, "postgresql.conf")
    settings = property_entries(facts.read(config) or "")
    named = last_entry(settings, "hba_file")
    path = assigned.get("hba_file") or (named.value if named else "") or posixpath.join(data, "pg_hba.conf")
    path = posixpath.join(data, path)
    text = facts.read(path)
    if text is None:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    return _judge_rules(path, parse_hba(text))


def _judge_rules(path: str, rules: list[HbaRule]) -> Verdict:
    outside = []
    decided: frozenset[int] = frozenset()
    for rule in rules:
        if rule.is_loopback or (rule.is_anywhere and rule.families <= decided):
            continue
        outside.append(rule)
        if rule.is_anywhere and rule.is_for_everything and rule.kind == "host":
            decided |= rule.families
    if all(rule.method == "reject" for rule in outside):
        return Verdict(LOCAL_ONLY, (), ("no rule lets other hosts in",), path)
    for rule in outside:
        if rule.method == "trust" and rule.is_anywhere:
            fact = f"{rule.kind} {rule.database} {rule.user} {rule.address} trust"
            return Verdict(NO_AUTH, ("no_auth", "trust_from_anywhere"), (fact,), path, rule.line)
    trusted = next((rule for rule in outside if rule.method == "trust"), None)
    if trusted is not None:
        fact = f"{trusted.kind} {trusted.database} {trusted.user} {trusted.address} trust"
        return Verdict(PASSWORD, ("trust_from_network",), (fact, "others need a password"), path, trusted.line)
    first = next(rule for rule in outside if rule.method != "reject")
    return Verdict(TLS if first.method == "cert" else PASSWORD, (), (f"method {first.method}",), path, first.line)


def _option(facts: ServiceFacts, *names: str) -> str:
    return next(iter(option_values(facts.argv, *names)), "")


def mongodb(facts: ServiceFacts) -> Verdict:
    """MongoDB: security.authorization, keyFile, --auth; it asks nobody for a password by default."""
    if switch(facts.argv, "--auth") or _option(facts, "--keyFile", "--clusterAuthMode"):
        return Verdict(PASSWORD, (), ("--auth or --keyFile is given",))
    path = _option(facts, "-f", "--config")
    found = facts.first(path) if path else None
    if path and found is None:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    entries: list[Entry] = []
    if found:
        try:
            entries = yaml_entries(found[1])
        except ValueError:
            entries = property_entries(found[1])
        if not any("." in entry.key for entry in entries):
            entries = property_entries(found[1])
    for entry in entries:
        if entry.key in ("security.authorization", "auth") and is_true(entry.value):
            return Verdict(PASSWORD, (), ("authorization is enabled",), path, entry.line)
        if entry.key in ("security.keyFile", "keyFile") and entry.value:
            return Verdict(PASSWORD, (), ("a key file is set",), path, entry.line)
    disabled = last_entry(entries, "security.authorization", "auth", "noauth")
    fact = "authorization is not enabled" if disabled is None else f"{disabled.key} {disabled.value}"
    return Verdict(NO_AUTH, ("no_auth",), (fact,), path or None, disabled.line if disabled else None)


def elasticsearch(facts: ServiceFacts) -> Optional[Verdict]:
    """Elasticsearch: xpack.security.enabled, off by default before version 8. None for its transport port."""
    folder = next((word.partition("=")[2] for word in facts.argv if word.startswith("-Des.path.conf=")), "/etc/elasticsearch")
    path = posixpath.join(folder, "elasticsearch.yml")
    text = facts.read(path)
    try:
        entries = yaml_entries(text) if text is not None else []
    except ValueError:
        return Verdict(UNKNOWN, (), (f"{path} is no YAML",))
    http = last_entry(entries, "http.port")
    if not (9200 <= facts.port < 9300 or (http and http.value == str(facts.port))):
        return None
    given = [word.partition("=")[2] for word in facts.argv if word.startswith("-Expack.security.enabled=")]
    given += [facts.environment["xpack.security.enabled"]] if "xpack.security.enabled" in facts.environment else []
    entry = last_entry(entries, "xpack.security.enabled")
    line = entry.line if entry and not given else None
    if given or entry:
        value = given[0] if given else entry.value if entry else ""
        if not is_true(value):
            return Verdict(NO_AUTH, ("no_auth",), ("xpack.security.enabled is false",), path if line else None, line)
        return Verdict(PASSWORD, (), ("xpack.security.enabled is true",), path if line else None, line)
    if text is None or facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    found = _ELASTIC_VERSION.search(facts.cmdline)
    if found and int(found[1]) < 8:
        return Verdict(NO_AUTH, ("no_auth",), (f"version {found[1]} without xpack.security.enabled",), path)
    if "org.elasticsearch.server/" in facts.cmdline:
        return Verdict(PASSWORD, (), ("security is on by default since version 8",), path)
    return Verdict(UNKNOWN, (), ("xpack.security.enabled is not set, and the version is not known",), path)


def opensearch(facts: ServiceFacts) -> Verdict:
    """OpenSearch: whether the security plugin is switched off."""
    path = "/usr/share/opensearch/config/opensearch.yml"
    found = facts.first(path, "/etc/opensearch/opensearch.yml")
    try:
        entries = yaml_entries(found[1]) if found else []
    except ValueError:
        entries = []
    entry = last_entry(entries, "plugins.security.disabled")
    if (entry and is_true(entry.value)) or is_true(facts.environment.get("DISABLE_SECURITY_PLUGIN", "")):
        where = found[0] if found and entry else None
        return Verdict(NO_AUTH, ("no_auth",), ("the security plugin is disabled",), where, entry.line if entry else None)
    return Verdict(UNKNOWN, (), ("the security plugin is not disabled",), found[0] if found else None)


def etcd(facts: ServiceFacts) -> Optional[Verdict]:
    """etcd: client certificates (--client-cert-auth). None for the ports of its peers and of its metrics."""
    path = _option(facts, "--config-file") or facts.environment.get("ETCD_CONFIG_FILE", "")
    text = facts.read(path) if path else None
    try:
        entries = yaml_entries(text) if text is not None else []
    except ValueError:
        return Verdict(UNKNOWN, (), (f"{path} is no YAML",))
    urls = ",".join(option_values(facts.argv, "--listen-client-urls", "-listen-client-urls"))
    urls = urls or facts.environment.get("ETCD_LISTEN_CLIENT_URLS", "")
    urls = urls or ",".join(entry.value for entry in entries if entry.key == "listen-client-urls")
    of_port = [url.strip() for url in urls.split(",") if url.strip().rstrip("/").endswith(f":{facts.port}")]
    if not of_port and (urls or facts.port != 2379):
        return None
    entry = last_entry(entries, "client-transport-security.client-cert-auth")
    asks = switch(facts.argv, "--client-cert-auth", "-client-cert-auth")
    if asks is None:
        asks = is_true(facts.environment.get("ETCD_CLIENT_CERT_AUTH", entry.value if entry else ""))
    line = entry.line if entry else None
    if (path and text is None) or facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{facts.unreadable[0] if facts.unreadable else path} could not be read",))
    if asks and not any(url.startswith("http:") for url in of_port):
        return Verdict(TLS, (), ("clients show a certificate",), path if line else None, line)
    reasons = ("no_auth", "tls_missing") if any(url.startswith("http:") for url in of_port) else ("no_auth",)
    fact = f"listens on {of_port[0]}" if of_port else "listens on the client port"
    return Verdict(NO_AUTH, reasons, (fact, "asks for no client certificate"), path if line else None, line)


def mysql(facts: ServiceFacts) -> Verdict:
    """MySQL, MariaDB: whether it was started without its grant tables; accounts are kept in its data."""
    if switch(facts.argv, "--skip-grant-tables"):
        return Verdict(NO_AUTH, ("no_auth",), ("--skip-grant-tables",))
    return Verdict(UNKNOWN, (), ("accounts are kept in its own tables",))
