"""osquery's clock tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from extension.engines.core import CoreRow, core_table
from tables.host import Host
from tables.schema import QueryContext


@core_table("time")
def time(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The current time, in UTC."""
    now = datetime.now(timezone.utc)
    iso = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    yield {
        "weekday": now.strftime("%A"), "year": now.year, "month": now.month, "day": now.day, "hour": now.hour,
        "minutes": now.minute, "seconds": now.second, "timezone": "UTC", "local_timezone": datetime.now().astimezone().tzname(),
        "unix_time": int(now.timestamp()), "timestamp": now.strftime("%a %b %e %H:%M:%S %Y UTC"),
        "datetime": iso, "iso_8601": iso,
    }  # fmt: skip


@core_table("uptime", needs_live=True)
def uptime(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Time since boot, from /proc/uptime (proc_uptime(5))."""
    total = int(float(host.procfs.read("uptime").split()[0]))
    yield {
        "days": total // 86400, "hours": total // 3600 % 24, "minutes": total // 60 % 60, "seconds": total % 60,
        "total_seconds": total,
    }  # fmt: skip
