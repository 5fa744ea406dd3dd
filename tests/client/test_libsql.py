"""libSQL's clients against the server, with only a URL and a token. tests/client/libsql/compare runs the
same programs against sqld."""

import pytest
from api import Admin
from libsql.programs import PROGRAMS, Target, Unavailable
from server import PATIENCE


def target_of(tenant, slug="main", **more):
    server = tenant.admin.server
    return Target(server.address, f"/{tenant.slug}/{slug}/", tenant.owner.token, tenant.api("readonly").token,
                  server.address, f"/{tenant.slug}/missing/", patience_s=60 * PATIENCE, **more)


def run(program, *arguments, **more):
    try:
        results = program.run(*arguments, **more)
    except Unavailable as why:
        pytest.skip(str(why))
    failed = results.failed()
    assert not failed, "\n".join(f"{check}: {why}" for check, why in failed.items())
    return results


@pytest.fixture
def target(database, tenant):
    return target_of(tenant)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_checks(program, target):
    run(program, target)


@pytest.mark.parametrize("name", ["client-http", "client-ws"])
def test_a_transaction_that_idles(start_server, name):
    tenant = Admin(start_server("--stream-idle", "1s")).tenant()
    tenant.database()
    (program,) = [program for program in PROGRAMS if program.name == name]
    results = run(program, target_of(tenant, idle_ms=1000), "idles too long")
    assert list(results.checks.values()) == ["ok"], results.text


def test_at_the_root_with_a_token_of_one_database(tenant, server):
    tenant.database("one")
    tenant.database("two")
    target = target_of(tenant)
    target.path, target.token = "/", tenant.api("owner", databases=["two"]).token
    run(PROGRAMS[0], target, "transactions", "value", "batch")
