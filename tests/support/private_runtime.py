"""What tests of the private runtime need: a Debian to build it on, and Debian's packages."""

from __future__ import annotations

import platform
import shutil

import pytest

from build import debian
from build.deliver import BuildError

MACHINE = platform.machine()
ON_DEBIAN = pytest.mark.skipif(
    MACHINE not in debian.ARCHITECTURES or not shutil.which("apt-get"), reason="the private runtime is built on Debian"
)


def fetch_packages() -> None:
    """Fetch the packages of all architectures; where Debian keeps one no more, the test is skipped, and says which.

    That an update has replaced it is for `make lock`, and no fault of this tree.
    """
    try:
        debian.fetch_all()
    except BuildError as error:
        pytest.skip(str(error))
