"""The rules for SIEMs are made with pySigma, which needs Python 3.10; what ships runs on 3.9 all the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

collect_ignore = (
    []
    if importlib.util.find_spec("sigma")
    else ["test_dist.py", *(path.name for path in Path(__file__).parent.glob("test_siem*.py"))]
)
