# Sourced by the other scripts: `use_venv` sees to it that .venv at the project's root holds all
# that constraints.txt pins, the developers' tools too. One environment for all, so that trying
# the program and testing it never differ in what is installed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
ready=$venv/.ready      # holds the key of what was installed; written last
lock=$root/.venv.lock   # held while in use; not empty: an installation has not come to its end

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Sets `python`: $PYTHON, else the first of the usual names that is new enough, one that can make
# an environment before one that can't.
find_python() {
    local name
    python=
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || { echo "PYTHON=$PYTHON is not a Python 3.11 or newer." >&2; return 1; }
        python=$PYTHON
        return 0
    fi
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        is_new_enough "$name" || continue
        if has_venv "$name"; then python=$name; return 0; fi
        python=${python:-$name}
    done
    [ -n "$python" ] || { echo "No Python 3.11 or newer was found (Debian: apt-get install python3 python3-venv)." >&2; return 1; }
}

# Locks file descriptor 9, which stays open in this shell: sh to use .venv, ex to change it.
take_lock() {
    "$python" - "$1" <<'PYTHON'
import fcntl, sys

kind = fcntl.LOCK_EX if sys.argv[1] == "ex" else fcntl.LOCK_SH
try:
    fcntl.flock(9, kind | fcntl.LOCK_NB)
except BlockingIOError:
    print("Waiting for another command that uses .venv …", file=sys.stderr)
    fcntl.flock(9, kind)
except OSError:
    pass  # a file system without locks
PYTHON
}

venv_key() { { echo "$root"; cat "$root/pyproject.toml" "$root/constraints.txt"; } | cksum; }

is_ready() {
    [ ! -s "$lock" ] && [ -x "$venv/bin/python" ] && [ "$(cat "$ready" 2>/dev/null)" = "$(venv_key)" ] &&
        { [ -z "${PYTHON:-}" ] || is_same_version; }
}

is_same_version() {
    "$venv/bin/python" -c 'import sys; sys.exit(sys.argv[1] != sys.version)' \
        "$("$python" -c 'import sys; print(sys.version)')" 2>/dev/null
}

# An environment that was finished once, here and with this Python, is brought up to date in place.
can_stay() {
    [ ! -s "$lock" ] && is_new_enough "$venv/bin/python" && grep -qF "$venv" "$venv/bin/activate" 2>/dev/null &&
        { [ -z "${PYTHON:-}" ] || is_same_version; }
}

install_venv() {
    local stays=
    can_stay && stays=yes
    if [ -z "$stays" ] && ! has_venv "$python"; then
        local version
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "$python can't make a virtual environment: its venv or ensurepip is missing" \
            "(Debian: apt-get install python3-venv, or python$version-venv)." >&2
        return 1
    fi
    echo "Installing into .venv …" >&2
    echo unfinished >"$lock"
    rm -f "$ready"
    [ -n "$stays" ] || "$python" -m venv --clear "$venv" </dev/null >&2 || return 1
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        -c "$root/constraints.txt" -e "$root[dev]" </dev/null >&2 || return 1
    venv_key >"$ready"
    : >"$lock"
}

use_venv() {
    find_python || exit 1
    exec 9>>"$lock"
    take_lock sh
    until is_ready; do
        take_lock ex
        is_ready || install_venv || exit 1
        take_lock sh
    done
    # Descriptor 9 stays open, and with it the shared lock, until the command has ended.
}
