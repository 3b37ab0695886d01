"""The process that scans: it reads what attackers write, answers the one that talks to osquery, and can be killed."""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from extension.serving import memory
from extension.serving.channel import Channel, Message, asked, lacks
from extension.serving.scan import scan
from tables.host import Host
from tables.host.forked import end_with
from tables.host.settings import Settings
from tables.schema import Table

# What a scan may take, far above what any table needs: what runs away fails by itself, before the host is short of memory.
_MAX_DATA_BYTES = 512 * 1024 * 1024


def run(connection: socket.socket, tables: Mapping[str, Table], settings: Settings, server: int, osqueryd: int) -> NoReturn:
    """Scan what comes over `connection` until that ends; for a process that `server` has just forked.

    `osqueryd` is the pid of the osqueryd that started the server, 0 where none did. Both are left out of tables.
    """
    try:
        _become_ours_alone(connection, server)
        host = Host(settings=settings, own_pids=(os.getpid(), server, *([osqueryd] if osqueryd else [])))
        _Worker(Channel(connection), tables, host).work()
    except BaseException:
        logging.getLogger("minehunt").exception("the process that scans failed")
    finally:
        os._exit(1)


def _become_ours_alone(connection: socket.socket, server: int) -> None:
    end_with(server)
    _cover_descriptors(connection.fileno())
    # Another thread may have been writing when this process was forked, and holds the old stream's lock for ever.
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + _MAX_DATA_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    memory.tune()


def _data_bytes() -> int:
    """What counts against RLIMIT_DATA already: VmData of proc_pid_status(5), here in pages from proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def _cover_descriptors(kept: int) -> None:
    """Let go of all the server's connections: covered rather than closed, as objects still hold their numbers."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number not in (kept, null):
            try:
                os.fstat(number)
            except OSError:
                continue
            os.dup2(null, number, inheritable=False)


class _Worker:
    def __init__(self, channel: Channel, tables: Mapping[str, Table], host: Host) -> None:
        self.channel = channel
        self.tables = tables
        self.host = host
        self.cleaner = memory.Cleaner()

    def work(self) -> None:
        """Answer pings at once and each scan in a thread of its own, until the server is gone."""
        self.cleaner.start()
        while (message := self.channel.receive()) is not None:
            if "ping" in message:
                self.channel.send({"pong": message["ping"]})
            else:
                threading.Thread(target=self._scan, args=(message,), name=f"scan {message['table']}", daemon=True).start()
        os._exit(0)

    def _scan(self, message: Message) -> None:
        number = message["scan"]
        query = asked(message)
        try:
            self.channel.send({"scan": number, "thread": threading.get_native_id()})
            answer = scan(self.tables[message["table"]], self.host, query)
            self.channel.send_rows(number, answer.rows)
            end = {"error": answer.error, "is_question_at_fault": answer.is_question_at_fault, **lacks(query)}
            self.channel.send({"scan": number, "end": end})
            self.cleaner.note(len(answer.rows))
        except (OSError, MemoryError):
            # Nobody is there to be told, or nothing can be told any more: the server sees that we ended.
            os._exit(1)
