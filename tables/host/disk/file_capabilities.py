"""Capabilities that a program file brings along: the extended attribute security.capability (capabilities(7))."""

from __future__ import annotations

import struct
from typing import Optional

ATTRIBUTE = "security.capability"
# include/uapi/linux/capability.h, by number.
_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
    "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
    "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend",
    "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip
_REVISION_MASK = 0xFF00_0000
_EFFECTIVE = 1
# Revision: how many pairs of 32-bit sets follow, and whether the user namespace's root id comes after them.
_REVISIONS = {0x0100_0000: (1, False), 0x0200_0000: (2, False), 0x0300_0000: (2, True)}


def capability_text(data: bytes) -> Optional[str]:
    """The capabilities in an attribute's value as getcap(8) writes them (`cap_net_raw=ep`); None when it is malformed.

    `all` stands for all known ones; ` [rootid=N]` follows when they count only below a user namespace's root.
    """
    if len(data) < 4:
        return None
    (magic,) = struct.unpack_from("<I", data)
    pairs, has_root = _REVISIONS.get(magic & _REVISION_MASK, (0, False))
    if not pairs or len(data) != 4 + 8 * pairs + 4 * has_root:
        return None
    words = struct.unpack_from(f"<{2 * pairs + has_root}I", data, 4)
    permitted = sum(word << 32 * number for number, word in enumerate(words[: 2 * pairs : 2]))
    inheritable = sum(word << 32 * number for number, word in enumerate(words[1 : 2 * pairs : 2]))
    effective = (permitted | inheritable) if magic & _EFFECTIVE else 0
    by_flags: dict[str, list[int]] = {}
    for number in range(32 * pairs):
        sets = (("e", effective), ("i", inheritable), ("p", permitted))
        flags = "".join(letter for letter, bits in sets if bits >> number & 1)
        if flags:
            by_flags.setdefault(flags, []).append(number)
    text = " ".join(f"{_names(numbers)}={flags}" for flags, numbers in sorted(by_flags.items())) or "="
    return f"{text} [rootid={words[-1]}]" if has_root and words[-1] else text


def _names(numbers: list[int]) -> str:
    if set(range(len(_NAMES))) <= set(numbers):
        return "all"
    return ",".join(f"cap_{_NAMES[number]}" if number < len(_NAMES) else f"cap_{number}" for number in numbers)
