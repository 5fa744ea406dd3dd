"""Branches and snapshots: isolation both ways, resets, expiry, names, rights, restarts."""

import json
import os
import subprocess
import threading
import time
from urllib.parse import quote

import pytest

from api import Api, Closed, Database
from server import BUILD, PATIENCE


def put(database, ref, body=None):
    return database.api.request("PUT", f"{database.path}/branches/{quote(ref, safe='')}", body or {})


def branch_of(database, ref, body=None):
    made = put(database, ref, body).ok()
    return Database(database.api, database.tenant, made["slug"])


def refs(database):
    return [row["branchRef"] for row in database.get("branches").ok()]


def later(check, what):
    """Waits for what happens in the background."""
    until = time.monotonic() + 30 * PATIENCE
    while not check():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@pytest.fixture
def main(admin):
    database = admin.tenant().database("main")
    database.query("CREATE TABLE t (a)").ok()
    database.query("INSERT INTO t VALUES (1)").ok()
    return database


def values(database):
    return [row[0] for row in database.rows("SELECT a FROM t ORDER BY a")]


def test_neither_sees_what_the_other_writes(main):
    made = put(main, "pr-42", {"ttlDays": 7, "name": "a pull request"}).ok()
    assert made["branchRef"] == "pr-42" and made["slug"] == "main-pr-42"
    assert made["outcome"] == "created" and made["status"] == "active" and made["forkedFromId"]
    assert made["expiresAt"] and made["name"] == "a pull request"
    branch = Database(main.api, main.tenant, "main@pr-42")
    assert values(branch) == [1]
    main.query("INSERT INTO t VALUES (2)").ok()
    branch.query("INSERT INTO t VALUES (3)").ok()
    assert (values(main), values(branch)) == ([1, 2], [1, 3])
    for name in ("main@pr-42", "main.pr-42", "main-pr-42", "MAIN@PR-42"):
        assert values(Database(main.api, main.tenant, name)) == [1, 3], name
    of_branch = branch_of(branch, "deeper")
    branch.query("DELETE FROM t").ok()
    assert values(of_branch) == [1, 3] and of_branch.slug == "main-deeper"
    assert refs(main) == ["deeper", "pr-42"]
    storage = branch.get("storage").ok()
    assert storage["sharedBytes"] > 0 and storage["layers"] >= 2


def test_upsert_resets_to_the_parents_present_state(main):
    branch = branch_of(main, "pr")
    first = main.get("branches/pr").ok()
    branch.query("DROP TABLE t").ok()
    main.query("INSERT INTO t VALUES (2)").ok()
    again = put(main, "pr", {"ttlSec": 60}).ok()
    assert again["outcome"] == "reset" and again["id"] == first["id"] and again["expiresAt"]
    assert values(branch) == [1, 2]
    branch.query("INSERT INTO t VALUES (3)").ok()
    assert (values(main), values(branch)) == ([1, 2], [1, 2, 3])
    assert refs(main) == ["pr"]


def test_a_long_reader_is_not_waited_for(main, server):
    """It holds the parent's log: the branch has what was committed since, and the reader goes on."""
    from hrana import Stream  # the session that can hold a read transaction
    stream = Stream(main)
    before = stream.query("SELECT count(*) FROM t")
    stream.query("BEGIN")
    assert stream.query("SELECT count(*) FROM t") == before
    main.query("INSERT INTO t VALUES (2)").ok()
    assert values(branch_of(main, "pr")) == [1, 2]
    kept = main.api.post(f"{main.path}/snapshots", {}).ok()
    main.query("INSERT INTO t VALUES (3)").ok()
    assert values(branch_of(main, "kept", {"snapshot": kept["id"]})) == [1, 2]
    assert stream.query("SELECT count(*) FROM t") == before
    stream.close()


def test_branches_under_writers_hold_whole_transactions(main):
    stop = threading.Event()
    failures = []

    def write():
        api = main.seen_by(Api(main.api.server, main.api.token))
        while not stop.is_set():
            answer = api.batch(["INSERT INTO t VALUES (7)", "INSERT INTO t VALUES (7)"],
                               transaction=True)
            if answer.status != 200:
                failures.append(answer)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        seen = []
        for i in range(10):
            branch = branch_of(main, f"pr-{i}")
            count = branch.rows("SELECT count(*) FROM t")[0][0]
            assert count % 2 == 1 and branch.rows("PRAGMA integrity_check") == [["ok"]]
            seen.append((branch, count))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert [count for _, count in seen] == sorted(count for _, count in seen)
    assert all(branch.rows("SELECT count(*) FROM t") == [[count]] for branch, count in seen)


def test_delete_and_make_again(main):
    branch = branch_of(main, "pr")
    branch.query("INSERT INTO t VALUES (9)").ok()
    assert main.api.request("DELETE", f"{main.path}/branches/pr").ok()["deleted"] is True
    assert branch.query("SELECT 1").status == 404
    assert main.api.request("DELETE", f"{main.path}/branches/pr").status == 404
    assert values(branch_of(main, "pr")) == [1]
    assert main.api.request("DELETE", f"/v1/db/{main.tenant}/main@pr").status == 200
    assert refs(main) == []


def test_a_database_goes_and_comes_back_with_its_branches(main):
    branch = branch_of(main, "pr")
    branch.query("INSERT INTO t VALUES (2)").ok()
    gone = branch_of(main, "gone")
    main.api.request("DELETE", f"{main.path}/branches/gone").ok()
    main.api.request("DELETE", "/v1/databases/main").ok()
    assert branch.query("SELECT 1").status == 404
    main.api.post("/v1/databases/main/restore").ok()
    assert (values(main), values(branch), refs(main)) == ([1], [1, 2], ["pr"])
    assert gone.query("SELECT 1").status == 404


def test_names_and_their_collisions(main):
    for ref in ("-x", "a b", "x" * 65, "ü", ""):
        assert put(main, ref).status in (400, 404, 405), ref
    put(main, "main").refused(409, "conflict")
    slashed = branch_of(main, "feature/x")
    assert slashed.slug == "main-feature-x"
    assert branch_of(main, "feature-x").slug == "main-feature-x-2"
    assert main.get("branches/feature%2Fx").ok()["slug"] == "main-feature-x"
    assert put(main, "FEATURE/X").ok()["outcome"] == "reset", "refs are compared without case"
    main.api.post("/v1/databases", {"slug": "main-feature-x"}).refused(409, "conflict")
    main.api.post("/v1/databases", {"slug": "main-taken"}).ok()
    put(main, "taken").refused(409, "conflict")
    # Renaming: of the branch, and of the database with all of them.
    renamed = main.api.request("PATCH", f"{main.path}/branches/feature-x", {"ref": "other"}).ok()
    assert (renamed["branchRef"], renamed["slug"]) == ("other", "main-other")
    main.api.request("PATCH", "/v1/databases/main", {"slug": "prod"}).ok()
    assert values(Database(main.api, main.tenant, "prod-other")) == [1]
    assert values(Database(main.api, main.tenant, "prod@feature/x".replace("/", "-"))) == [1]


def test_protected(main):
    branch_of(main, "keep", {"protected": True})
    put(main, "keep").refused(409, "conflict")
    path = f"{main.path}/branches/keep"
    main.api.request("DELETE", path).refused(409, "conflict")
    main.api.request("DELETE", f"/v1/db/{main.tenant}/main-keep").refused(409, "conflict")
    main.api.request("DELETE", "/v1/databases/main").refused(409, "conflict")
    main.api.request("PATCH", path, {"protected": False}).ok()
    main.api.request("DELETE", path).ok()


def test_it_ends_by_itself(main):
    branch = branch_of(main, "pr")
    soon = int((time.time() + 1) * 1000)
    main.api.request("PATCH", f"{main.path}/branches/pr", {"expiresAt": soon}).ok()
    later(lambda: branch.query("SELECT 1").status == 404, "it is still there")
    assert refs(main) == []
    assert put(main, "pr").ok()["outcome"] == "created", "its name is free"
    past = main.api.request("PATCH", f"{main.path}/branches/pr", {"expiresAt": 1000})
    past.refused(400, "bad_request")


def test_schema_only(main):
    main.query("CREATE INDEX i ON t(a)").ok()
    main.query("CREATE VIRTUAL TABLE f USING fts5(x)").ok()
    main.query("CREATE VIEW v AS SELECT a FROM t").ok()
    main.query("CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO f VALUES (new.a); END").ok()
    branch = branch_of(main, "empty", {"data": False})
    assert values(branch) == []
    branch.query("INSERT INTO t VALUES (5)").ok()
    assert branch.rows("SELECT x FROM f") == [[5]] and values(main) == [1]
    main.api.post(f"{main.path}/branches/empty/promote", {}).refused(409, "conflict")
    assert put(main, "empty").ok()["outcome"] == "created"
    assert values(branch) == [1]


def test_snapshots(main):
    kept = main.api.post(f"{main.path}/snapshots", {"label": "before"}).ok()
    assert kept["label"] == "before"
    main.query("INSERT INTO t VALUES (2)").ok()
    restored = main.api.post(f"{main.path}/snapshots/{kept['id']}/restore", {}).ok()
    assert values(main) == [1]
    assert [row["id"] for row in main.get("snapshots").ok()] == [restored["snapshot"]["id"], kept["id"]]
    assert values(branch_of(main, "old", {"snapshot": restored["snapshot"]["id"]})) == [1, 2]
    main.api.post(f"{main.path}/restore", {"snapshotId": restored["snapshot"]["id"]}).ok()
    assert values(main) == [1, 2]
    for row in main.get("snapshots").ok():
        main.api.request("DELETE", f"{main.path}/snapshots/{row['id']}").ok()
    assert main.get("snapshots").ok() == [] and values(main) == [1, 2]
    main.api.post(f"{main.path}/snapshots/{kept['id']}/restore", {}).refused(404, "not_found")


def test_promote(main):
    branch = branch_of(main, "pr")
    branch.query("INSERT INTO t VALUES (2)").ok()
    main.query("INSERT INTO t VALUES (3)").ok()
    done = main.api.post(f"{main.path}/branches/pr/promote", {}).ok()
    assert values(main) == [1, 2] and values(branch) == [1, 2]
    main.query("INSERT INTO t VALUES (4)").ok()
    assert values(branch) == [1, 2]
    main.api.post(f"{main.path}/snapshots/{done['snapshot']['id']}/restore", {}).ok()
    assert values(main) == [1, 3]


def test_claim(main):
    claimed = main.api.post(f"{main.path}/claim_branch", {"purpose": "an agent", "ttlSec": 600})
    assert claimed.status == 200
    data = claimed.ok()
    assert set(data) == {"branchRef", "namespaceSlug", "databaseSlug", "token", "expiresAt", "outcome"}
    assert data["outcome"] == "created" and data["branchRef"].startswith("an-agent-")
    put(main, "other").ok()
    agent = Api(main.api.server, data["token"])
    mine = Database(agent, main.tenant, data["databaseSlug"])
    mine.query("INSERT INTO t VALUES (2)").ok()
    assert values(main) == [1]
    for name in ("main", "main-other", "main@other", "main@main"):
        assert Database(agent, main.tenant, name).query("SELECT 1").status == 404, name
    again = main.api.post(f"{main.path}/claim_branch", {"ref": data["branchRef"]}).ok()
    assert again["outcome"] == "reset" and values(mine) == [1]


def test_tokens_of_some_branches(main, admin):
    put(main, "pr-1").ok()
    put(main, "release").ok()
    token = main.api.post("/v1/tokens", {"role": "readwrite", "branches": ["pr-*"]}).ok()["token"]
    api = Api(main.api.server, token)
    assert Database(api, main.tenant, "main@pr-1").query("SELECT 1").status == 200
    assert Database(api, main.tenant, "main-pr-1").query("SELECT 1").status == 200
    for name in ("main", "main@release", "main-release"):
        assert Database(api, main.tenant, name).query("SELECT 1").status == 404, name
    token = main.api.post("/v1/tokens", {"databases": ["main-pr-1"]}).ok()["token"]
    api = Api(main.api.server, token)
    assert Database(api, main.tenant, "main@pr-1").query("SELECT 1").status == 200
    assert Database(api, main.tenant, "main").query("SELECT 1").status == 404
    token = main.api.post("/v1/tokens", {"databases": ["main-*"]}).ok()["token"]
    api = Api(main.api.server, token)
    assert Database(api, main.tenant, "main-pr-1").query("SELECT 1").status == 404
    some = main.api.post("/v1/tokens", {"role": "owner", "branches": ["main", "pr-*"]}).ok()["token"]
    seen = main.seen_by(Api(main.api.server, some))
    assert refs(seen) == ["pr-1"]
    put(seen, "pr-2").ok()
    put(seen, "release").refused(403, "forbidden")
    assert seen.get("branches/release").status == 404


def test_rook(main, tmp_path):
    """The commands, as a person in a shell would give them."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ROOKERY_TOKEN": main.api.token}

    def rook(*words):
        done = subprocess.run([BUILD / "rook", "--url", f"http://{main.api.server.address}", *words],
                              capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    assert "created" in rook("branch", "create", "main", "feature/x", "--ttl", "7d")
    assert "reset" in rook("branch", "create", "main", "feature/x")
    assert "main-feature-x" in rook("branch", "list", "main")
    Database(main.api, main.tenant, "main-feature-x").query("INSERT INTO t VALUES (2)").ok()
    assert "promoted" in rook("branch", "promote", "main", "feature/x", "--yes")
    assert values(main) == [1, 2]
    assert "kept" in rook("snapshot", "create", "main", "mine")
    kept = {row["label"]: row["id"] for row in main.get("snapshots").ok()}
    assert "mine" in rook("snapshot", "list", "main")
    assert "restored" in rook("snapshot", "restore", "main", kept["before feature/x"], "--yes")
    assert values(main) == [1]
    assert "deleted" in rook("snapshot", "delete", "main", kept["mine"], "--yes")
    assert "deleted" in rook("branch", "delete", "main", "feature/x", "--yes")
    assert refs(main) == []


def test_what_a_restart_finds(main, server, admin):
    branch = branch_of(main, "pr")
    branch.query("INSERT INTO t VALUES (2)").ok()
    kept = main.api.post(f"{main.path}/snapshots", {}).ok()
    server.kill()
    server.start()
    main.api.server = server
    assert (values(main), values(branch)) == ([1], [1, 2])
    assert [row["id"] for row in main.get("snapshots").ok()] == [kept["id"]]
    assert values(branch_of(branch, "deeper")) == [1, 2]


def test_killed_while_branching(main, server):
    """Whatever was answered is there; what was not is there whole or not at all, and can be made."""
    made = set()
    for turn in range(5):
        ends = threading.Event()

        def work():
            i = 0
            try:
                while True:
                    ref = f"b{turn}-{i % 7}"
                    if put(main, ref).status == 200:
                        made.add(ref)
                    i += 1
            except (OSError, Closed):
                ends.set()

        thread = threading.Thread(target=work)
        thread.start()
        later(lambda: any(ref.startswith(f"b{turn}-") for ref in made), "no branch was made")
        server.kill()
        thread.join()
        server.start()
        listed = set(refs(main))
        assert made <= listed, "a branch that was answered is gone"
        for ref in listed:
            branch = Database(main.api, main.tenant, f"main@{ref}")
            assert values(branch) == [1] and branch.rows("PRAGMA integrity_check") == [["ok"]]
        assert put(main, f"b{turn}-0").status == 200
    assert json.dumps(sorted(made))


@pytest.mark.parametrize("name", ["main@pr-42", "main.pr-42", "main-pr-42", "main%40pr-42"])
def test_libsqls_clients_reach_a_branch_by_its_name(main, name):
    from hrana import Stream, transaction
    from hrana_socket import HranaSocket
    branch = branch_of(main, "pr-42")
    named = Database(main.api, main.tenant, name)
    stream = Stream(named)
    assert stream.query("SELECT a FROM t") == [[1]]
    stream.one(transaction("INSERT INTO t VALUES (2)"))
    with HranaSocket(named) as socket:
        socket.open(0)
        socket.execute(0, "BEGIN IMMEDIATE")
        socket.execute(0, "INSERT INTO t VALUES (3)")
        socket.execute(0, "COMMIT")
        assert socket.query(0, "SELECT a FROM t ORDER BY a") == [[1], [2], [3]]
    assert (values(main), values(branch)) == ([1], [1, 2, 3])
