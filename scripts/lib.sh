# shellcheck shell=sh
# What scripts/run and scripts/test share: finding out what a Debian or Ubuntu lacks, and installing it. Sourced, POSIX sh.

say() { echo "$0: $*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# Can a program be linked with libpcap? (pcap-dev's .so and headers, wherever they are)
libpcap_links() {
    if have pkg-config && pkg-config --exists libpcap; then
        return 0
    fi
    probe=$(mktemp -d)
    echo 'extern const char *pcap_lib_version(void); int main(void) { return pcap_lib_version() == 0; }' >"$probe/probe.c"
    if "${CC:-cc}" "$probe/probe.c" -o "$probe/probe" -lpcap >/dev/null 2>&1; then found=0; else found=1; fi
    rm -rf "$probe"
    return $found
}

# as_root COMMAND…: as we are, or with sudo where it asks for nothing or can ask somebody
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    elif have sudo && [ -t 0 ]; then
        sudo "$@"
    else
        return 1
    fi
}

# install_packages NAME…: Debian packages; silent unless it fails, and then its own words are shown
install_packages() {
    have apt-get || return 1
    log=$(mktemp)
    # A stale source must not stop what the others can give: only the install decides.
    as_root apt-get update -qq >"$log" 2>&1 || true
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    cat "$log" >&2
    rm -f "$log"
    return 1
}

# usage_of FILE: the comment at its top
usage_of() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$1"
}

# The first python3 that knows pyzmq
python_with_zmq() {
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c 'import zmq' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# The cargo that rustup put where a login shell would find it, if PATH has none
need_cargo() {
    have cargo && return 0
    if [ -x "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"
        export PATH
        return 0
    fi
    say "no cargo: install Rust first (https://rustup.rs)"
    exit 1
}
