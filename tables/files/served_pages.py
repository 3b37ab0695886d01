"""Pages that web servers run and that do what a request says: web shells, at rest."""

from __future__ import annotations

import hashlib
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.fair_shares import in_time
from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.host.disk.known_files import KnownFiles
from tables.host.disk.shallow_walk import FoundFile, Walk
from tables.host.processes.process_files import remote_here
from tables.host.services.web_folders import web_folders
from tables.indicators.process_names import hidden_component
from tables.indicators.served_code import language_of
from tables.reasons.served_pages import SERVED_WORDS, may_run_input, page_reasons
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_TABLE = "served_pages"
# Of each site so many entries are looked at, so deep, and of each page so much is read.
_MAX_ENTRIES = 60_000
_MAX_DEPTH = 12
_PAGE_LIMIT = 8 << 20
# All that one scan reads.
_MOST_BYTES = 192 << 20


@dataclass(frozen=True)
class ServedPage(Row):
    """One page about which something is odd."""

    path: str = column(TEXT, "the page")
    site: str = column(TEXT, "folder that the web server hands out and in which it lies")
    language: str = column(TEXT, "php, jsp or aspx, by the file's name")
    owner_uid: int = column(BIGINT, "owner of the file")
    mode: str = column(TEXT, "permission bits, octal")
    file_size: int = column(BIGINT, "bytes")
    mtime: int = column(BIGINT, "last change of content, in unix seconds")
    ctime: int = column(BIGINT, "last change of the inode, in unix seconds, which nobody can set")
    sha256: Optional[str] = column(TEXT, "SHA-256 of the page; empty when it was not read to its end")
    is_hidden: int = column(BIGINT, "1 if the name of the page, or of a folder that it lies in, begins with a dot")
    reasons: str = column(
        TEXT,
        "what is suspicious about its code, comma separated (patterns in indicators/data/served_code.yaml)",
        words=SERVED_WORDS,
    )


class _Judged(NamedTuple):
    reasons: str
    sha256: Optional[str]


# What nearly all pages are.
_NOTHING_ODD = _Judged("", None)


@table(
    _TABLE,
    ServedPage,
    description="Pages in web servers' folders whose code runs what a request brings, or what it decodes: web shells.",
    sop_steps=(17,),
    examples=["SELECT path, owner_uid, ctime, reasons FROM served_pages"],
    cache_seconds=60.0,
)
def served_pages(host: Host, query: QueryContext) -> Iterator[ServedPage]:
    """One row per page (PHP, JSP, ASP.NET) about which something is odd; others give none.

    Looked at are the web folders of distributions and of Tomcat, those that nginx's and Apache's configuration names, and
    public_html and the like in homes, 12 folders deep; links are not followed, nor file systems of other machines looked
    into. Of each site 60,000 entries are looked at, of each page 8 MiB are read, of all pages 192 MiB in one scan, those
    of small sites first; what is left out is said. A page that did not change since the last scan is not read again.

    Not seen: input that goes through several variables, objects or other files before it is run, in long pages names of
    functions that are put together, pages under other names than their language's, and what lies in containers.
    """
    known = host.state(_TABLE, KnownFiles[_Judged])
    known.start()
    homes = [account.home.rstrip("/") for account in host.accounts.all if account.home.startswith("/home/")]
    sites = {site: host.files.names(site) for site in web_folders(host.files, homes) if host.files.is_folder(site)}
    walk = Walk(host.files, _MAX_ENTRIES, remote_here(host))
    left = _MOST_BYTES
    for site, end in in_time(query, sites, lambda site: float(len(sites[site]))):
        for found in walk.below(site, _MAX_DEPTH, lambda path: language_of(path) is not None):
            if time.monotonic() > end:
                query.truncate(f"out of time in {site}, at {found.path}")
                break
            judged = known.get(found.status)
            if judged is None:
                if left <= 0:
                    query.truncate(f"{found.path}: only {_MOST_BYTES >> 20} MiB of pages are read in one scan")
                    break
                judged, size = _judged(host, query, found)
                left -= size
                # Of a longer page each scan has to say what it left out.
                if found.status.st_size <= _PAGE_LIMIT:
                    known.put(found.status, judged)
            if judged.reasons:
                yield _row(found, site, judged)
    if walk.cut:
        query.truncate(f"only the first {_MAX_ENTRIES} entries of a web site were looked at, up to {walk.cut}")


def _judged(host: Host, query: QueryContext, found: FoundFile) -> tuple[_Judged, int]:
    """What is odd about a page, and how many bytes were read."""
    try:
        data = host.files.head(found.path, _PAGE_LIMIT)
    except Unreadable as error:
        if not error.is_missing:
            query.could_not_see(str(error))
        return _NOTHING_ODD, 0
    is_whole = found.status.st_size <= len(data)
    if not is_whole:
        query.truncate(f"{found.path}: only the first {_PAGE_LIMIT >> 20} MiB were read")
    if not may_run_input(data):
        return _NOTHING_ODD, len(data)
    reasons = page_reasons(language_of(found.path) or "", data.decode("utf-8", "surrogateescape"))
    sha256 = hashlib.sha256(data).hexdigest() if is_whole else None
    return _Judged(",".join(reasons), sha256) if reasons else _NOTHING_ODD, len(data)


def _row(found: FoundFile, site: str, judged: _Judged) -> ServedPage:
    status = found.status
    return ServedPage(
        path=found.path,
        site=site,
        language=language_of(found.path) or "",
        owner_uid=status.st_uid,
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        file_size=status.st_size,
        mtime=int(status.st_mtime),
        ctime=int(status.st_ctime),
        sha256=judged.sha256,
        is_hidden=hidden_component(found.path) is not None,
        reasons=judged.reasons,
    )
