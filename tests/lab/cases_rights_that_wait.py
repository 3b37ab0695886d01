"""Rights that wait for their owner's return: setuid, capabilities, groups, homes, PAM, doas, and histories that keep nothing."""

from __future__ import annotations

import os
import struct

from tests.lab.case import case
from tests.lab.programs import elf
from tests.lab.room import Planted, Room

# include/uapi/linux/capability.h: VFS_CAP_REVISION_2 with its effective bit; permitted and inheritable sets, twice 32 bits.
_REVISION_2, _EFFECTIVE = 0x02000000, 1
_SETUID, _NET_RAW = 1 << 7, 1 << 13


def _with_capability(path: str, bits: int) -> str:
    os.setxattr(path, "security.capability", struct.pack("<IIIII", _REVISION_2 | _EFFECTIVE, bits, 0, 0, 0))
    return path


@case(17, setuid_interpreter="path")
def setuid_shell_among_own_tools(room: Room) -> Planted:
    """a copy of a shell with the setuid bit in /usr/local/bin."""
    return {"path": room.program("/usr/local/bin/zsh", mode=0o4755)}


@setuid_shell_among_own_tools.twin
def _(room: Room) -> Planted:
    """a packaged program with the setuid bit."""
    return {"path": room.program("/usr/bin/labsudo", mode=0o4755)}


@case(17, unpackaged_setuid_program="path")
def setuid_program_of_nobodys(room: Room) -> Planted:
    """a setuid program of nobody's in /usr/local/sbin."""
    return {"path": room.program("/usr/local/sbin/labmount", mode=0o4755)}


@setuid_program_of_nobodys.twin
def _(room: Room) -> Planted:
    """a program of nobody's that is setuid to an ordinary account."""
    path = room.program("/usr/local/sbin/labgame")
    os.chown(path, 5, 60)
    os.chmod(path, 0o4755)
    return {"path": path}


@case(17, dangerous_file_capability="path")
def capability_to_become_root(room: Room) -> Planted:
    """an interpreter that may become root by a capability."""
    return {"path": _with_capability(room.program("/usr/local/bin/python3.99"), _SETUID)}


@capability_to_become_root.twin
def _(room: Room) -> Planted:
    """a ping of the site's own that may use raw sockets."""
    return {"path": _with_capability(room.program("/usr/local/bin/labping"), _NET_RAW)}


@case(13, account_with_roots_group_or_home="username")
def account_in_roots_home(room: Room) -> Planted:
    """an account that can log in and lives in /root."""
    room.append("/etc/passwd", "labsysd:x:4242:4242::/root:/bin/bash")
    return {"username": "labsysd"}


@account_in_roots_home.twin
def _(room: Room) -> Planted:
    """EL's operator, which is in root's group and cannot log in."""
    room.append("/etc/passwd", "laboperator:x:11011:0:operator:/root:/sbin/nologin")
    return {"username": "laboperator"}


@case(13, pam_accepts_anyone="path")
def pam_lets_anyone_in(room: Room) -> Planted:
    """a PAM service that accepts any password."""
    return {"path": room.write("/etc/pam.d/lab-sshd", "auth sufficient pam_permit.so\nauth required pam_deny.so\n")}


@pam_lets_anyone_in.twin
def _(room: Room) -> Planted:
    """the order of modules in Debian's common-auth."""
    text = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
    return {"path": room.write("/etc/pam.d/lab-common", text)}


@case(13, root_rights_for_everybody="path")
def polkit_says_yes(room: Room) -> Planted:
    """a polkit rule that allows everybody everything."""
    rule = "polkit.addRule(function(action, subject) {\n  return polkit.Result.YES;\n});\n"
    return {"path": room.write("/etc/polkit-1/rules.d/49-lab.rules", rule)}


@polkit_says_yes.twin
def _(room: Room) -> Planted:
    """a polkit rule that lets one group manage networks."""
    rule = (
        'polkit.addRule(function(action, subject) {\n  if (action.id.indexOf("org.freedesktop.NetworkManager.") == 0 && '
        'subject.isInGroup("netdev")) {\n    return polkit.Result.YES;\n  }\n});\n'
    )
    return {"path": room.write("/etc/polkit-1/rules.d/50-lab-net.rules", rule)}


@case(17, shell_history_switched_off="path")
def history_leads_nowhere(room: Room) -> Planted:
    """root's shell history as a link to /dev/null."""
    return {"path": room.link("/dev/null", "/root/.bash_history")}


@history_leads_nowhere.twin
def _(room: Room) -> Planted:
    """root's shell history, and a history of another tool that is a link."""
    room.link("/root/.config/lab_history", "/root/.lesshst")
    return {"path": room.write("/root/.bash_history", "ls\nuptime\n", 0o600)}


@case(11, unowned_boot_module="path")
def module_that_boots(room: Room) -> Planted:
    """a module of nobody's, among packaged ones, that every boot loads."""
    folder = "/usr/lib/modules/6.1.0-lab"
    paths = [room.write(f"{folder}/kernel/net/{name}.ko", elf(), 0o644) for name in ("labnet", "labsync")]
    room.package("linux-image-lab", paths[0])
    room.write(f"{folder}/modules.dep", "kernel/net/labnet.ko:\nkernel/net/labsync.ko:\n")
    room.write("/etc/modules-load.d/sync.conf", "labsync\n")
    return {"path": "/lib/modules/6.1.0-lab/kernel/net/labsync.ko", "module": "labsync"}


@module_that_boots.twin
def _(room: Room) -> Planted:
    """a packaged module, one that DKMS built, and one that is installed nowhere."""
    folder = "/usr/lib/modules/6.1.0-twin"
    packaged = room.write(f"{folder}/kernel/net/twinnet.ko", elf(), 0o644)
    built = room.write(f"{folder}/updates/dkms/zfslab.ko", elf(), 0o644)
    room.package("linux-image-twin", packaged)
    room.write("/var/lib/dkms/zfslab/2.1/6.1.0-twin/x86_64/module/zfslab.ko", elf(), 0o644)
    room.link("2.1/6.1.0-twin/x86_64", "/var/lib/dkms/zfslab/kernel-6.1.0-twin-x86_64")
    room.write(f"{folder}/modules.dep", "kernel/net/twinnet.ko:\nupdates/dkms/zfslab.ko:\n")
    room.write("/etc/modules-load.d/twin.conf", "twinnet\nzfslab\nloop\n")
    return {"path": (packaged, built), "module": ("twinnet", "zfslab")}


@case(13, pam_accepts_anyone="path")
def pam_takes_every_account(room: Room) -> Planted:
    """a PAM service for which it is enough to be an account."""
    return {"path": room.write("/etc/pam.d/lab-login", "auth sufficient pam_succeed_if.so uid >= 0\nauth required pam_deny.so\n")}


@pam_takes_every_account.twin
def _(room: Room) -> Planted:
    """what EL has between its modules, after a password."""
    text = "auth sufficient pam_unix.so\nauth requisite pam_succeed_if.so uid >= 1000 quiet_success\nauth required pam_deny.so\n"
    return {"path": room.write("/etc/pam.d/lab-system-auth", text)}
