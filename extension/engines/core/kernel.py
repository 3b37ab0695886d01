"""osquery's tables about the kernel: its modules, version and arguments."""

from __future__ import annotations

from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import split
from extension.engines.core.support import proc_text
from tables.host import Host
from tables.schema import QueryContext

_MODULES_LIMIT = 8 << 20


@core_table("kernel_modules", needs_live=True)
def kernel_modules(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per loaded module; none where the kernel was built without modules."""
    try:
        data = host.procfs.read("modules", _MODULES_LIMIT)
    except FileNotFoundError:
        return
    yield from parse_modules(data.decode("utf-8", "surrogateescape"))


def parse_modules(text: str) -> Iterator[CoreRow]:
    """Yield the modules in /proc/modules (proc_modules(5)); `used_by` is a list with commas, or `-`."""
    for line in text.split("\n"):
        fields = split(line, " ")
        if len(fields) < 6:
            continue
        name, size, _, used_by, status, address = (field.removesuffix(",") for field in fields[:6])
        yield {"name": name, "size": size, "used_by": used_by, "status": status, "address": address}


@core_table("kernel_info", needs_live=True)
def kernel_info(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The running kernel, in one row."""
    row = parse_arguments(proc_text(host, "cmdline"))
    words = split(proc_text(host, "version"), " ")
    if len(words) > 2 and words[1] == "version":
        row["version"] = words[2]
    yield row


def parse_arguments(text: str) -> CoreRow:
    """Boot image, root device and the other arguments from /proc/cmdline (proc_cmdline(5))."""
    row: CoreRow = {}
    others = []
    for word in split(text, " "):
        if word.startswith("BOOT_IMAGE="):
            row["path"] = word.partition("=")[2]
        elif word.startswith("root="):
            row["device"] = word.partition("=")[2]
        else:
            others.append(word)
    row["arguments"] = " ".join(others)
    return row
