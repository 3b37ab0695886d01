"""The memory that the kernel's module loader gave out, compared with what the loaded modules say they take."""

from __future__ import annotations

import mmap
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.kernel.modules import LIVE, Look, look
from tables.unseen import Unseen

# 0xADDRESS-0xADDRESS SIZE CALLER+0xOFFSET/0xSIZE … (mm/vmalloc.c, vmalloc_info_show). The caller is whichever function of the
# loader the compiler left as one: kernel/module.c before 5.19, kernel/module/main.c since.
_AREA = re.compile(rb"^0x[0-9a-f]{1,16}-0x[0-9a-f]{1,16}[ ]+(\d{1,15}) ([A-Za-z0-9_]{1,80})[.+]", re.MULTILINE)
_LOADER = frozenset(
    {b"load_module", b"layout_and_allocate", b"move_module", b"module_alloc_update_bounds", b"module_memory_alloc"}
)
_LIMIT = 64 << 20
# The memory of a module's init code is freed a while after the module is live; a look counts once nothing is on its way.
_PAUSES = (0.2, 0.5, 1.0, 2.0)


class Unaccounted(NamedTuple):
    """Memory of the module loader that no shown module takes: bytes, and the module's size where it is one area."""

    total: int
    # Sizes of single areas, where each module has one; () on kernels that give a module several.
    areas: tuple[int, ...]


def loader_areas(data: bytes) -> list[int]:
    """The sizes of the areas in /proc/vmallocinfo that the module loader made, each with its guard page."""
    return [int(size) for size, caller in _AREA.findall(data) if caller in _LOADER]


def unaccounted(areas: Sequence[int], modules: Iterable[int], page: int = mmap.PAGESIZE) -> Optional[Unaccounted]:
    """What `areas` hold beyond `modules`, sizes as /proc/modules gives them; None where the areas hold less than those.

    A module has one area up to Linux 6.3, and one for each kind of its sections since; all are whole pages, followed by a
    guard page, and the size of a module is the sum of its areas. Modules whose code lies in blocks that several share
    (execmem's cache) have areas of other callers, so that the sum is less: then nothing can be said.
    """
    held = [size - page for size in areas]
    taken = [-(-size // page) * page for size in modules]
    total = sum(held) - sum(taken)
    if total < 0:
        return None
    left = Counter(held)
    left.subtract(Counter(taken))
    one_each = all(count >= 0 for count in left.values())
    return Unaccounted(total, tuple(sorted(left.elements())) if one_each else ())


def unaccounted_memory(host: Host, unseen: Unseen, check_time: Callable[[], None]) -> Optional[Unaccounted]:
    """What look after look found unaccounted; None when one found nothing, or nothing can be said (`unseen` has why)."""
    least: Optional[Unaccounted] = None
    for pause in (0.0, *_PAUSES):
        time.sleep(pause)
        check_time()
        try:
            areas = loader_areas(host.truth.read("vmallocinfo", _LIMIT))
        except OSError as error:
            unseen.cannot_tell(
                f"/proc/vmallocinfo: {error.strerror}: a module that left all lists is not seen by the memory it takes"
            )
            return None
        sizes = _sizes(look(host))
        if sizes is None:
            continue
        found = unaccounted(areas, sizes)
        if found is None:
            unseen.cannot_tell(
                "/proc/vmallocinfo: less than the loaded modules take: this kernel keeps their memory in another way"
            )
            return None
        if not found.total:
            return None
        least = found if least is None or found.total <= least.total else least
    if least is None:
        unseen.cannot_tell("/proc/vmallocinfo: modules were being loaded or unloaded, or have no known size, in every look")
    return least


def _sizes(seen: Look) -> Optional[list[int]]:
    """The sizes of all modules shown; None while one is on its way, or the size of one is not known."""
    modules = seen.modules.values()
    sizes = [found.module_size for found in modules if found.module_size is not None]
    return sizes if len(sizes) == len(modules) and all(found.state == LIVE for found in modules) else None
