"""`minehunt collect`: the evidence of an incident in one archive, and `--verify` for one that is there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Optional

import click

from extension.command_line import FOUND, CannotRunError, EngineOptions, engine_options, examined, open_pack, pack_option
from tables.schema import clean_text

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_ROOM_SPARED = 64 << 20


def _bytes(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """The bytes of a size: 500M, 2G."""
    match = re.fullmatch(r"([0-9]{1,9})([KMG]?)", value.strip().upper())
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{value!r} is no size such as 500M or 2G", ctx, param)
    return int(match[1]) * _UNITS[match[2]]


@click.command()
@click.argument("report", required=False, type=click.Path(path_type=Path), metavar="[REPORT.json]")
@engine_options
@click.option("--output", type=click.Path(path_type=Path), metavar="CASE.tar.gz", help="The archive to write, a new file.")
@click.option(
    "--pid", "pids", type=click.IntRange(1), multiple=True, help="This process (repeatable); without a report only these."
)
@click.option(
    "--max-size", default="2G", show_default=True, callback=_bytes, help="Of all evidence together, before it is packed."
)
@click.option("--max-item", default="128M", show_default=True, callback=_bytes, help="Of one file.")
@click.option("--verify", "archive", type=click.Path(path_type=Path), metavar="CASE.tar.gz", help="Check an archive again.")
@pack_option
def collect(
    report: Optional[Path],
    options: EngineOptions,
    output: Optional[Path],
    pids: tuple[int, ...],
    max_size: int,
    max_item: int,
    archive: Optional[Path],
    folder: Optional[Path],
) -> None:
    """Write the evidence of REPORT.json's findings (a triage's), or of this host's now, or of processes, into one archive.

    Nothing on the host is changed. Exit 0 = complete, 1 = something could not be had or the archive was changed.
    """
    if archive is not None:
        _verify(archive)
        return
    if output is None:
        raise click.UsageError("--output CASE.tar.gz, or --verify CASE.tar.gz")
    from extension.collect.archive import Archive, ArchiveError
    from extension.collect.case import collect as put_in
    from extension.collect.case import needed

    host = options.host()
    if not host.is_live:
        raise CannotRunError("only a running system's evidence is collected; a mounted disk is evidence already")
    try:
        # Now, not after minutes of work.
        case = Archive(output, max_size)
    except ArchiveError as error:
        raise CannotRunError(str(error)) from None
    try:
        triage = None if pids and report is None else examined(report, options, open_pack(folder))
        wanted = min(needed(triage, pids, max_item), max_size)
        room = os.statvfs(output.parent)
        if room.f_bavail * room.f_frsize < wanted + _ROOM_SPARED:
            raise CannotRunError(
                f"{output.parent}: {wanted >> 20} MiB of evidence, and {room.f_bavail * room.f_frsize >> 20} free"
            )
        digest = case.finish(put_in(case, host, triage, pids, max_item))
    except ArchiveError as error:
        raise CannotRunError(str(error)) from None
    finally:
        case.abandon()
    stored = sum("sha256" in item for item in case.items)
    click.echo(f"{clean_text(str(output))}: {stored} items, sha256 {digest}")
    for why in case.incomplete:
        click.echo(f"incomplete: {clean_text(why)}", err=True)
    if case.incomplete:
        sys.exit(FOUND)


def _verify(path: Path) -> None:
    from extension.collect.archive import ArchiveError, verify

    try:
        manifest, problems = verify(path)
    except ArchiveError as error:
        raise CannotRunError(str(error)) from None
    for problem in problems:
        click.echo(clean_text(problem), err=True)
    if problems:
        sys.exit(FOUND)
    stored = sum("sha256" in item for item in manifest["items"])
    whole = "complete" if manifest.get("complete") else "partial, as its manifest says"
    click.echo(f"{clean_text(str(path))}: {stored} items are as they were collected; {whole}")
