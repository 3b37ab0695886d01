"""The pools that running processes name, by their command lines and by the configuration files these lead to."""

from __future__ import annotations

from collections.abc import Iterable

from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Procfs
from tables.indicators.pools import PoolIndicators
from tables.reasons.mining.config_pools import config_references
from tables.reasons.mining.named_configs import home_folder, process_folders, read_config
from tables.reasons.mining.process_strings import arguments
from tables.reasons.mining.references import Reference, cmdline_references
from tables.schema import QueryContext


def named_pools(
    procfs: Procfs, pids: Iterable[int], indicators: PoolIndicators, query: QueryContext
) -> dict[int, list[Reference]]:
    """The pools that each process names, by pid.

    Configuration files are those behind -c and --config, config.json in the working folder and beside the program, and those
    in the home folder where xmrig looks, read as the process sees them, 1 MiB
    at most without blanks and comments.
    """
    found: dict[int, list[Reference]] = {}
    configs = _Configs(procfs, indicators, query)
    for pid in pids:
        query.check_time()
        argv = arguments(procfs, pid, query).kept
        # Kernel threads and zombies have no command line.
        if not argv:
            continue
        references = cmdline_references(argv, indicators) + configs.references(pid, argv)
        if references:
            found[pid] = references
    return found


class _Configs:
    """Reads configuration files, each path once per mount namespace and root folder."""

    def __init__(self, procfs: Procfs, indicators: PoolIndicators, query: QueryContext) -> None:
        self.query = query
        self.procfs = procfs
        self.indicators = indicators
        self.files = ProcessFiles(procfs)
        self._known: dict[tuple[object, ...], list[Reference]] = {}

    def references(self, pid: int, argv: list[str]) -> list[Reference]:
        """The pools that the configuration files of `pid` name."""
        folders = process_folders(self.procfs, pid)
        if folders is None:
            return []
        found: list[Reference] = []
        for key, (path, _) in folders.candidates(argv, self.query, home_folder(self.procfs, pid, self.query)).items():
            if (known := (*folders.view, key)) not in self._known:
                read = read_config(self.files, pid, path, key, self.query)
                text = read.data.decode("utf-8", "surrogateescape") if read else ""
                self._known[known] = config_references(text, key, self.indicators)
            found += self._known[known]
        return found
