"""Which columns of the pack's results the fleet view reads in the engine, and what of an inventory is stacked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# Texts, '' where a query has no such column.
COLUMNS = (
    "path",
    "command",
    "cmdline",
    "exe_path",
    "program_path",
    "package",
    "program_package",
    "sha256",
    "exe_sha256",
    "fingerprint",
    "comment",
    "username",
    "account_uid",
    "shell",
    "unit",
    "directive",
    "mechanism",
    "trigger",
    "schedule",
    "scheduler",
    "run_as",
    "restart",
    "module",
    "image",
    "image_digest",
    "container_id",
    "process_name",
    "service",
    "port",
    "address",
    "local_address",
    "remote_address",
    "remote",
    "logged_in_at",
    "first_success",
    "last_success",
    "reasons",
    "program_reasons",
    "unit_reasons",
    "shadows",
    "failed_query",
    "query_name",
    "why",
    "version",
    "is_masked",
    "enabled",
)
# Of these queries, of which every connection of every host is another row, no other columns are read.
NARROW = {"tcp_connections": ("local_address", "remote_address")}
# What sites decorate results with, of what is read: of which kind a host is, and by what addresses it is reached.
ROLES = ("role", "team", "platform")
ADDRESSES = ("ip", "ip_address", "primary_ip", "address")
DECORATIONS = ("host_uuid", "hostname", "minehunt_version", "user", *ROLES, *ADDRESSES)
# The table of results that a warehouse has: a line for each logged row (dist/warehouse/README.md).
RAW = {
    "host": "string", "query": "string", "epoch": "int64", "counter": "int64", "unix_time": "int64", "action": "string",
    "row_key": "string", "columns": "map<string, string>",
}  # fmt: skip


class Stack(NamedTuple):
    """What makes two rows of an inventory the same thing on two hosts.

    `key` is normalised, `exact` is not; `program` is the column of the program behind it, `package` that of whose file it is.
    """

    kind: str
    key: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    program: str = ""
    package: str = ""


STACKS: Mapping[str, Stack] = {
    "cron_jobs": Stack("job", ("command",), ("scheduler",), "program_path", "program_package"),
    "cron_files": Stack("job file", ("path",), (), "path", "package"),
    "systemd_units": Stack("unit", ("unit", "command"), (), "program_path", "program_package"),
    "unit_files": Stack("unit file", ("path",), (), "path", "package"),
    "startup_commands": Stack("start-up command", ("command",), ("mechanism",), "program_path", "program_package"),
    "startup_files": Stack("start-up file", ("path",), (), "path", ""),
    "rc_local_commands_present": Stack("rc.local", ("command",), (), "program_path", "program_package"),
    "accounts": Stack("account", (), ("username", "shell")),
    "authorized_keys": Stack("key", (), ("fingerprint",)),
    "setuid_files": Stack("setuid file", ("path",), (), "path", "package"),
    "kernel_modules": Stack("kernel module", (), ("module",)),
    "reachable_entry_services": Stack("listening service", ("process_name",), ("service", "port"), "exe_path", "package"),
    "open_ports": Stack("listening port", ("exe_path",), ("port",), "exe_path", ""),
}
# Of an inventory that is not among these, whichever of these columns it has.
ANY_STACK = Stack("", ("image", "path", "command"), ("module", "fingerprint", "username"), "program_path", "package")
# Columns of which the texts are compared without what differs from host to host.
NORMALISED = ("cmdline", "command", "image", "path", "process_name", "exe_path", "unit")
# Things that hosts of one campaign share, by the columns that have them.
SHARED = {
    "hash": ("sha256", "exe_sha256"),
    "key": ("fingerprint",),
    "command": ("command", "cmdline"),
    "file": ("program_path", "exe_path", "path"),
    "address": ("remote_address",),
    "image": ("image", "image_digest"),
    "module": ("module",),
    "unit": ("unit",),
}
