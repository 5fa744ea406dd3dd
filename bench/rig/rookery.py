"""Rookery under test: its admin API makes 1,001 tenants with a database and a token each."""

import http.client
import json
import os
import select
import time

from . import work
from .proc import Failed, Process, free_port
from .targets import SOLO, Hrana, HranaSocket, Target, tenant_name

READY_SECONDS = 60


class Rookery(Target):
    name = "rookery"
    expect = '"success":true'

    def __init__(self, folder, build, options=()):
        super().__init__(folder)
        self.binary = os.path.join(build, "rookeryd")
        self.data = os.path.join(self.folder, "data")
        self.options = list(options)
        self.tokens = {}

    def command(self):
        return [self.binary, "--data", self.data, "--listen", f"127.0.0.1:{self.port}"] + \
            self.options

    def start(self, trace=False, options=()):
        self.port = free_port()
        readable, writable = os.pipe()
        trace_path = os.path.join(self.folder, "strace") if trace else None
        command = self.command() + list(options) + ["--ready-fd", str(writable)]
        self.process = Process(self.name, command, os.path.join(self.folder, "log"),
                               trace_path=trace_path, pass_fds=(writable,))
        os.close(writable)
        try:
            ready = select.select([readable], [], [], READY_SECONDS)[0]
            if not ready or not os.read(readable, 100).startswith(b"ready"):
                self.process.popen.wait(5)
                self.process.check_alive()
        finally:
            os.close(readable)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def address(self, tenant):
        name = tenant_name(tenant)
        return (f"/v1/db/{name}/main/query", "127.0.0.1",
                {"Authorization": f"Bearer {self.tokens[tenant]}"})

    def admin(self, method, path, body=None, tenant=None):
        with open(os.path.join(self.data, "operator.token"), encoding="ascii") as file:
            headers = {"Authorization": f"Bearer {file.read().strip()}"}
        if tenant:
            headers["X-Rookery-Tenant"] = tenant
        text = "" if body is None else json.dumps(body)
        return json.loads(self.send(method, path, "127.0.0.1", headers, text))

    def create_tenant(self, tenant):
        """A tenant with a database `main` and an owner's token."""
        name = tenant_name(tenant)
        self.admin("POST", "/v1/admin/tenants", {"slug": name})
        self.admin("POST", "/v1/databases", {"slug": "main"}, name)
        token = self.admin("POST", f"/v1/admin/tenants/{name}/tokens",
                           {"name": "bench", "role": "owner"})
        self.tokens[tenant] = token["data"]["token"]

    def create(self):
        for tenant in [SOLO] + list(range(work.TENANTS)):
            self.create_tenant(tenant)
        self.admin("POST", "/v1/admin/tenants", {"slug": "bulk"})
        databases = [{"slug": f"d{number:04d}"} for number in range(work.TENANTS)]
        begin = time.monotonic()
        made = self.admin("POST", "/v1/databases", {"databases": databases}, "bulk")["data"]
        seconds = time.monotonic() - begin
        if len(made) != work.TENANTS:
            raise Failed(f"rookery: {len(made)} databases made of {work.TENANTS}")
        return seconds, "one request"


class OnItsData(Rookery):
    """The same server on the data that another target has made."""

    def __init__(self, folder, build, options, base):
        super().__init__(folder, build, options)
        self.base = base
        self.data = base.data
        self.tokens = base.tokens

    def create(self):
        return None, ""

    def fill(self):
        return None


class RookeryInline(OnItsData):
    """Each commit waits for its own sync."""

    name = "rookery-inline"
    kinds = ("insert",)

    def __init__(self, folder, build, options, base):
        super().__init__(folder, build, list(options) + ["--commit=inline"], base)


class RookeryHrana(Hrana, OnItsData):
    name = "rookery-hrana"

    def address(self, tenant):
        return (f"/{tenant_name(tenant)}/main/v2/pipeline", "127.0.0.1",
                {"Authorization": f"Bearer {self.tokens[tenant]}"})


class RookeryWs(HranaSocket, RookeryHrana):
    name = "rookery-ws"

    def socket_address(self, tenant):
        return f"/{tenant_name(tenant)}/main/", "127.0.0.1", self.tokens[tenant]
