"""`python -m tests.kernels shell --kernel 6.1 -- COMMAND`."""

from __future__ import annotations

import argparse
import sys

from tests.kernels.cache import RigError
from tests.kernels.checkout import packed
from tests.kernels.guest import Guest, show_through
from tests.kernels.images import KERNELS, kernel_image


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument("action", choices=["shell"])
    parser.add_argument("--kernel", choices=KERNELS, default="6.1")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    try:
        with Guest(kernel_image(arguments.kernel)) as guest:
            return guest.run(arguments.command, packed(), {}, show_through).status
    except RigError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
