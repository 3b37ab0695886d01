"""`python -m build.siem FOLDER`."""

import sys

from build.deliver import run
from build.siem.deliverable import build

sys.exit(run("siem", build))
