"""The rules for SIEMs are made with pySigma, which needs Python 3.10; what ships runs on 3.9 all the same."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("sigma") else ["test_dist.py", "test_siem.py"]
