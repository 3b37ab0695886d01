"""The SSH keys that may log in, wherever sshd looks for them, and what is odd about each of them."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.fair_shares import Shares, in_turn
from tables.host import Host
from tables.host.accounts.databases import groups_by_account, is_login_shell, is_system_uid, parse_group, uid_min
from tables.host.disk.files import Unreadable
from tables.host.disk.network_mounts import NetworkMounts
from tables.host.ssh.key_files import MAX_LINES, KeyFile, KeyPlace, all_values, key_places, named_by, read_key_file
from tables.host.ssh.keys import MAX_LINE, KeyLine
from tables.host.ssh.sshd_config import effective
from tables.host.ssh.sshd_settings import SshdConfig
from tables.indicators.ssh_keys import known_key
from tables.reasons.commands import command_reasons, place_reasons
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.unseen import Unseen

_TABLE = "ssh_key_findings"
_MAX_ROWS = 90_000
# So much of a forced command is judged: text made to be slow takes seconds for each megabyte.
_COMMAND_LIMIT = 64 * 1024
# Accounts that are looked at for one key.
_MAX_HOLDERS = 200
_ACCOUNT_FILE_LIMIT = 16 << 20
_MIN_RSA_BITS = 2048
_CODE_VARIABLES = frozenset({"BASH_ENV", "ENV", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "PERL5OPT", "PYTHONSTARTUP"})


@dataclass(frozen=True)
class SshKeyFinding(Row):
    """One line of one authorized_keys file, for one account, or a setting of sshd that lets keys in from elsewhere."""

    username: Optional[str] = column(TEXT, "account that the key opens; empty for every account")
    kind: str = column(
        TEXT, "key, authority (whoever holds a certificate of it may log in), malformed (a line without a key), or command"
    )
    account_uid: Optional[int] = column(BIGINT, "uid of the account")
    shell: Optional[str] = column(TEXT, "its login shell")
    has_login_shell: Optional[int] = column(BIGINT, "0 if that is nologin, false or the like")
    is_system_account: Optional[int] = column(BIGINT, "1 for uids from 1 to below login.defs' UID_MIN (1000), and for 65534")
    path: str = column(TEXT, "file that holds the key; of a command, sshd's configuration file")
    line: Optional[int] = column(BIGINT, "line of that file")
    named_by: str = column(TEXT, "what makes sshd look there: `path:line keyword`, default, or dropbear")
    is_in_force: int = column(BIGINT, "0 if sshd is told to look elsewhere")
    key_type: Optional[str] = column(TEXT, "ssh-ed25519, ssh-rsa …")
    bits: Optional[int] = column(BIGINT, "length of the key")
    fingerprint: Optional[str] = column(TEXT, "SHA256:… as ssh-keygen -l prints it; of a certificate, that of its key")
    options: Optional[str] = column(TEXT, "the key's options; values of harmless environment variables are left out")
    forced_command: Optional[str] = column(TEXT, "command that the key is confined to, or that sshd asks for keys")
    comment: Optional[str] = column(TEXT, "what follows the key")
    mtime: Optional[int] = column(BIGINT, "last change of the file's content, in unix seconds")
    ctime: Optional[int] = column(BIGINT, "last change of its inode, in unix seconds, which nobody can set")
    owner_uid: Optional[int] = column(BIGINT, "owner of the file")
    mode: Optional[str] = column(TEXT, "permission bits, octal")
    is_immutable: Optional[int] = column(
        BIGINT, "1 if chattr +i or +a protects the file; NULL where the file system has no such marks"
    )
    shared_with: Optional[str] = column(TEXT, "other accounts that the same key opens by another file, comma separated")
    shared_accounts: Optional[int] = column(BIGINT, "how many these are")
    reasons: Optional[str] = column(
        TEXT,
        "what is odd, comma separated",
        words=Words.listed(
            "code_in_environment control_characters foreign_owner immutable known_malware odd_place published_key "
            "shared_with_system_account suspicious_command system_account_without_shell weak_key world_writable",
            explaining="malformed_line",
        ),
    )


@table(
    _TABLE,
    SshKeyFinding,
    description="Every SSH key that may log in, by account and file, also where sshd_config points, and what is odd about it.",
    sop_steps=(14,),
    examples=[
        "SELECT username, path, line, fingerprint, comment, reasons FROM ssh_key_findings WHERE reasons <> ''",
        "SELECT username, path, line, key_type, bits, fingerprint, options, comment FROM ssh_key_findings WHERE is_in_force = 1",
    ],
)
def ssh_key_findings(host: Host, query: QueryContext) -> Iterator[SshKeyFinding]:
    """One row per line and account: sshd(8), sshd_config(5), dropbear(8). Private keys are never read.

    Accounts of a directory service, keys that a command or a certificate's principals let in, and options on sshd's command
    line are not seen. Homes on network file systems are passed over. At most 50,000 lines a file and 90,000 rows; what could
    not be read or was cut is in minehunt_status; an unreadable /etc/passwd fails the query.
    """
    scan = _Scan(host, query)
    places = list(scan.places())
    # Small files first, so that a large one gets what the others leave.
    shares = Shares(query, _MAX_ROWS)
    found = {
        place: list(shares.of(place.account, place.path, scan.rows(place, left))) for place, left in in_turn(places, scan.size)
    }
    yield from _with_sharers([row for place in places for row in found[place]])
    yield from scan.commands()


class _Scan:
    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files = host.files
        self.query = query
        self.network = NetworkMounts.of(host)
        found = host.accounts.needed()
        found.say_gap(query)
        # sshd takes NIS lines for no accounts.
        self.accounts = {name: account for name, account in found.by_name.items() if not name.startswith(("+", "-"))}
        self.groups = groups_by_account(self.accounts.values(), parse_group(self._read("/etc/group")))
        self.uid_min = uid_min(self._read("/etc/login.defs").decode("utf-8", "replace"))
        try:
            self.config = effective(host.files)
        except Unreadable as error:
            self.query.could_not_see(str(error))
            self.config = SshdConfig((), {}, (), Unseen(), None)
        query.take(self.config.unseen)
        self._files: dict[str, Optional[KeyFile]] = {}
        self._rows = 0

    def _read(self, path: str) -> bytes:
        try:
            return self.files.read(path, _ACCOUNT_FILE_LIMIT)
        except Unreadable as error:
            if not error.is_missing:
                self.query.could_not_see(str(error))
            return b""

    def places(self) -> Iterator[KeyPlace]:
        """Where to look, each file once an account."""
        groups = {name: [group.name for group in found] for name, found in self.groups.items()}
        for place in key_places(self.files, self.config, self.accounts, groups):
            self.query.check_time()
            yield place

    def size(self, place: KeyPlace) -> int:
        """Bytes of the file; 0 where there is none."""
        try:
            return self.files.stat(place.path).st_size
        except Unreadable:
            return 0

    def rows(self, place: KeyPlace, places_left: int) -> Iterator[SshKeyFinding]:
        """The rows of one file, at most its part of those left for this and further places; none where there is no such file."""
        most = (_MAX_ROWS - self._rows) // places_left
        file = self._file(place.path)
        if file is None:
            return
        account = place.account
        of_file = _file_reasons(file, place)
        is_system = account is not None and is_system_uid(account.uid, self.uid_min)
        for count, entry in enumerate(file.lines):
            self.query.check_time()
            if count >= most:
                self.query.truncate(f"{place.path}: only the first {most} keys are shown")
                return
            self._rows += 1
            has_login_shell = account is not None and is_login_shell(account.shell)
            reasons = of_file | _line_reasons(entry, account.home if account else "")
            if is_system and not has_login_shell:
                reasons.add("system_account_without_shell")
            yield SshKeyFinding(
                username=account.name if account else None,
                kind=_kind(entry, place),
                account_uid=account.uid if account else None,
                shell=account.shell if account else None,
                has_login_shell=has_login_shell if account else None,
                is_system_account=is_system if account else None,
                path=place.path,
                line=entry.line,
                named_by=place.named_by,
                is_in_force=place.is_in_force,
                key_type=entry.key.key_type if entry.key else None,
                bits=entry.key.bits if entry.key else None,
                fingerprint=entry.key.fingerprint if entry.key else None,
                options=_shown(entry) if entry.key else None,
                forced_command=entry.option("command") if entry.key else None,
                comment=entry.comment,
                mtime=int(file.status.st_mtime),
                ctime=int(file.status.st_ctime),
                owner_uid=file.status.st_uid,
                mode=f"{stat.S_IMODE(file.status.st_mode):04o}",
                is_immutable=file.is_immutable,
                reasons=",".join(sorted(reasons)),
            )

    def _file(self, path: str) -> Optional[KeyFile]:
        if path not in self._files:
            self._files[path] = None
            if self.network.holds(path):
                self.query.cannot_tell(f"{path}: on a network file system, not looked at")
                return None
            try:
                found = read_key_file(self.files, path)
            except Unreadable as error:
                self.query.could_not_see(str(error))
                return None
            if found is not None and found.is_cut:
                self.query.truncate(f"{path}: not all of it was read: {MAX_LINES} lines, {MAX_LINE} bytes of each")
            self._files[path] = found
        return self._files[path]

    def commands(self) -> Iterator[SshKeyFinding]:
        """The commands that sshd asks for keys."""
        for setting in all_values(self.config, "authorizedkeyscommand"):
            if setting.path is None or setting.value.lower() == "none":
                continue
            reasons = ["suspicious_command"] if command_reasons(setting.value) else []
            yield SshKeyFinding(
                kind="command",
                path=setting.path,
                line=setting.line,
                named_by=named_by(setting),
                is_in_force=1,
                forced_command=setting.value,
                reasons=",".join(reasons),
            )


def _kind(entry: KeyLine, place: KeyPlace) -> str:
    if entry.key is None:
        return "malformed"
    return "authority" if place.is_authority or entry.option("cert-authority") is not None else "key"


def _file_reasons(file: KeyFile, place: KeyPlace) -> set[str]:
    reasons = set()
    allowed = {0, place.account.uid} if place.account else {0}
    if file.status.st_uid not in allowed:
        reasons.add("foreign_owner")
    if file.status.st_mode & stat.S_IWOTH:
        reasons.add("world_writable")
    if file.is_immutable:
        reasons.add("immutable")
    home = place.account.home.rstrip("/") if place.account else ""
    if not (home and place.path.startswith(f"{home}/")) and place_reasons(place.path):
        reasons.add("odd_place")
    return reasons


def _line_reasons(entry: KeyLine, home: str) -> set[str]:
    reasons: set[str] = set()
    if entry.has_control_characters:
        reasons.add("control_characters")
    if entry.key is None:
        return reasons | {"malformed_line"}
    if "ssh-dss" in entry.key.key_type or ("ssh-rsa" in entry.key.key_type and (entry.key.bits or 0) < _MIN_RSA_BITS):
        reasons.add("weak_key")
    known = known_key(entry.key.fingerprint, entry.comment)
    if known is not None:
        reasons.add("known_malware" if known.kind == "malware" else "published_key")
    command = (entry.option("command") or "")[:_COMMAND_LIMIT]
    if command and command_reasons(_without_home(command, home)):
        reasons.add("suspicious_command")
    for name, value in entry.options:
        if name == "environment" and value and value.partition("=")[0] in _CODE_VARIABLES:
            reasons.add("code_in_environment")
    return reasons


def _without_home(command: str, home: str) -> str:
    """`command` with the account's own dot folders spelt without the dot: there (~/.local/bin) they are nothing odd."""
    for folder in (home.rstrip("/"), "~", "$HOME", "${HOME}"):
        if folder:
            command = command.replace(f"{folder}/.", f"{folder}/")
    return command


def _shown(entry: KeyLine) -> str:
    shown = []
    for name, value in entry.options:
        if name == "environment" and value:
            variable, _, content = value.partition("=")
            value = f"{variable}={content if variable in _CODE_VARIABLES else '…'}"
        shown.append(name if value is None else f'{name}="{value}"')
    return ",".join(shown)


def _with_sharers(rows: list[SshKeyFinding]) -> Iterator[SshKeyFinding]:
    """The rows, told which other accounts the same key opens; a home that two accounts share does not count."""
    holders: dict[str, dict[str, SshKeyFinding]] = {}
    for row in rows:
        if row.fingerprint and row.username:
            found = holders.setdefault(row.fingerprint, {})
            if len(found) < _MAX_HOLDERS:
                found.setdefault(row.username, row)
    for row in rows:
        all_holders = holders.get(row.fingerprint or "", {}).values() if row.username else ()
        others = [other for other in all_holders if other.username != row.username and other.path != row.path]
        if not others:
            yield row
            continue
        reasons = set(filter(None, (row.reasons or "").split(",")))
        free = [other for other in others if other.forced_command is None]
        if row.forced_command is None and free and any(other.is_system_account for other in [row, *free]):
            reasons.add("shared_with_system_account")
        yield dataclasses.replace(
            row,
            shared_with=",".join(sorted(other.username or "" for other in others)),
            shared_accounts=len(others),
            reasons=",".join(sorted(reasons)),
        )
