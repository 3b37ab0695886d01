"""The extension's log: stderr, which osqueryd hands to its own log or the journal."""

from __future__ import annotations

import logging

from tables.schema import clean_text


class _OneLine(logging.Formatter):
    """Every record, a traceback included, on one line without control characters: stderr goes to the journal."""

    def format(self, record: logging.LogRecord) -> str:
        return clean_text(super().format(record).replace("\n", " | "))


def configure_logging(verbose: bool) -> None:
    """Log to stderr: warnings and errors, with `verbose` everything."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("minehunt[%(process)d] %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, handlers=[handler])
    # Thrift logs a traceback for every connection that a peer drops.
    logging.getLogger("thrift").setLevel(logging.INFO if verbose else logging.CRITICAL)
