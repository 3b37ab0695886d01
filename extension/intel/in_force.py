"""The list files in force, read so that one bad file or line does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from extension.intel.ranges import RangeSet, shared_ranges
from tables.host.disk.files import Files
from tables.host.settings import Settings
from tables.indicators.networks import Network
from tables.indicators.pool_lists import SHARED, ignore, parse_entries, parse_header, split_lines
from tables.indicators.pools import MAX_LIST_BYTES


def read_lines(path: str) -> list[str]:
    """The lines of the list at `path`; OSError for one that cannot be read, that others may write, or that is too large."""
    files = Files("/")
    if files.stat(path).st_size > MAX_LIST_BYTES:
        raise OSError(f"{path}: larger than {MAX_LIST_BYTES >> 20} MiB")
    return split_lines(files.read_trusted(path, MAX_LIST_BYTES))


def shared_in_force(settings: Settings, unreadable: Callable[[str], None]) -> RangeSet:
    """The shared ranges that ship with minehunt and those of the operator's lists; TableError for a bad configuration.

    What keeps a list from being read is told to `unreadable`; its malformed lines are for `check` to tell.
    """
    return shared_ranges(_shared(settings, unreadable))


def _shared(settings: Settings, unreadable: Callable[[str], None]) -> Iterator[tuple[Network, str]]:
    for path in settings.indicator_files():
        try:
            lines = read_lines(path)
        except OSError as error:
            unreadable(str(error))
            continue
        header = parse_header(lines, ignore)
        if header.kind == SHARED:
            for entry in parse_entries(lines, SHARED, ignore):
                if entry.indicator.network is not None:
                    yield entry.indicator.network, header.feed or path
