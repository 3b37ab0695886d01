#!/bin/sh
# Make the virtual environment $1 with $PYTHON; on Debian and Ubuntu its ensurepip is a package of its own.
set -eu

venv=$1
python=${PYTHON:-python3}

command -v "$python" >/dev/null || { echo "minehunt: no $python here; it needs Python 3.9 or newer" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || {
    echo "minehunt: $("$python" --version) is too old; it needs Python 3.9 or newer (make PYTHON=python3.11 …)" >&2
    exit 1
}
rm -rf "$venv"
if "$python" -c 'import ensurepip' 2>/dev/null; then
    exec "$python" -m venv "$venv"
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "minehunt: installing python3-venv, which $python lacks" >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >&2
    exec "$python" -m venv "$venv"
fi
echo "minehunt: $python cannot make virtual environments; as root: apt-get install python3-venv" >&2
exit 1
