"""Commands that the settings of services have them start: agents' checks, tunnels' hooks, mail's pipes, databases' archives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.startup.entries import NAME, SCRIPT, StartupEntry, StartupFiles
from tables.text.lines import unquoted

MECHANISM = "service_hook"


class _Hook(NamedTuple):
    """One kind of settings: files, folders of files that end so, and what a line must be; the last group is the command."""

    trigger: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    endings: tuple[str, ...]
    line: re.Pattern[str]
    run_as: Optional[str] = "root"
    is_library: bool = False


# snmpd.conf(5), Zabbix's UserParameter, openvpn(8), aliases(5), redis.conf, auditd-plugins(5), jail.conf(5).
_HOOKS = (
    _Hook(
        "SNMP query", ("/etc/snmp/snmpd.conf", "/usr/share/snmp/snmpd.conf"), ("/etc/snmp/snmpd.conf.d",), (".conf",),
        re.compile(r"[ \t]*(?:extend(?:-sh)?|exec(?:fix)?|sh|pass(?:_persist)?)[ \t]+(?:[^/\s]\S*[ \t]+){1,2}(/.*)"), None,
    ),
    _Hook(
        "check", ("/etc/zabbix/zabbix_agentd.conf", "/etc/zabbix/zabbix_agent2.conf"),
        ("/etc/zabbix/zabbix_agentd.d", "/etc/zabbix/zabbix_agentd.conf.d", "/etc/zabbix/zabbix_agent2.d"), (".conf",),
        re.compile(r"[ \t]*UserParameter[ \t]*=[^,]{1,256},[ \t]*(\S.*)"), "zabbix",
    ),
    _Hook(
        "tunnel", (), ("/etc/openvpn", "/etc/openvpn/client", "/etc/openvpn/server"), (".conf", ".ovpn"),
        re.compile(
            r"[ \t]*(?:up|down|route-up|route-pre-down|client-connect|client-disconnect|learn-address|auth-user-pass-verify"
            r"|tls-verify|ipchange)[ \t]+(\S.*)"
        ),
    ),
    _Hook(
        "mail", ("/etc/aliases", "/etc/mail/aliases", "/etc/postfix/aliases"), (), (),
        re.compile(r"[^#:\s][^:]{0,256}:(?:[^|\n]{0,512}[,\s])?[ \t]*[\"']?\|[ \t]*[\"']?([^\"'\n]+)"), None,
    ),
    _Hook(
        "server start", ("/etc/redis/redis.conf", "/etc/redis.conf", "/etc/valkey/valkey.conf"), (), (),
        re.compile(r"[ \t]*loadmodule[ \t]+(/\S+)"), None, is_library=True,
    ),
    _Hook(
        "audit event", (), ("/etc/audit/plugins.d", "/etc/audisp/plugins.d"), (".conf",),
        re.compile(r"path[ \t]*=[ \t]*(/\S+)"),
    ),
    _Hook(
        "ban", ("/etc/fail2ban/jail.local",), ("/etc/fail2ban/action.d",), (".local",),
        re.compile(r"action(?:start|stop|check|ban|unban)[ \t]*=[ \t]*(\S.*)"),
    ),
)  # fmt: skip
_POSTGRESQL = re.compile(
    r"[ \t]*(?:archive_command|restore_command|archive_cleanup_command|recovery_end_command|ssl_passphrase_command)"
    r"(?:[ \t]*=)?[ \t]*'((?:[^']|'')+)'"
)
_POSTGRESQL_DATA = ("/var/lib/pgsql/data/postgresql.conf", "/var/lib/postgres/data/postgresql.conf")
# forward(5), procmailrc(5).
_HOME_PIPES = {
    ".forward": re.compile(r"[\"']?\|[ \t]*[\"']?([^\"'\n]+)"),
    ".procmailrc": re.compile(r"\|[ \t]*(\S.*)"),
}
_TOMCAT = re.compile(r"(?:apache-)?tomcat[\d.-]*")
_TOMCAT_PLACES = ("/usr/share", "/opt", "/usr/local", "/var/lib")
# cloud-init's scripts-per-boot and the like run every file that may be executed.
_CLOUD_INIT = tuple(f"/var/lib/cloud/scripts/per-{when}" for when in ("boot", "instance", "once"))
_CLOUD_CONFIG = ("/etc/cloud/cloud.cfg", "/var/lib/cloud/seed/nocloud/user-data", "/var/lib/cloud/seed/nocloud-net/user-data")
_CLOUD_LIST = re.compile(r"(?:runcmd|bootcmd):[ \t]*(?:#.*)?")
_CLOUD_ITEM = re.compile(r"[ \t]*-[ \t]+(\S.*)")


def service_hooks(source: StartupFiles) -> Iterator[StartupEntry]:
    """The commands of services' settings, each with its line; libraries that redis loads as such."""
    for hook in _HOOKS:
        listed = [path for folder in hook.folders for path in source.paths(folder) if path.endswith(hook.endings)]
        for file in source.read_each([*hook.files, *listed]):
            for number, line in enumerate(file.text.split("\n"), 1):
                match = hook.line.match(line)
                if match:
                    command = unquoted(match[1].strip())
                    entry = StartupEntry(MECHANISM, hook.trigger, file, number, command, run_as=hook.run_as)
                    yield entry._replace(kind=NAME, program=command) if hook.is_library else entry
    yield from _postgresql(source)
    yield from _mail_of_homes(source)
    yield from _cloud_init(source)
    for place in _TOMCAT_PLACES:
        homes = [name for name in source.names(place) if _TOMCAT.fullmatch(name)]
        for file in source.read_each(f"{place}/{name}/bin/setenv.sh" for name in homes):
            yield StartupEntry(MECHANISM, "server start", file, 0, file.path, SCRIPT, "tomcat")


def _postgresql(source: StartupFiles) -> Iterator[StartupEntry]:
    clusters = [f"{version}/{name}" for version in source.paths("/etc/postgresql") for name in source.names(version)]
    for file in source.read_each([*_POSTGRESQL_DATA, *(f"{cluster}/postgresql.conf" for cluster in clusters)]):
        for number, line in enumerate(file.text.split("\n"), 1):
            match = _POSTGRESQL.match(line)
            if match:
                yield StartupEntry(MECHANISM, "archive", file, number, match[1].replace("''", "'"), run_as="postgres")


def _mail_of_homes(source: StartupFiles) -> Iterator[StartupEntry]:
    for found in source.below_homes(_HOME_PIPES):
        lines = enumerate(found.file.text.split("\n"), 1)
        matches = ((number, _HOME_PIPES[found.path].match(line.strip())) for number, line in lines)
        for number, match in source.first(((number, match) for number, match in matches if match), found.file):
            account = found.account
            yield StartupEntry(MECHANISM, "mail", found.file, number, match[1].strip(), run_as=account.name, home=account.home)


def _cloud_init(source: StartupFiles) -> Iterator[StartupEntry]:
    for file in source.in_folders(_CLOUD_INIT, ""):
        why = None if file.status.st_mode & 0o111 else "not executable"
        yield StartupEntry(MECHANISM, "boot", file, 0, file.path, SCRIPT, "root", why)
    listed = [path for path in source.paths("/etc/cloud/cloud.cfg.d") if path.endswith(".cfg")]
    for file in source.read_each([*_CLOUD_CONFIG, *listed]):
        for number, command in parse_cloud_config(file.text):
            yield StartupEntry(MECHANISM, "first boot", file, number, command, run_as="root")


def parse_cloud_config(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command) of each item of cloud-config's runcmd and bootcmd, lists of words as one command."""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith((" ", "\t", "-")):
            inside = _CLOUD_LIST.fullmatch(line) is not None
            continue
        match = _CLOUD_ITEM.match(line) if inside else None
        if match:
            item = match[1].strip()
            is_list = item.startswith("[") and item.endswith("]")
            yield number, " ".join(unquoted(word.strip()) for word in item[1:-1].split(",")) if is_list else unquoted(item)
