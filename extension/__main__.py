"""What osquery executes (`--socket …`: serve the tables), and otherwise the `minehunt` command line."""

# Words that the oldest Python understands, up to where the version is known to fit.
import sys

if sys.version_info < (3, 9):  # noqa: UP036
    sys.stderr.write("minehunt needs Python 3.9 or newer; this is %s (%s)\n" % (sys.version.split()[0], sys.executable))  # noqa: UP031
    sys.exit(2)

from extension.start import main

if __name__ == "__main__":
    main()
