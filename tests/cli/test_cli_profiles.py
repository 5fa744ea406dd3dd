"""Profiles, tokens, where a token may go, exit statuses, help."""

import json
import os
import pathlib
import re
import stat

import pytest
from fake_server import OPERATOR, OWNER, READER, ok

TOP = pathlib.Path(__file__).resolve().parents[2]


def profiles(rook):
    return pathlib.Path(rook.home) / ".config/rookery/profiles"


def login(rook, fake, *words, token=OWNER):
    return rook.check("login", fake.url, *words, stdin=token + "\n")


def test_login_keeps_the_token_private(bare, fake, orders):
    out = login(bare, fake)
    assert "acme" in out and OWNER not in out
    assert stat.S_IMODE(profiles(bare).stat().st_mode) == 0o600
    assert stat.S_IMODE(profiles(bare).parent.stat().st_mode) == 0o700
    assert bare.check("query", "orders", "select 1 as x", "--csv") == "x\n1\n"


def test_a_token_the_server_refuses_is_not_saved(bare, fake):
    result = bare("login", fake.url, stdin="psql_live_wrong")
    assert result.status == 4 and not profiles(bare).exists()


def test_no_check_saves_without_asking(bare, fake):
    bare.check("login", "http://127.0.0.1:1", "--no-check", stdin="psql_live_x")
    assert "127.0.0.1:1" in profiles(bare).read_text()


def test_xdg_config_home_is_honoured(bare, fake, tmp_path):
    bare.env["XDG_CONFIG_HOME"] = str(tmp_path / "cfg")
    login(bare, fake)
    assert (tmp_path / "cfg/rookery/profiles").exists()


def test_several_profiles(bare, fake):
    login(bare, fake)
    login(bare, fake, "--profile", "reader", token=READER)
    rows = [json.loads(line) for line in bare.check("profile", "list", "--jsonl").splitlines()]
    assert [(row["name"], row["current"]) for row in rows] == [("default", False), ("reader", True)]
    assert json.loads(bare.check("me", "--json"))["role"] == "readonly"
    assert json.loads(bare.check("me", "--json", "--profile", "default"))["role"] == "owner"
    assert json.loads(bare.check("me", "--json", env={"ROOKERY_PROFILE": "default"}))["role"] == "owner"
    bare.check("profile", "use", "default")
    assert json.loads(bare.check("me", "--json"))["role"] == "owner"
    bare.check("logout", "--profile", "default")
    assert [json.loads(line)["name"] for line in bare.check("profile", "list", "--jsonl").splitlines()] == ["reader"]
    assert OWNER not in profiles(bare).read_text()


def test_login_again_keeps_the_other_profiles(bare, fake):
    login(bare, fake, "--profile", "one")
    login(bare, fake, "--profile", "two", token=READER)
    login(bare, fake, "--profile", "one", token=OPERATOR)
    text = profiles(bare).read_text()
    assert OPERATOR in text and READER in text and OWNER not in text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_profiles_file_others_can_read_is_refused(bare, fake, mode):
    login(bare, fake)
    profiles(bare).chmod(mode)
    result = bare("me")
    assert result.status == 4 and "chmod 600" in result.err


@pytest.mark.parametrize("text, says", [
    ("[a]\nurll = x\n", "line 2: unknown setting 'urll'"),
    ("url = x\n", "line 1: unknown setting 'url'"),
    ("[a\n", "line 1"),
    ("[a b]\n", "line 1"),
    ("[a]\n[a]\n", "line 2"),
    ("[a]\nurl\n", "line 2"),
])
def test_a_profiles_file_that_is_wrong_says_where(bare, text, says):
    profiles(bare).parent.mkdir(parents=True)
    profiles(bare).write_text(text)
    profiles(bare).chmod(0o600)
    result = bare("me")
    assert result.status == 2 and says in result.err, result


def test_a_profiles_token_goes_to_its_own_url_only(bare, fake, orders):
    bare.check("login", "http://127.0.0.1:1", "--no-check", stdin="psql_live_secret")
    for words, env in ((("--url", fake.url), {}), ((), {"ROOKERY_URL": fake.url})):
        result = bare("query", "acme/orders", "select 1", *words, env=env)
        assert result.status == 4 and not fake.seen, result


def test_the_environment_beats_the_profile(bare, fake):
    login(bare, fake)
    assert json.loads(bare.check("me", "--json", env={"ROOKERY_TOKEN": READER}))["role"] == "readonly"


def test_a_token_file_beats_the_environment(rook, tmp_path):
    path = tmp_path / "token"
    path.write_text(f"  {READER}\r\n")
    path.chmod(0o600)
    assert json.loads(rook.check("me", "--json", "--token-file", str(path)))["role"] == "readonly"
    assert json.loads(rook.check("me", "--json", "--token-file", "-", stdin=READER))["role"] == "readonly"
    path.chmod(0o644)
    assert rook("me", "--token-file", str(path)).status == 4


@pytest.mark.parametrize("text", ["", "\n", "two words", "a\tb", "caf\u00e9"])
def test_what_is_no_token_is_refused_before_it_is_sent(rook, fake, text):
    result = rook("me", "--token-file", "-", stdin=text)
    assert result.status == 2 and not fake.seen


def test_a_token_is_never_an_argument(rook):
    result = rook("me", "--token", OWNER)
    assert result.status == 2 and "--token-file" in result.err and OWNER not in result.err


def test_login_over_plain_http_warns(bare):
    result = bare("login", "http://db.example.com", "--no-check", stdin=OWNER)
    assert "unencrypted" in result.err
    assert "unencrypted" not in bare("login", "https://db.example.com", "--no-check", stdin=OWNER).err


def test_requests_carry_the_token_in_a_header_only(rook, fake, orders):
    rook.check("query", "acme/orders", "select 1")
    request = fake.seen[-1]
    assert request["headers"]["Authorization"] == f"Bearer {OWNER}"
    assert OWNER not in request["path"] and OWNER not in json.dumps(request["body"])


def test_a_redirect_is_not_followed(rook, fake):
    fake.canned["GET /v1/me"] = (302, b"", {"Location": "http://127.0.0.1:1/"})
    result = rook("me")
    assert result.status == 3 and "302" in result.err


# -- exit statuses --------------------------------------------------------------------------------

@pytest.mark.parametrize("status, code, want", [
    (400, "sql_error", 1), (401, "invalid_token", 4), (403, "forbidden", 4), (404, "not_found", 1),
    (409, "conflict", 1), (413, "too_large", 1), (429, "rate_limited", 1), (500, "internal", 1),
    (503, "unavailable", 1),
])
def test_refusals_have_their_exit_status(rook, fake, status, code, want):
    fake.canned["POST /v1/db/acme/x/query"] = (
        status, {"success": False, "error": "no", "code": code, "requestId": "r-9"})
    result = rook("query", "acme/x", "select 1")
    assert result.status == want and code in result.err and "r-1" in result.err
    error = json.loads(rook("query", "acme/x", "select 1", "--json").err)
    assert (error["status"], error["code"], error["requestId"]) == (status, code, "r-9")


def test_retry_after_is_said(rook, fake):
    fake.canned["POST /v1/db/acme/x/query"] = (
        429, {"success": False, "error": "slow down", "code": "rate_limited"}, {"Retry-After": "7"})
    assert "try again in 7 s" in rook("query", "acme/x", "select 1").err


def test_no_server_is_status_3(bare):
    result = bare("me", "--url", "http://127.0.0.1:1", env={"ROOKERY_TOKEN": OWNER})
    assert result.status == 3 and "http://127.0.0.1:1" in result.err and OWNER not in result.err
    error = json.loads(bare("me", "--url", "http://127.0.0.1:1", "--json",
                            env={"ROOKERY_TOKEN": OWNER}).err)
    assert error["success"] is False and error["code"] == "unreachable"


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b"{}", b'{"success":true,"da'])
def test_another_kind_of_server_is_status_3(rook, fake, body):
    fake.canned["GET /v1/me"] = (200, body)
    assert rook("me").status == 3


def test_without_a_token_status_4_says_what_to_do(bare, fake):
    result = bare("query", "acme/x", "select 1", "--url", fake.url)
    assert result.status == 4 and "rook login" in result.err and not fake.seen


@pytest.mark.parametrize("words", [("bogus",), ("xyz",), ("token", "create", "--name", "x")])
def test_a_guess_must_be_near(rook, words):
    """What shares hardly a letter with the word was not meant."""
    result = rook(*words)
    assert result.status == 2 and "unknown" in result.err and "did you mean" not in result.err, result


@pytest.mark.parametrize("words, says", [
    ((), "usage: rook"),
    (("qurey", "x"), "did you mean 'query'"),
    (("db", "lsit"), "did you mean 'db list'"),
    (("db",), "rook help db"),
    (("query",), "usage: rook query"),
    (("db", "list", "extra"), "too many"),
    (("db", "list", "--formt", "csv"), "did you mean --format"),
    (("db", "list", "--limit"), "--limit N"),
    (("db", "list", "--limit", "x"), "whole number"),
    (("db", "list", "--deleted=1"), "takes no value"),
    (("db", "list", "-x"), "unknown option"),
    (("db", "list", "--format", "xml"), "--format takes"),
    (("db", "list", "--json", "--csv"), "another format"),
    (("me", "--url", "ftp://x"), "not a server's URL"),
    (("me", "--profile", "nobody"), "nobody"),
    (("help", "nothing"), "nothing"),
])
def test_a_wrong_command_line_is_status_2(rook, fake, words, says):
    result = rook(*words)
    assert result.status == 2 and says in result.err and result.out == "", result
    assert not fake.seen


# -- help -----------------------------------------------------------------------------------------

def commands(rook):
    text = rook.check("--help").split("\nCommands\n")[1].split("\nOptions of")[0]
    return [re.match(r"  ([a-z]+( [a-z]+)?)", line)[1] for line in text.splitlines() if line]


def test_every_command_has_help(rook):
    names = commands(rook)
    assert {"login", "query", "db shell", "db create", "token create", "stats"} <= set(names)
    for name in names:
        text = rook.check("help", *name.split())
        assert text.startswith(f"usage: rook {name}")
        assert rook.check(*name.split(), "--help") == text


def test_help_fits_the_screen(rook):
    for text in [rook.check("--help")] + [rook.check("help", *n.split()) for n in commands(rook)]:
        assert all(len(line) <= 100 for line in text.splitlines()), text


def test_the_manual_names_every_command_and_option(rook):
    manual = (TOP / "docs/rook.1.scd").read_text().replace("\\", "")
    for name in commands(rook):
        assert f"*{name}*" in manual, name
        assert f"rook {name}" in rook.check("help", *name.split())
        for option in re.findall(r"^  --([a-z-]+)", rook.check("help", *name.split()), re.M):
            assert f"*--{option}*" in manual, option
    for option in re.findall(r"^  --([a-z-]+)", rook.check("--help"), re.M):
        assert f"*--{option}*" in manual, option


def test_version(rook):
    assert re.fullmatch(r"rook \d+\.\d+\.\d+\n", rook.check("--version"))


def test_a_unix_socket_is_a_url(bare, tmp_path):
    """Nothing listens there: that it is tried is what counts."""
    result = bare("me", "--url", f"unix:{tmp_path}/sock", env={"ROOKERY_TOKEN": OWNER})
    assert result.status == 3


def test_the_output_must_be_written(rook, orders):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    import subprocess
    from rook_runner import ROOK
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(ROOK), "query", "acme/orders", "select 1"], stdout=full,
                              stderr=subprocess.PIPE, env=rook.env, timeout=60)
    assert done.returncode == 5 and b"No space left" in done.stderr


def test_a_proxy_in_the_environment_is_not_for_this_machine(rook, fake, orders):
    rook.check("query", "acme/orders", "select 1", env={"http_proxy": "http://127.0.0.1:1"})


def test_success_needs_the_word(rook, fake):
    fake.canned["GET /v1/me"] = (500, ok({"role": "owner"}))
    assert rook("me").status == 1
