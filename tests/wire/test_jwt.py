"""JSON web tokens as credentials: whose keys count, what the claims open, what is refused."""

import re
import signal
import time

import pytest
from api import Admin, Api, Database
from hrana import CLOSE, Stream, batch, execute, stmt
from hrana_socket import HranaSocket
from signing import Key, b64, part, unsigned, with_hmac

DDL = "CREATE TABLE IF NOT EXISTS t(a)"


def metric(admin, outcome):
    text = admin.api.raw("GET", "/metrics").body.decode()
    found = re.search(r'rookery_jwt_verifications_total\{outcome="%s"\} (\d+)' % outcome, text)
    return int(found.group(1)) if found else 0


class Place:
    """A server with keys, and two tenants with databases `default` and `other`."""

    def __init__(self, server, key_file, keys):
        self.server, self.key_file, self.keys = server, key_file, keys
        self.admin = Admin(server)
        self.acme, self.rival = self.admin.tenant("acme"), self.admin.tenant("rival")
        for tenant in (self.acme, self.rival):
            for slug in ("default", "other"):
                tenant.database(slug).query("CREATE TABLE t(a)").ok()

    def status(self, token, sql="SELECT 1", tenant="acme", database="default", code=None):
        api = Api(self.server, token)
        answer = api.post(f"/v1/db/{tenant}/{database}/query", {"sql": sql})
        api.close()
        if code is not None:
            assert answer.value["code"] == code, answer
        return answer.status

    def hrana(self, token, *requests, tenant="acme", database="default"):
        api = Api(self.server, token)
        return api.post(f"/{tenant}/{database}/v2/pipeline", {"requests": [*requests, CLOSE]})


@pytest.fixture
def place(start_server, tmp_path):
    keys = {alg: Key(alg) for alg in ("EdDSA", "ES256", "RS256")}
    key_file = tmp_path / "keys"
    key_file.write_text(keys["EdDSA"].raw + "\n" + keys["ES256"].pem + keys["RS256"].pem)
    return Place(start_server("--jwt-key", str(key_file)), key_file, keys)


def test_each_kind_of_key_signs_for_every_dialect(place):
    for key in place.keys.values():
        token = key.token(a="rw")
        assert place.status(token, "INSERT INTO t VALUES (1)") == 200
        assert place.status(token, DDL, database="other") == 200
        assert place.status(token, tenant="rival") == 200
        answer = place.hrana(token, execute("SELECT 1"))
        assert answer.status == 200 and answer.value["results"][0]["type"] == "ok", answer
        assert place.status(token, tenant="nobody", code="unknown_tenant") == 404
        assert place.status(token, database="nothing", code="unknown_database") == 404


def test_a_verified_token_is_remembered(place):
    token = place.keys["ES256"].token(a="rw", exp=time.time() + 3600)
    api = Api(place.server, token)
    for _ in range(50):
        api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).ok()
    # At most once on each loop: the connection stays on one.
    assert metric(place.admin, "good") == 1
    for slug in ("other", "default", "nothing"):
        api.post(f"/v1/db/acme/{slug}/query", {"sql": "SELECT 1"})
    assert metric(place.admin, "good") == 1
    api.post("/v1/db/rival/default/query", {"sql": "SELECT 1"}).ok()
    assert metric(place.admin, "good") == 2
    assert place.status(token[:-4] + "AAAA") == 401
    assert metric(place.admin, "refused") == 1


def test_claims_say_what_and_where(place):
    key = place.keys["EdDSA"]
    one = key.token(id="acme", a="rw")
    assert place.status(one, "INSERT INTO t VALUES (1)") == 200
    assert place.status(one, database="other") == 404
    assert place.status(one, tenant="rival", code="namespace_mismatch") == 403
    two = key.token(id="other--acme")
    assert place.status(two, "INSERT INTO t VALUES (1)", database="other") == 200
    assert place.status(two) == 404
    several = key.token(p={"ro": {"ns": ["acme"]}, "rw": {"ns": ["other--acme", "no such name!", "*", "*--acme"]}},
                        id="rival", a="rw")
    assert place.status(several) == 200
    assert place.status(several, "INSERT INTO t VALUES (1)") == 403
    assert place.status(several, "INSERT INTO t VALUES (1)", database="other") == 200
    assert place.status(several, tenant="rival", code="namespace_mismatch") == 403
    # Where no database is named the weaker right counts.
    assert Api(place.server, several).get("/v1/me").ok()["role"] == "readonly"
    nothing = key.token(p={"rw": {"ns": ["*", "ACME!", ""]}})
    assert place.status(nothing) in (401, 403)


def test_a_token_for_one_namespace_needs_no_name_in_the_url(place):
    token = place.keys["EdDSA"].token(id="other--acme", a="ro", sub="reader")
    answer = Api(place.server, token).post("/v2/pipeline", {"requests": [execute("SELECT 1"), CLOSE]})
    assert answer.status == 200, answer
    me = Api(place.server, token).get("/v1/me").ok()
    assert me["namespaceSlug"] == "acme" and me["role"] == "readonly" and me["tokenName"] == "reader", me
    anywhere = place.keys["EdDSA"].token()
    assert Api(place.server, anywhere).post("/v2/pipeline", {"requests": [CLOSE]}).status == 404


def test_a_read_only_token_that_writes_is_403_for_the_whole_pipeline(place):
    for token in (place.keys["EdDSA"].token(a="ro"), place.keys["EdDSA"].token(a="roa", id="acme")):
        assert place.hrana(token, execute("SELECT 1")).status == 200
        for write in ("INSERT INTO t VALUES (7)", "CREATE TABLE u(a)", "BEGIN IMMEDIATE"):
            assert place.hrana(token, execute("SELECT 1"), execute(write)).status == 403
        assert place.status(token, "INSERT INTO t VALUES (7)") == 403
    assert place.acme.owner.post("/v1/db/acme/default/query", {"sql": "SELECT count(*) FROM t"}).ok()["rows"] == [[0]]


def test_no_token_may_what_only_ours_may(place):
    token = place.keys["EdDSA"].token(a="rw", id="acme", role="operator", capabilities=255)
    api = Api(place.server, token)
    assert api.post("/v1/databases", {"slug": "mine"}).status == 403
    assert api.post("/v1/tokens", {"name": "mine"}).status == 403
    assert api.get("/v1/admin/tenants").status == 403
    assert api.delete("/v1/databases/default").status == 403


def test_refused_tokens(place):
    keys, now = place.keys, int(time.time())
    stranger = Key()
    good = keys["EdDSA"].token(id="acme")
    head, claims, signature = good.split(".")
    bad = {
        "another key": stranger.token(),
        "another key that says it is ours": stranger.token(_header={"kid": "1", "jwk": {"kty": "OKP"}}),
        "kid with a path": stranger.token(_header={"kid": "../../dev/null"}),
        "kid with SQL": stranger.token(_header={"kid": "x' UNION SELECT 'y"}),
        "jku": stranger.token(_header={"jku": f"http://{place.server.address}/keys"}),
        "alg none": unsigned({"a": "rw"}),
        "alg none with a signature": part({"alg": "none"}) + "." + claims + "." + signature,
        "no signature": f"{head}.{claims}.",
        "the RSA key as a secret": with_hmac(keys["RS256"].pem, {"a": "rw"}),
        "the same, said to be RS256": with_hmac(keys["RS256"].pem, {"a": "rw"}, alg="RS256"),
        "the raw key as a secret": with_hmac(keys["EdDSA"].raw, {"a": "rw"}),
        "another algorithm's key": keys["ES256"].token(_header={"alg": "EdDSA"}),
        "other claims": f"{head}.{part({'id': 'rival'})}.{signature}",
        "two dots more": good + ".x.y",
        "empty parts": "..",
        "one part": good.split(".")[0] + ".",
        "not base64url": good.replace(".", ".+", 1),
        "a": keys["EdDSA"].token(a="admin"),
        "a as a number": keys["EdDSA"].token(a=1),
        "exp as a text": keys["EdDSA"].token(exp="never"),
        "id as a list": keys["EdDSA"].token(id=["acme"]),
        "p as a list": keys["EdDSA"].token(p=["acme"]),
        "claims as a list": keys["EdDSA"].token(_claims=["a"]),
        "members twice": keys["EdDSA"].token(_claims='{"id":"acme","id":"rival"}'),
        "for somebody else": keys["EdDSA"].token(aud="another-service"),
        "huge": keys["EdDSA"].token(x="y" * 8000),
    }
    for name, token in bad.items():
        assert place.status(token, code="invalid_token") == 401, name
        assert place.hrana(token, execute("SELECT 1")).value["code"] == "AUTH_JWT_INVALID", name
    expired = keys["EdDSA"].token(exp=now - 3600)
    assert place.status(expired, code="token_expired") == 401
    assert place.hrana(expired).value["code"] == "AUTH_JWT_EXPIRED"
    early = keys["EdDSA"].token(nbf=now + 3600)
    assert place.status(early, code="invalid_token") == 401
    assert place.hrana(early).value["code"] == "AUTH_JWT_IMMATURE"
    assert place.hrana(None).value["code"] == "AUTH_HEADER_NOT_FOUND"
    assert place.status(good) == 200


def test_an_expired_token_is_not_remembered(place):
    # 60 s are forgiven for clocks that differ: it ends a second or two from now.
    token = place.keys["EdDSA"].token(exp=int(time.time()) - 58)
    assert place.status(token) == 200
    deadline = time.monotonic() + 30
    while place.status(token) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert place.status(token, code="token_expired") == 401


def test_keys_of_a_database_and_of_a_tenant_reach_no_further(place):
    own, tenants = Key("ES256"), Key()
    operator = place.admin.api
    operator.patch("/v1/databases/other", {"jwtKey": own.pem}, headers={"X-Rookery-Tenant": "acme"}).ok()
    operator.patch("/v1/admin/tenants/acme", {"jwtKey": tenants.raw}).ok()
    for claims in ({}, {"id": "other--acme"}, {"p": {"rw": {"ns": ["other--acme", "acme", "rival"]}}}):
        token = own.token(**claims)
        assert place.status(token, "INSERT INTO t VALUES (1)", database="other") == 200, claims
        assert place.status(token, database="OTHER") == 200, claims
        assert place.status(token) == 401, claims
        assert place.status(token, tenant="rival", database="other") == 401, claims
    assert place.status(own.token(id="acme"), database="other") == 403
    assert place.status(own.token(id="other--rival"), database="other") == 403
    token = tenants.token()
    assert place.status(token) == 200 and place.status(token, database="other") == 200
    assert place.status(token, tenant="rival") == 401
    assert place.status(tenants.token(id="rival"), code="namespace_mismatch") == 403
    assert place.status(tenants.token(id="rival"), tenant="rival") == 401
    # The server's own still count.
    assert place.status(place.keys["EdDSA"].token(), database="other") == 200


def test_only_operators_set_keys_and_bad_ones_are_refused(place):
    owner = place.acme.owner
    owner.patch("/v1/databases/default", {"jwtKey": Key().raw}).refused(403)
    for text in ("nonsense", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", "x" * 40000):
        place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": text}).refused(400)
    place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": 5}).refused(400)


def test_other_keys_end_the_tokens_of_the_old_ones(place):
    tenants, fresh = Key(), Key()
    token = tenants.token()
    place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": tenants.raw}).ok()
    api = Api(place.server, token)
    api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).ok()
    place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": fresh.raw}).ok()
    api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).refused(401)
    assert place.status(fresh.token()) == 200
    place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": None}).ok()
    assert place.status(fresh.token()) == 401


def reload(place, text):
    seen = len(place.server.events("config.reloaded"))
    place.key_file.write_text(text)
    place.server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while len(place.server.events("config.reloaded")) == seen:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_sighup_reads_the_servers_keys_again(place):
    old, fresh = place.keys["EdDSA"].token(), Key()
    api = Api(place.server, old)
    api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).ok()
    reload(place, "this is no key")
    assert place.server.events("jwt.keys_refused")
    api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).ok()
    reload(place, fresh.raw)
    api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).refused(401)
    assert place.status(fresh.token()) == 200


def socket_of(place, token, tenant="acme", hello=False):
    return HranaSocket(Database(Api(place.server, token), tenant, "default"), hello=hello)


def test_hello_takes_them_as_http_does(place):
    now, key = int(time.time()), place.keys["ES256"]
    for token, code in ((Key().token(), "AUTH_JWT_INVALID"), (unsigned({}), "AUTH_JWT_INVALID"),
                        ("a" * 9000 + ".b.c", "AUTH_JWT_INVALID"),
                        (key.token(exp=now - 3600), "AUTH_JWT_EXPIRED"), (key.token(nbf=now + 3600), "AUTH_JWT_IMMATURE"),
                        (key.token(id="rival"), "NAMESPACE_MISMATCH")):
        with socket_of(place, token) as one:
            one.send_hello()
            answer = one.receive()
            assert answer["type"] == "hello_error" and answer["error"]["code"] == code, answer
    with socket_of(place, key.token(id="acme", a="ro"), hello=True) as one:
        one.one("open_stream", stream_id=1)
        one.one("execute", stream_id=1, stmt=stmt("SELECT 1"))
        assert one.fails("execute", stream_id=1, stmt=stmt("INSERT INTO t VALUES (1)")) == "SQLITE_AUTH"


def test_other_keys_end_open_connections(place):
    tenants = Key()
    place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": tenants.raw}).ok()
    by_tenant = socket_of(place, tenants.token(), hello=True)
    by_server = socket_of(place, place.keys["EdDSA"].token(), hello=True)
    for one in (by_tenant, by_server):
        one.one("open_stream", stream_id=1)
    place.admin.api.patch("/v1/admin/tenants/acme", {"jwtKey": None}).ok()
    by_tenant.send("execute", stream_id=1, stmt=stmt("SELECT 1"))
    assert by_tenant.receive()["type"] == "hello_error"
    by_server.one("execute", stream_id=1, stmt=stmt("SELECT 1"))
    reload(place, Key().raw)
    by_server.send("execute", stream_id=1, stmt=stmt("SELECT 1"))
    assert by_server.receive()["type"] == "hello_error"
    for one in (by_tenant, by_server):
        one.close()


def test_a_deleted_tenant_ends_its_tokens(place):
    token = place.keys["EdDSA"].token(id="rival")
    assert place.status(token, tenant="rival") == 200
    place.admin.api.delete("/v1/admin/tenants/rival").ok()
    assert place.status(token, tenant="rival") == 404


def test_a_stream_goes_on_with_its_token_only(place):
    key = place.keys["EdDSA"]
    token = key.token(id="acme", sub="one")
    begun = Stream(place.acme.database("third"))
    begun.path = "/acme/default/v2"
    answer = begun.send(execute("BEGIN"), execute("INSERT INTO t VALUES (5)"), api=Api(place.server, token))
    assert answer.status == 200, answer
    baton = answer.value["baton"]
    other = begun.send(execute("SELECT 1"), baton=baton, api=Api(place.server, key.token(id="acme", sub="two")))
    assert other.status == 400
    answer = begun.send(execute("COMMIT"), CLOSE, baton=baton, api=Api(place.server, token))
    assert answer.value["results"][0]["type"] == "ok", answer


def test_without_keys_every_signed_token_is_refused(admin, database):
    answer = Api(admin.server, Key().token()).post(database.path + "/query", {"sql": "SELECT 1"})
    answer.refused(401, "invalid_token")


def test_a_key_file_that_is_wrong_ends_the_start(start_server, tmp_path):
    for name, text in (("none", None), ("empty", "\n"), ("bad", b64(b"x" * 31))):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        server = start_server("--jwt-key", str(path), start=False)
        with pytest.raises(AssertionError, match="exit status 2"):
            server.start()


def test_strangers_floods_do_not_stop_those_who_were_let_in(place):
    """More bogus tokens than one thread verifies: answered 401 or 429, and the known one goes on."""
    token = place.keys["EdDSA"].token()
    api = Api(place.server, token)
    api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).ok()
    head, claims, signature = place.keys["ES256"].token().split(".")
    flood = []
    for i in range(40):
        stranger = Api(place.server, f"{head}.{part({'n': i})}.{signature}")
        connection = stranger.connect()
        connection.send(f"POST /v1/db/acme/default/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stranger.token}\r\n"
                        "Content-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"sql\":\"SELECT\"}")
        flood.append((stranger, connection))
        api.post("/v1/db/acme/default/query", {"sql": "SELECT 1"}).ok()
    for stranger, connection in flood:
        assert connection.receive("POST").status in (401, 429)
        stranger.close()
    assert place.hrana(token, batch("SELECT 1")).status == 200
