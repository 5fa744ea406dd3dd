# shellcheck shell=bash
# deploy/packages.sh: which Debian 12 packages Rookery needs, and how the missing ones are installed.
# Sourced by deploy/run and tests/run; deploy/Containerfile sources it for the lists alone.
#
# A row is a package name; `a|b` is satisfied by either, and `a` is installed if neither is there.
# Nothing here removes or upgrades a package that is installed.

# To build and to run: compiler, build system, the libraries, and what fetches SQLite. libsodium is
# here for Ed25519 (tokens signed with EdDSA), which mbedTLS does not have.
# shellcheck disable=SC2034  # read by those who source this file
packages_build=(
    gcc libc6-dev meson ninja-build 'pkg-config|pkgconf'
    libuv1-dev node-llhttp libmbedtls-dev libsodium-dev libmsgpack-dev libinih-dev libjansson-dev
    libedit-dev 'libcurl4-openssl-dev|libcurl4-gnutls-dev|libcurl4-nss-dev'
    ca-certificates curl
)

# To run only (what a container image of the finished binaries needs).
# shellcheck disable=SC2034
packages_run=(
    libuv1 libmbedtls14 libsodium23 libmsgpackc2 libinih1 libjansson4 libedit2 libcurl4 ca-certificates
)

# To check: tests/run needs these beside packages_build. Python libraries come from Debian, for
# /usr/bin/python3, and never from PyPI; npm, pip and aiohttp are for libSQL's clients, which the
# tests themselves fetch, pinned, into .cache/clients.
# shellcheck disable=SC2034
packages_test=(
    clang-14 clang-tidy-14 clang-format-14 llvm-14 libclang-rt-14-dev
    python3 python3-pytest python3-msgpack python3-cryptography strace sqlite3 shellcheck git
    'npm|nodejs' python3-pip python3-aiohttp python3-typing-extensions
)

# packages_missing ROW…: prints the packages to install, one per line.
packages_missing() {
    local row name there installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null |
        sed -n 's/^installed //p')
    for row in "$@"; do
        there=
        for name in ${row//|/ }; do
            if grep -qxF -- "$name" <<<"$installed"; then
                there=yes
                break
            fi
        done
        [ -n "$there" ] || printf '%s\n' "${row%%|*}"
    done
}

# packages_why LOG: one line that says why apt-get failed.
packages_why() {
    if grep -qiE 'no space left|enough free space' "$1"; then
        echo "no space left on this machine's disk"
    elif grep -qiE 'could not resolve|temporary failure|could not connect|unable to connect|failed to fetch|network is unreachable|connection (timed out|refused)' "$1"; then
        echo "no network: Debian's package servers cannot be reached"
    elif grep -qiE 'could not get lock|unable to acquire|lock-frontend' "$1"; then
        echo "another package installation is running; try again when it is done"
    elif grep -qiE 'unable to locate package|no installation candidate' "$1"; then
        echo "a package is not known here (Rookery is built on Debian 12): $(
            grep -iE 'unable to locate package|no installation candidate' "$1" | tail -n 1)"
    elif grep -qiE 'a password is required|not in the sudoers|incorrect password|authentication' "$1"; then
        echo "sudo was refused"
    else
        echo "apt-get failed: $(grep -E '^E:' "$1" | tail -n 1)"
    fi
}

# packages_install ROW…: installs what is missing of these. 0 when everything is there; else 1 and
# one line on stderr. Says in one line what it is about to do. sudo only when there is something to do.
packages_install() {
    local missing log as_root=() status
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0

    if ! command -v apt-get >/dev/null 2>&1; then
        echo "rookery: no apt-get here; install what these Debian packages hold, then use --no-install: ${missing[*]}" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "rookery: not root and no sudo; as root run: apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        if ! sudo -n true 2>/dev/null && [ ! -t 0 ]; then
            echo "rookery: sudo asks for a password and there is no terminal; run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    if ! log=$(mktemp 2>/dev/null); then
        echo "rookery: cannot write to ${TMPDIR:-/tmp} (no space?)" >&2
        return 1
    fi

    echo "rookery: installing ${#missing[@]} Debian packages: ${missing[*]}" >&2
    # No package lists in a fresh container; old lists name files that are gone from the servers.
    packages_apt update >"$log" 2>&1
    packages_apt install --no-remove --no-upgrade "${missing[@]}" >>"$log" 2>&1 </dev/null
    status=$?
    [ $status -eq 0 ] || echo "rookery: packages not installed: $(packages_why "$log")" >&2
    rm -f "$log"
    return $((status != 0))
}

# packages_apt VERB ARG…: apt-get without questions. Uses as_root of packages_install.
packages_apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 --no-install-recommends "$@"
}
