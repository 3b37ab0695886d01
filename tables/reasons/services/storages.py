"""How stores of objects and messages let clients in: image registries, MinIO, ClickHouse, RabbitMQ."""

from __future__ import annotations

import re

from tables.host.services.settings import is_true, last, property_entries, yaml_entries
from tables.reasons.services.facts import NO_AUTH, PASSWORD, UNKNOWN, ServiceFacts, Verdict

_MINIO_DEFAULT = "minioadmin"
_NO_PASSWORD = re.compile(r"<password\s*(?:/>|>\s*</password>)|<no_password\s*/?>")
_ANY_PASSWORD = re.compile(r"<password(?:_sha256_hex|_double_sha1_hex)?>\s*[^<\s]|<(?:ldap|kerberos)\b")


def registry(facts: ServiceFacts) -> Verdict:
    """An image registry (distribution): its configuration's `auth`; without, everybody may push images."""
    if any(name.startswith("REGISTRY_AUTH") and value for name, value in facts.environment.items()):
        return Verdict(PASSWORD, (), ("REGISTRY_AUTH is set",))
    path = next((word for word in facts.argv[1:] if word.endswith((".yml", ".yaml"))), "")
    path = path or facts.environment.get("REGISTRY_CONFIGURATION_PATH", "") or "/etc/docker/registry/config.yml"
    text = facts.read(path)
    if text is None:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    try:
        entries = yaml_entries(text)
    except ValueError:
        return Verdict(UNKNOWN, (), (f"{path} is no YAML",))
    entry = next((entry for entry in entries if entry.key.startswith("auth.")), None)
    if entry:
        return Verdict(PASSWORD, (), (f"{entry.key} is set",), path, entry.line)
    return Verdict(NO_AUTH, ("no_auth",), ("auth is not set: everybody may push images",), path)


def minio(facts: ServiceFacts) -> Verdict:
    """MinIO: the password of its root user, which is known where none was set."""
    path = facts.environment.get("MINIO_CONFIG_ENV_FILE", "") or "/etc/default/minio"
    entries = property_entries(facts.read(path) or "")
    entry = last(entries, "MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY")
    names = ("MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY")
    given = next((facts.environment[name] for name in names if facts.environment.get(name)), entry.value if entry else "")
    has_file = any(facts.environment.get(f"{name}_FILE") for name in names)
    if facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{facts.unreadable[0]} could not be read",))
    if has_file or (given and given != _MINIO_DEFAULT):
        return Verdict(PASSWORD, (), ("a password is set",), path if entry else None, entry.line if entry else None)
    return Verdict(
        NO_AUTH,
        ("no_auth", "default_password"),
        ("its root user has the password that everybody knows",),
        path if entry else None,
    )


def clickhouse(facts: ServiceFacts) -> Verdict:
    """ClickHouse: whether the user `default` has a password."""
    if facts.environment.get("CLICKHOUSE_PASSWORD") or facts.environment.get("CLICKHOUSE_PASSWORD_FILE"):
        return Verdict(PASSWORD, (), ("CLICKHOUSE_PASSWORD is set",))
    for path in ("/etc/clickhouse-server/users.d/default-password.xml", "/etc/clickhouse-server/users.d/default-user.xml"):
        text = facts.read(path)
        if text is not None and _ANY_PASSWORD.search(text):
            return Verdict(PASSWORD, (), ("the user default has a password",), path)
    path = "/etc/clickhouse-server/users.xml"
    text = facts.read(path)
    if text is None:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    of_default = text.partition("<users>")[2].partition("<default>")[2].partition("</default>")[0]
    if _ANY_PASSWORD.search(of_default):
        return Verdict(PASSWORD, (), ("the user default has a password",), path)
    if _NO_PASSWORD.search(of_default):
        return Verdict(NO_AUTH, ("no_auth",), ("the user default has no password",), path)
    return Verdict(UNKNOWN, (), ("users.xml says nothing of the user default",), path)


def rabbitmq(facts: ServiceFacts) -> Verdict:
    """RabbitMQ: whether guest, whose password everybody knows, may come from other hosts."""
    found = facts.first("/etc/rabbitmq/rabbitmq.conf", "/opt/bitnami/rabbitmq/etc/rabbitmq/rabbitmq.conf")
    if facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{facts.unreadable[0]} could not be read",))
    entries = property_entries(found[1]) if found else []
    guest = last(entries, "loopback_users.guest")
    everybody = last(entries, "loopback_users")
    opened = (guest is not None and not is_true(guest.value)) or (everybody is not None and everybody.value == "none")
    other = last(entries, "default_user", "default_pass") or facts.environment.get("RABBITMQ_DEFAULT_USER")
    entry = guest or everybody
    if opened and not other:
        fact = "guest, whose password everybody knows, may come from other hosts"
        return Verdict(
            NO_AUTH, ("no_auth", "default_password"), (fact,), found[0] if found else None, entry.line if entry else None
        )
    return Verdict(PASSWORD, (), ("guest may come from this host only, or is another user",), found[0] if found else None)
