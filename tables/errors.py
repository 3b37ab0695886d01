"""What goes wrong in a table, as the user is told."""

from __future__ import annotations


class TableError(Exception):
    """A table could not answer; the message names what failed and reaches the user as the query's error."""


class BadQuestion(TableError):
    """A constraint that no answer can fit, such as a folder that does not exist: the asker's fault, and no failed scan."""


class BudgetExceeded(TableError):
    """A scan ran longer than its table's budget."""
