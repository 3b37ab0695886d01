"""A short form of `make fuzz`, and that it finds what it is for."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.hostile.campaign import in_a_process, mutated, read_texts, rounds, samples
from tests.support.readers_of_text import Parser


def test_a_round_of_each_finds_nothing() -> None:
    done = list(rounds(0, seed=7))
    assert {one.name for one in done} == {"texts", "tree"}
    assert [(one.name, one.seed, one.faults) for one in done if one.faults] == []


def test_defects_and_slowness_are_found() -> None:
    def broken(text: str) -> str:
        raise KeyError(text[:1])

    def slow(text: str) -> None:
        end = time.thread_time() + 0.6
        while time.thread_time() < end:
            pass

    found = list(read_texts(1, [Parser("broken", broken)], 2)) + list(read_texts(1, [Parser("slow", slow)], 1))
    assert ["KeyError" in text for text in found] == [True, True, False] and "0.6 s" in found[2]


def test_a_round_that_ends_its_process_or_eats_memory_is_a_fault() -> None:
    def dies() -> Iterator[str]:
        raise SystemExit
        yield ""

    def eats() -> Iterator[str]:
        held = bytearray(700 << 20)
        held[::4096] = b"\1" * len(held[::4096])
        yield from ()

    assert "the process ended" in in_a_process("dies", 1, 1, dies).faults[0]
    assert "MiB of memory" in in_a_process("eats", 1, 1, eats).faults[0]


def test_the_corpus_is_there() -> None:
    import random

    assert len(samples()) > 40
    assert len({mutated(random.Random(seed), samples()) for seed in range(50)}) > 45
