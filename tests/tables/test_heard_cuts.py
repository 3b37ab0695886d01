from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tables.host import Host
from tables.schema import TEXT, QueryContext, Row, column, table
from tables.unseen import Unseen, say_cut


@dataclass(frozen=True)
class Text(Row):
    text: str = column(TEXT, "what was read")


@table("texts", Text, description="", sop_steps=(1,), examples=[])
def texts(host: Host, query: QueryContext) -> Iterator[Text]:
    """Reads a file twice."""
    for limit in (4, 100):
        yield Text(text=host.files.read_text("/x", limit))


def test_a_file_longer_than_is_read_is_said_to_the_query_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("longer")
    query, other = QueryContext(), QueryContext()
    rows = texts.generate(Host(str(tmp_path)), query)
    assert next(iter(rows)).text == "long"
    say_cut("said by nobody's query")
    assert query.cuts == ("/x: only the first 4 bytes were read",)
    assert other.cuts == ()


def test_what_only_describes_is_no_blind_spot() -> None:
    unseen = Unseen()
    unseen.could_not_see("not root")
    unseen.cannot_tell("no database of packages")
    taken = Unseen()
    taken.take(unseen)
    assert taken.unseen == ("not root", "no database of packages")
    assert taken.blind == ("not root",)
