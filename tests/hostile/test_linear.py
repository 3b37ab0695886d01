"""Whatever a text is made of, reading it takes time in proportion to its length: every pattern and every parser is pumped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import pytest

from extension.pack.regex_subjects import MAX_SUBJECT
from tests.support.linear import growth_problem, seconds
from tests.support.pumps import PUMPS, Pump, pumps_of
from tests.support.readers_of_text import HeldPattern, Parser, indicator_patterns, module_patterns, pack_patterns, parsers

NO_PARSERS = {
    "tables.schema.column": "declares a column",
    "tables.schema.table": "declares a table",
    "tables.host.network.columns.socket_column": "declares a column",
    "tables.host.containers.columns.container_column": "declares a column",
    "tables.host.processes.columns.process_column": "declares a column",
    "tables.host.processes.columns.is_hidden_column": "declares a column",
    "tables.host.syscalls.openat": "a system call",
    "tables.host.syscalls.mount_private": "a system call",
    "tables.host.syscalls.clone_mount": "a system call",
    "tables.host.disk.file_heads.file_head": "opens a path",
    "tables.host.disk.inode_flags.inode_flags": "opens a path",
    "tables.indicators.loader.read_data": "opens a file of our own",
    "tables.indicators.loader.load_yaml": "opens a file of our own",
    "tables.reasons.hardening.checks.not_applicable": "takes a reason of ours",
    "tables.reasons.hardening.checks.unknown": "takes a reason of ours",
    "tables.reasons.mining.references.reference_to": "takes what parse_endpoint made",
    "tables.host.kernel.memory.parse_symbols": "takes the kernel's own text, in large pieces",
    "tables.reasons.new_files.oddities": "takes a path, which the kernel bounds",
}
PATTERNS = {f"{held.where}: {held.pattern.pattern!r}"[:120]: held for held in (*module_patterns(), *indicator_patterns())}
PACK_PATTERNS = {f"{held.where}: {held.pattern.pattern!r}"[:120]: held for held in pack_patterns()}
PARSERS = {parser.name: parser for parser in parsers() if parser.name not in NO_PARSERS}


@pytest.mark.parametrize("held", PATTERNS.values(), ids=PATTERNS)
def test_a_pattern_is_linear(held: HeldPattern) -> None:
    assert _problems(held.read, [*PUMPS, *pumps_of(held.source)]) == []


@pytest.mark.parametrize("held", PACK_PATTERNS.values(), ids=PACK_PATTERNS)
def test_a_pattern_of_the_pack_is_quick_on_the_longest_subject_that_it_gets(held: HeldPattern) -> None:
    for pump in (*PUMPS, *pumps_of(held.source)):
        assert seconds(lambda size, pump=pump: held.read(pump.text(size)), MAX_SUBJECT) < 0.05, pump


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
def test_a_parser_is_linear(parser: Parser) -> None:
    assert not parser.unknown_parameters, "give them arguments in tests/support/readers_of_text.py"
    assert _problems(parser.read, [*PUMPS, *_language_of(parser)]) == []


def _problems(read: Callable[[str], object], pumps: Iterable[Pump]) -> list[str]:
    measured = ((pump, growth_problem(lambda size, pump=pump: read(pump.text(size)))) for pump in dict.fromkeys(pumps))
    return list(itertools.islice((f"{pump}: {problem}" for pump, problem in measured if problem), 2))


def _language_of(parser: Parser) -> Iterator[Pump]:
    """Texts of the words of its module, and of what its module's patterns match."""
    words = parser.literals()
    for joint in ("", " ", "\n", "=", "("):
        text = joint.join(words)
        if text:
            yield Pump(text + joint)
    for held in parser.patterns():
        yield from pumps_of(held.source)
