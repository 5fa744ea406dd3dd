"""Fixtures of the black-box suites. `server` is shared and each test makes its own tenant;
a test that needs other options, or stops or kills the server, asks for `start_server`."""

import os
import random
import secrets

import pytest

import server as server_module
from api import Admin, Connection
from server import BUILD, TOP, Server, ServerError

# deploy/run builds and starts build/; it is not run against another variant.
collect_ignore = [] if BUILD == TOP / "build" else ["client/test_deploy_run.py"]


def pytest_report_header(config):
    return f"build under test: {BUILD} (sanitizer: {server_module.SANITIZER})"


class Shared:
    """The server most tests share; made anew when a test has brought it down."""

    def __init__(self, factory):
        self.factory, self.count, self.server, self.admin = factory, 0, None, None

    def get(self):
        if self.server is None or not self.server.running:
            self.count += 1
            self.server = Server(self.factory.mktemp(f"shared{self.count}"))
            try:
                self.server.start()
            except ServerError as problem:
                pytest.exit(f"the server does not start: {problem}", 3)
            self.admin = Admin(self.server)
        return self.server


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    shared = Shared(tmp_path_factory)
    yield shared
    if shared.server is not None and shared.server.running:
        shared.server.stop()


@pytest.fixture
def server(shared):
    """The shared server; the test fails if the server died or complained meanwhile."""
    server = shared.get()
    yield server
    code = server.process.poll()
    server.check_log()
    assert code is None, f"the server died in this test, status {code}\n{server.log_tail()}"


@pytest.fixture
def admin(server, shared):
    return shared.admin


@pytest.fixture
def tenant(admin):
    """A new tenant of the shared server."""
    return admin.tenant()


@pytest.fixture
def database(tenant):
    """A new, empty database as its owner sees it."""
    return tenant.database()


@pytest.fixture
def connect(server):
    """connect(): a new raw connection to the shared server, closed at the end."""
    made = []

    def connect(**kwargs):
        made.append(Connection(server, **kwargs))
        return made[-1]

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def start_server(tmp_path):
    """start_server("--option", "value", …): a server of this test's own, on its own data. Those
    still running at the end are stopped, and must end cleanly."""
    made = []

    def start_server(*options, start=True, **kwargs):
        server = Server(tmp_path / f"server{len(made)}", options=options, **kwargs)
        made.append(server)
        return server.start() if start else server

    yield start_server
    problems = []
    for server in made:
        try:
            if server.running:
                server.stop()
            else:
                server.check_log()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def rng():
    """A random source whose seed a failing test shows; ROOKERY_SEED repeats it."""
    seed = int(os.environ.get("ROOKERY_SEED") or secrets.randbits(32))
    print(f"ROOKERY_SEED={seed}")
    return random.Random(seed)
