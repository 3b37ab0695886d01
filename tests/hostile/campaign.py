"""`make fuzz`: hostile texts for every parser, hostile trees for every table, and both sides of the wire, for some minutes.

A fault is an exception, an internal error, an answer that leaves the root folder, work beyond its time, or memory beyond 300 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from extension.pack.model import load_pack, shipped_pack
from tables.schema import Table
from tests.extension.serving.test_system_calls import STRACE, offences
from tests.hostile.seeds import MINER_INI, MINER_JSON
from tests.hostile.soak import soak
from tests.hostile.test_linear import PARSERS
from tests.hostile.test_tables_on_hostile_trees import ENDINGS, KINDS, READERS, REPEATED, Disk, Place, check, places, planted
from tests.support.readers_of_text import Parser

_MAX_MEMORY = 300 * 1000 * 1000
_MAX_SECONDS = 0.5
_MAX_TEXT = 64 * 1024
# What the corpus is made of: whole files as the formats have them, and the beginnings of this machine's own.
CORPUS = Path(__file__).with_name("corpus")
_TEXTS_A_ROUND = 400


class Round(NamedTuple):
    """One round in a process of its own: its name and seed say how to repeat it."""

    name: str
    seed: int
    inputs: int
    faults: tuple[str, ...]
    memory: int


def samples() -> list[bytes]:
    """The corpus: files of tests/hostile/corpus, miners' configurations, and texts that repeat themselves."""
    kept = [path.read_bytes() for path in sorted(CORPUS.iterdir())] if CORPUS.is_dir() else []
    return [*kept, MINER_INI, MINER_JSON, *(os.fsencode(text) * 20 for text in REPEATED)]


def mutated(chance: random.Random, corpus: list[bytes]) -> bytes:
    """A sample with parts of it, and of others, left out, doubled, moved, or replaced by odd bytes."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((1, 2, 7, 64, 1024))
        other = chance.choice(corpus)
        start = chance.randrange(len(other) + 1)
        part = chance.choice(
            (other[start : start + length], chance.randbytes(min(length, 16)), bytes(data[at : at + length]) * 8)
        )
        data[at : at + chance.choice((0, 0, length))] = part
        if len(data) > _MAX_TEXT:
            del data[_MAX_TEXT:]
    return bytes(data)


def read_texts(seed: int, chosen: list[Parser], count: int) -> Iterator[str]:
    """Give `count` mutated texts to each of the parsers; yields what is wrong."""
    chance, corpus = random.Random(seed), samples()
    for _ in range(count):
        parser = chance.choice(chosen)
        text = mutated(chance, corpus).decode("utf-8", "surrogateescape")
        began = time.thread_time()
        try:
            parser.read(text)
        except Exception:
            yield f"{parser.name}: {traceback.format_exc(limit=-3)}"
        if time.thread_time() - began > _MAX_SECONDS:
            yield f"{parser.name}: {time.thread_time() - began:.1f} s for {len(text)} letters"


def scan_tree(seed: int, asked: Iterable[Place]) -> Iterator[str]:
    """Plant something hostile, chosen at random, at every place, and scan with every table; yields what is wrong."""
    chance, corpus = random.Random(seed), samples()
    kinds = list(KINDS.values())

    def plant(disk: Disk, path: Path) -> None:
        if chance.random() < 0.5:
            path.write_bytes(mutated(chance, corpus))
            path.chmod(chance.choice((0o644, 0o755, 0o600, 0o666)))
        else:
            chance.choice(kinds)(disk, path)

    folder = Path(tempfile.mkdtemp(prefix="minehunt-fuzz-"))
    try:
        disk = Disk(folder / "hostile")
        if chance.random() < 0.8:
            disk.plant_passwd()
        planted(disk, plant, asked, ENDINGS)
        yield from (problem for table in READERS.values() for problem in _problems(table, disk))
    finally:
        shutil.rmtree(folder)


def _problems(table: Table, disk: Disk) -> Iterator[str]:
    try:
        check(table, disk)
    except BaseException:
        yield f"{table.name}: {traceback.format_exc(limit=-3)}"


def in_a_process(name: str, seed: int, inputs: int, work: Callable[[], Iterable[str]]) -> Round:
    """Run one round in a child, whose memory is measured; a child that ends otherwise than by itself is a fault."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            # A parser that kills its process must not look like one that found nothing.
            os.write(write, "\0".join(work()).encode("utf-8", "backslashreplace") + b"\0\0")
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read()
    _, status, usage = os.wait4(child, 0)
    faults = [text.decode() for text in said.split(b"\0") if text]
    if not said.endswith(b"\0\0"):
        faults.append(f"the process ended: status {status}")
    memory = usage.ru_maxrss * 1024
    # What the child shared with us from the start is not its own.
    if memory > _MAX_MEMORY + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:
        faults.append(f"{memory >> 20} MiB of memory")
    return Round(name, seed, inputs, tuple(faults), memory)


def rounds(seconds: float, seed: int) -> Iterator[Round]:
    """Texts and trees by turns until the time is over; at least one round of each."""
    chosen = list(PARSERS.values())
    with tempfile.TemporaryDirectory(prefix="minehunt-fuzz-") as folder:
        asked = places(Path(folder) / "scratch")
    end = time.monotonic() + seconds
    while True:
        for turn in range(seed, seed + 4):
            yield in_a_process("texts", turn, _TEXTS_A_ROUND, partial(read_texts, turn, chosen, _TEXTS_A_ROUND))
        yield in_a_process("tree", seed, len(READERS), partial(scan_tree, seed, asked))
        seed += 4
        if time.monotonic() > end:
            return


def main() -> int:
    """Run the campaign, print each fault and a summary; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=("texts", "wire"), help="leave out the other part")
    options = parser.parse_args()
    inputs = found = memory = 0
    for one in rounds(options.minutes * 60, options.seed) if options.only != "wire" else ():
        inputs += one.inputs
        found += len(one.faults)
        memory = max(memory, one.memory)
        for fault in one.faults:
            print(f"{one.name}, seed {one.seed}: {fault}", flush=True)
    print(f"{inputs} inputs, {found} faults, at most {memory >> 20} MiB; seed {options.seed}", flush=True)
    if options.only != "texts":
        soaked = soak(100, seed=options.seed)
        found += len(soaked.faults)
        print(f"soak: {dict(soaked.outcomes)}, faults: {soaked.faults or 'none'}", flush=True)
        if STRACE is not None and os.geteuid() == 0:
            calls = offences(query.sql for query in load_pack(shipped_pack()).queries())
            found += len(calls)
            print(f"system calls over the whole pack: {calls or 'none that reach beyond the extension'}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
