"""What the kernel's packet filters do with incoming packets: nftables over netlink, and the older ip_tables."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from tables.host import Host
from tables.host.disk.files import Unreadable

# include/uapi/linux/netlink.h and linux/netfilter/nf_tables.h.
_NETLINK_NETFILTER = 12
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SUBSYSTEM = 10
_GET_CHAIN, _GET_RULE = _SUBSYSTEM << 8 | 4, _SUBSYSTEM << 8 | 7
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _HOOK_NUMBER = 1, 3, 4, 5, 1
_RULE_TABLE, _RULE_CHAIN = 1, 2
_NF_DROP, _LOCAL_IN = 0, 1
_FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}
_TYPE_MASK = 0x3FFF
# include/uapi/linux/netfilter_ipv4/ip_tables.h and netfilter_ipv6/ip6_tables.h.
_SO_GET_INFO = 64
_INFO = struct.Struct("=32s13I")
_OLD_TABLES = (
    ("ip", "ip_tables_names", socket.AF_INET, socket.IPPROTO_IP),
    ("ip6", "ip6_tables_names", socket.AF_INET6, socket.IPPROTO_IPV6),
)
_MAX_MESSAGES = 200_000
_TIMEOUT = 5.0


class InputChain(NamedTuple):
    """A chain that incoming packets pass: its family (ip, ip6, inet), table, name, how many rules, whether the rest is dropped.

    Of ip_tables it is only known whether there are rules (0 or 1), not what becomes of the rest (`drops` is False).
    """

    family: str
    table: str
    chain: str
    rules: int
    drops: bool


def input_chains(host: Host) -> list[InputChain]:
    """The chains of our network namespace that incoming packets pass, of nftables and of the older ip_tables.

    Only what is loaded already is asked, because asking would load it. OSError without the rights of root. Filters made of
    BPF programs are not seen.
    """
    found = _nftables() if _is_loaded(host, "nf_tables") else []
    for family, names, address_family, level in _OLD_TABLES:
        if b"filter" in _table_names(host, names):
            found.append(_old_filter(family, address_family, level))
    return found


def _table_names(host: Host, names: str) -> list[bytes]:
    """The tables of ip_tables that are loaded; root alone may ask."""
    try:
        return host.truth.read(f"self/net/{names}").split()
    except FileNotFoundError:
        return []


def _is_loaded(host: Host, module: str) -> bool:
    modules = host.truth.try_read("modules", 1 << 20)
    # A kernel without module support cannot load anything.
    if modules is None or b"\n%b " % module.encode() in b"\n" + modules:
        return True
    try:
        built_in = host.files.read(f"/lib/modules/{os.uname().release}/modules.builtin")
    except Unreadable:
        return False
    return f"/{module}.ko".encode() in built_in


def _nftables() -> list[InputChain]:
    rules: dict[tuple[int, bytes, bytes], int] = {}
    for family, attributes in _dump(_GET_RULE):
        key = family, attributes.get(_RULE_TABLE, b""), attributes.get(_RULE_CHAIN, b"")
        rules[key] = rules.get(key, 0) + 1
    chains = []
    for family, attributes in _dump(_GET_CHAIN):
        hook = dict(parse_attributes(attributes.get(_CHAIN_HOOK, b""))).get(_HOOK_NUMBER, b"")
        if family not in _FAMILIES or len(hook) != 4 or struct.unpack(">I", hook)[0] != _LOCAL_IN:
            continue
        table, chain = attributes.get(_CHAIN_TABLE, b""), attributes.get(_CHAIN_NAME, b"")
        policy = attributes.get(_CHAIN_POLICY, b"")
        drops = len(policy) == 4 and struct.unpack(">I", policy)[0] == _NF_DROP
        chains.append(InputChain(_FAMILIES[family], _text(table), _text(chain), rules.get((family, table, chain), 0), drops))
    return chains


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode("utf-8", "replace")


def parse_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of the netlink attributes in `data`; what is damaged ends it."""
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4 or position + length > len(data):
            return
        yield kind & _TYPE_MASK, data[position + 4 : position + length]
        position += (length + 3) & ~3


def _dump(request: int) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Yield (family, attributes) of every object that a dump request brings."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as link:
        link.settimeout(_TIMEOUT)
        link.bind((0, 0))
        # struct nlmsghdr, then struct nfgenmsg of the unspecified family.
        link.send(struct.pack("=IHHII", 20, request, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + struct.pack("=BBH", 0, 0, 0))
        for _ in range(_MAX_MESSAGES):
            data = link.recv(1 << 18)
            position = 0
            while position + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, position)
                payload = data[position + 16 : position + length]
                if kind == _NLMSG_DONE or length < 16:
                    return
                if kind == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, f"nftables: {os.strerror(number)}")
                yield payload[0], dict(parse_attributes(payload[4:]))
                position += (length + 3) & ~3
    raise OSError(0, "nftables: too many rules")


def _old_filter(family: str, address_family: int, level: int) -> InputChain:
    """The INPUT chain of ip_tables' filter table; its rules lie between its hook entry and its underflow."""
    with socket.socket(address_family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as raw:
        numbers = _INFO.unpack(_get_info(raw, level))
    hook_entry, underflow = numbers[2 : 2 + 5], numbers[7 : 7 + 5]
    has_rules = underflow[_LOCAL_IN] > hook_entry[_LOCAL_IN]
    return InputChain(family, "filter", "INPUT", int(has_rules), False)


def _get_info(raw: socket.socket, level: int) -> bytes:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(b"filter".ljust(_INFO.size, b"\0"), _INFO.size)
    length = ctypes.c_uint32(_INFO.size)
    # Python's getsockopt passes no input, and the table's name is one.
    if libc.getsockopt(raw.fileno(), level, _SO_GET_INFO, buffer, ctypes.byref(length)):
        number = ctypes.get_errno()
        raise OSError(number, f"ip_tables: {os.strerror(number)}")
    return buffer.raw
