"""Where miners protect their files, and remove the protection of others: start-up, account, program and temporary places."""

from __future__ import annotations

from collections.abc import Iterator

from tables.host.accounts.passwd import Accounts
from tables.host.systemd.folders import common_user_folders, system_folders, user_folders
from tables.unseen import say_cut

# Each with what lies directly in it; merged folders are looked at once, under their real name.
_FOLDERS = (
    "/etc", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/crontabs",
    "/etc/init.d", "/etc/ld.so.conf.d", "/etc/local.d", "/etc/pam.d", "/etc/profile.d", "/etc/rc.d", "/etc/rc.d/init.d",
    "/etc/security", "/etc/selinux", "/etc/ssh", "/etc/sudoers.d",
    "/etc/systemd/system/multi-user.target.wants", "/etc/systemd/system/timers.target.wants", "/etc/udev/rules.d",
    "/etc/xdg/autostart", "/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron/atjobs",
    "/var/spool/at", "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin",
    "/usr/local/lib", "/usr/lib", "/usr/lib64", "/bin", "/sbin", "/lib", "/lib64", "/opt",
    "/usr/games", "/usr/local", "/usr/local/share", "/usr/share", "/usr/include", "/usr/src", "/boot", "/srv", "/var/lib",
    "/var/cache", "/var/www",
    "/tmp", "/var/tmp", "/dev/shm",  # noqa: S108 -- looked at, not written to
)  # fmt: skip
# Below each account's home, with what lies directly in them.
_HOME_FOLDERS = ("", "/.ssh", "/.config/autostart")
_MAX_HOMES = 256


def guarded_folders(accounts: Accounts) -> Iterator[str]:
    """The folders to look at, each itself and with its entries; not all of them exist."""
    yield from _FOLDERS
    for folder in (*system_folders(), *common_user_folders()):
        yield folder.path
    owners = [account for home, account in accounts.by_home.items() if home != "/"]
    if len(owners) > _MAX_HOMES:
        say_cut(f"only {_MAX_HOMES} of {len(owners)} homes were looked into")
    for account in owners[:_MAX_HOMES]:
        for below in _HOME_FOLDERS:
            yield account.home + below
        for folder in user_folders(account):
            yield folder.path
