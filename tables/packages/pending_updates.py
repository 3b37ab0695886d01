"""Installed packages of which the host's own package caches know a newer version."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.packages.caches import Offer, PackageSystem, package_systems
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_TABLE = "pending_updates"
_OLD_SECONDS = 14 * 86400


@dataclass(frozen=True)
class PendingUpdate(Row):
    """One installed package that could be brought up to date."""

    package: str = column(TEXT, "name of the package", index=True)
    package_format: str = column(TEXT, "deb, rpm or apk")
    arch: str = column(TEXT, "architecture")
    installed_version: str = column(TEXT, "version that is installed; of several (kernels) the newest")
    available_version: str = column(TEXT, "newest version that a cache offers")
    is_security: int = column(BIGINT, "1 if a newer version comes from a security suite or a security advisory")
    is_held: int = column(BIGINT, "1 if the administrator holds the package at its version (dpkg)")
    origin: Optional[str] = column(TEXT, "label and suite of the apt repository, or name of the dnf repository")
    cache_path: str = column(TEXT, "file of the cache that offers it")
    cache_mtime: int = column(BIGINT, "when that cache was last brought up to date (unix seconds)")


@table(
    _TABLE,
    PendingUpdate,
    description="Packages with a newer version in the host's own package caches (apt, dnf, apk), security updates marked.",
    sop_steps=(17, 18),
    examples=["SELECT package, installed_version, available_version, origin FROM pending_updates WHERE is_security = 1"],
    cache_seconds=300.0,
    # Lists that apt keeps compressed with lz4 take seconds to unpack.
    budget_seconds=30.0,
    scan_early=True,
)
def pending_updates(host: Host, query: QueryContext) -> Iterator[PendingUpdate]:
    """One row per installed package and architecture with a newer version.

    Compared are /var/lib/dpkg/status with /var/lib/apt/lists, rpm's database with the primary.xml and updateinfo.xml of
    dnf's caches, apk's database with its cached indexes; by the rules of each for versions. Nothing is fetched, run or locked.
    What a cache does not know is not pending: minehunt_status says where there is no cache, where it is older than two weeks,
    and where it is compressed with zstd, which Python does not read. apt's suites that are NotAutomatic
    (backports) and streams of dnf modules that are not in use do not count; pins, phased updates and excludes are not
    regarded. apk's indexes do not tell security updates.
    """
    systems = 0
    for system in package_systems(host.files):
        systems += 1
        if not system.caches:
            query.cannot_tell(f"no package cache for {system.kind} packages: whether updates are pending is not known")
        newest = max((int(host.files.stat(path).st_mtime) for path in system.caches), default=0)
        if system.caches and newest < time.time() - _OLD_SECONDS:
            query.cannot_tell(f"the {system.kind} package cache is of {_day(newest)}: newer updates are not known")
        yield from _rows(system, _offers(system, query))
    if not systems:
        query.cannot_tell("no database of dpkg, rpm or apk")


def _day(seconds: int) -> str:
    # A file's time can be set to before all calendars.
    return datetime.datetime.fromtimestamp(max(seconds, 0), datetime.timezone.utc).date().isoformat()


def _offers(system: PackageSystem, query: QueryContext) -> Iterator[Offer]:
    for path in system.caches:
        query.check_time()
        try:
            for offer in system.offers(path):
                query.check_time()
                yield offer
        except OSError as error:
            query.cannot_tell(str(error))


def _rows(system: PackageSystem, offers: Iterator[Offer]) -> Iterator[PendingUpdate]:
    best: dict[tuple[str, str], Offer] = {}
    secure: set[tuple[str, str]] = set()
    for offer in offers:
        for arch in (offer.arch, "all", "noarch"):
            key = (offer.name, arch)
            if key not in system.installed:
                continue
            if system.compare(offer.version, system.installed[key].version) > 0:
                if offer.is_security:
                    secure.add(key)
                if key not in best or system.compare(offer.version, best[key].version) > 0:
                    best[key] = offer
            break
    for key in sorted(best):
        installed, offer = system.installed[key], best[key]
        yield PendingUpdate(
            package=installed.name,
            package_format=system.kind,
            arch=installed.arch,
            installed_version=installed.version,
            available_version=offer.version,
            is_security=key in secure,
            is_held=installed.is_held,
            origin=offer.origin,
            cache_path=offer.path,
            cache_mtime=offer.mtime,
        )
