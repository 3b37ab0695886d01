"""Where the schedulers keep their jobs, and which of these files they would pass over."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.fair_shares import fairly
from tables.host.accounts.databases import Account
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.start_files import StartFile
from tables.unseen import Unseen

# crontab(5), anacron(8), at(1), incrontab(5) and fcron(8); Debian, EL, SUSE and Alpine use different spools.
_SINGLE = {"/etc/crontab": "system_crontab", "/etc/anacrontab": "anacron"}
_FOLDERS = (
    ("/etc/cron.d", "cron.d"),
    ("/var/spool/cron/crontabs", "user_crontab"),
    ("/var/spool/cron", "user_crontab"),
    ("/var/spool/cron/tabs", "user_crontab"),
    ("/etc/crontabs", "user_crontab"),
    ("/var/spool/at", "at"),
    ("/var/spool/cron/atjobs", "at"),
    ("/var/spool/atjobs", "at"),
    ("/etc/incron.d", "incron"),
    ("/var/spool/incron", "incron"),
    ("/var/spool/fcron", "fcron"),
)
# Those whose files are crontabs.
CRON = frozenset({"system_crontab", "cron.d", "user_crontab"})
# Folders whose programs are all run, and how often where nothing else tells.
SCRIPT_FOLDERS = {
    "/etc/cron.hourly": "every hour",
    "/etc/cron.daily": "every day",
    "/etc/cron.weekly": "every week",
    "/etc/cron.monthly": "every month",
    "/etc/cron.yearly": "every year",
    "/etc/periodic/15min": "every 15 minutes",
    "/etc/periodic/hourly": "every hour",
    "/etc/periodic/daily": "every day",
    "/etc/periodic/weekly": "every week",
    "/etc/periodic/monthly": "every month",
}
_MAX_FILES = 4096
# Entries of a folder whose owners are looked at.
_MAX_LISTED = 100_000
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
# cronie's database.c: not_a_crontab().
_CRONIE_PASSES_OVER = re.compile(r"[.#].*|.*(?:~|\.rpmsave|\.rpmorig|\.rpmnew)", re.DOTALL)
# run-parts of EL's crontabs package, and SUSE's run-crons.
_RUN_PARTS_PASSES_OVER = re.compile(r"[.#].*|.*(?:[~,]|\.rpm\w*|\.cfsaved|\.swp|,v|\.bak|\.orig)", re.DOTALL)
# nsswitch.conf(5): services that tell no other accounts than /etc/passwd does.
_LOCAL_SERVICES = frozenset({"files", "compat", "systemd", "altfiles", "db"})


class JobFile(NamedTuple):
    """A file of a scheduler: the path it is found at, links not resolved, and the account that a spool file is named for."""

    path: str
    scheduler: str
    user: Optional[str] = None

    @property
    def has_user_field(self) -> bool:
        """Whether each job names the account that it runs as."""
        return self.scheduler in ("system_crontab", "cron.d")

    @property
    def name(self) -> str:
        """The file's own name."""
        return os.path.basename(self.path)


def job_files(files: Files, unseen: Unseen) -> Iterator[JobFile]:
    """All crontabs and their like, folders left out; what could not be listed is said to `unseen`."""
    for path, scheduler in _SINGLE.items():
        if files.exists(path):
            yield JobFile(path, scheduler)
    for folder, scheduler in _FOLDERS:
        for path in listed(files, folder, unseen):
            name = os.path.basename(path)
            if scheduler == "fcron":
                if not name.endswith(".orig"):
                    continue
                name = name[: -len(".orig")]
            # fcron's own name for the jobs of the system.
            is_spool = folder.startswith("/var/spool/") and scheduler != "at" and (scheduler, name) != ("fcron", "systab")
            yield JobFile(path, scheduler, name if is_spool or folder == "/etc/crontabs" else None)


def listed(files: Files, folder: str, unseen: Unseen) -> list[str]:
    """The paths of at most 4,096 entries of `folder` that are no folders, sorted; of each owner as many, if it has them."""
    try:
        paths = list(files.paths(folder))
    except Unreadable as error:
        unseen.could_not_see(str(error))
        return []
    if len(paths) > _MAX_FILES:
        unseen.truncate(f"{folder}: only {_MAX_FILES} of {len(paths)} files were read, of each owner as many")
    # Anybody may queue jobs for at.
    chosen = fairly(paths[:_MAX_LISTED], lambda path: _owner(files, path), _MAX_FILES)
    return [path for path in chosen if not files.is_folder(path)]


class Daemons:
    """The rules of the cron on this host, as far as its files tell which one it is."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.is_debian = files.exists("/etc/debian_version")
        self.is_busybox = any(
            files.exists(path) and os.path.basename(files.real_path(path)) == "busybox"
            for path in ("/usr/sbin/crond", "/sbin/crond")
        )
        self._has_other_accounts: Optional[bool] = None

    def why_ignored(self, found: JobFile, file: StartFile, account: Optional[Account]) -> Optional[str]:
        """Why the scheduler would not take the jobs of a file; None when it would, as far as can be told."""
        mode = stat.S_IMODE(file.status.st_mode)
        owner = file.status.st_uid
        if found.scheduler not in CRON:
            return None
        if found.scheduler != "user_crontab":
            if self.is_busybox:
                return "busybox's crond does not read this file"
            if owner != 0:
                return "not owned by root"
        elif account is None and self.knows_all_accounts:
            return "no such account"
        elif self.is_busybox and owner != 0:
            return "not owned by root"
        elif owner not in (0, account.uid if account else owner):
            return "owned by another account"
        elif not self.is_busybox and file.status.st_nlink != 1:
            return "has more than one link"
        return self._why_name(found) or self._why_mode(found, mode)

    def _why_name(self, found: JobFile) -> Optional[str]:
        if self.is_debian and found.scheduler == "cron.d" and not _PLAIN_NAME.fullmatch(found.name):
            return "cron, unless started with -l, passes over names with other characters than A-Z a-z 0-9 _ -"
        if not self.is_debian and not self.is_busybox and _CRONIE_PASSES_OVER.fullmatch(found.name):
            return "cron passes over such names"
        return None

    def _why_mode(self, found: JobFile, mode: int) -> Optional[str]:
        if self.is_busybox:
            return None
        if self.is_debian and found.scheduler == "user_crontab":
            return None if mode & 0o7777 == 0o600 else "mode is not 0600"
        if mode & 0o022:
            return "writable by others"
        if not self.is_debian and mode & 0o7533 != 0o400:
            return "executable or not readable by its owner"
        return None

    def why_not_run(self, path: str, file: StartFile) -> Optional[str]:
        """Why run-parts would not run a script in one of the SCRIPT_FOLDERS; None when it would."""
        name = os.path.basename(path)
        if not file.status.st_mode & 0o111:
            return "not executable"
        if self.is_debian or self.is_busybox:
            return (
                None if _PLAIN_NAME.fullmatch(name) else "run-parts passes over names with other characters than A-Z a-z 0-9 _ -"
            )
        return "run-parts passes over such names" if _RUN_PARTS_PASSES_OVER.fullmatch(name) else None

    @property
    def knows_all_accounts(self) -> bool:
        """Whether /etc/passwd holds all accounts, and no directory service adds others."""
        if self._has_other_accounts is None:
            try:
                text = self.files.read_text("/etc/nsswitch.conf")
            except Unreadable:
                text = ""
            services = re.findall(r"^passwd:[ \t]*([^#\n]*)", text, re.MULTILINE)
            words = re.sub(r"\[[^\]]*\]", " ", " ".join(services)).split()
            self._has_other_accounts = not (self.files.exists("/etc/passwd") and _LOCAL_SERVICES.issuperset(words))
        return not self._has_other_accounts


def _owner(files: Files, path: str) -> Optional[int]:
    try:
        return files.stat(path, follow=False).st_uid
    except Unreadable:
        return None
