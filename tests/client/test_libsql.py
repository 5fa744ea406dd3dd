"""npm's @libsql/client against the server, with only a URL and a token."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "libsql"
CACHE = Path(__file__).parents[2] / ".cache" / "client-libsql"


@pytest.fixture(scope="session")
def libsql():
    """The folder with the program and its packages; installed once."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (HERE / "package.json").read_text()
        have = CACHE / "package.json"
        if not have.exists() or have.read_text() != wanted or not (CACHE / "node_modules/@libsql/client").exists():
            have.write_text(wanted)
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=CACHE,
                                  capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                have.unlink()
                pytest.skip(f"npm cannot install @libsql/client: {done.stderr.strip()[-200:]}")
        shutil.copy(HERE / "client.mjs", CACHE / "client.mjs")
    return CACHE


def run(libsql, url, token):
    done = subprocess.run(["node", "client.mjs"], cwd=libsql, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "LIBSQL_URL": url, "LIBSQL_TOKEN": token})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_over_http(libsql, database, server):
    out = run(libsql, f"http://{server.address}/{database.tenant}/{database.slug}/", database.api.token)
    assert out.count("\nok ") + out.startswith("ok ") == 8, out


def test_at_the_root_with_a_token_of_one_database(libsql, tenant, server):
    tenant.database("one")
    tenant.database("two")
    run(libsql, f"http://{server.address}", tenant.api("owner", databases=["two"]).token)
