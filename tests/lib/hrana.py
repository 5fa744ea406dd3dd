"""Hrana over HTTP as its clients speak it: pipelines, batons, values."""

import base64


def encode(value):
    """A Python value as Hrana's JSON has it."""
    if value is None:
        return {"type": "null"}
    if isinstance(value, bool) or isinstance(value, int):
        return {"type": "integer", "value": str(int(value))}
    if isinstance(value, float):
        return {"type": "float", "value": value}
    if isinstance(value, bytes):
        return {"type": "blob", "base64": base64.b64encode(value).decode()}
    return {"type": "text", "value": value}


def decode(value):
    kind = value["type"]
    if kind == "null":
        assert set(value) == {"type"}
        return None
    if kind == "integer":
        assert isinstance(value["value"], str)
        return int(value["value"])
    if kind == "float":
        assert isinstance(value["value"], (float, int))
        return float(value["value"])
    if kind == "text":
        return value["value"]
    assert kind == "blob" and not value["base64"].endswith("=")
    return base64.b64decode(value["base64"] + "=" * (-len(value["base64"]) % 4))


def stmt(sql, *args, **named):
    """A statement; want_rows=… is its own member."""
    made = {"sql": sql}
    if "want_rows" in named:
        made["want_rows"] = named.pop("want_rows")
    if args:
        made["args"] = [encode(a) for a in args]
    if named:
        made["named_args"] = [{"name": k, "value": encode(v)} for k, v in named.items()]
    return made


def execute(sql, *args, **named):
    return {"type": "execute", "stmt": stmt(sql, *args, **named)}


def step(sql, condition=None, **extra):
    made = {"stmt": stmt(sql, **extra)}
    if condition is not None:
        made["condition"] = condition
    return made


def ok(i):
    return {"type": "ok", "step": i}


def batch(*steps):
    return {"type": "batch", "batch": {"steps": [s if isinstance(s, dict) else step(s) for s in steps]}}


def transaction(*sqls, begin="BEGIN IMMEDIATE"):
    """The batch of @libsql/client's batch(): each step if the one before succeeded."""
    steps = [step(begin, want_rows=False)]
    for sql in sqls:
        steps.append(step(sql, ok(len(steps) - 1)))
    steps.append(step("COMMIT", ok(len(steps) - 1), want_rows=False))
    steps.append(step("ROLLBACK", {"type": "not", "cond": ok(len(steps) - 1)}, want_rows=False))
    return batch(*steps)


CLOSE = {"type": "close"}


class Stream:
    """One stream over HTTP: keeps the baton."""

    def __init__(self, database, version=3):
        self.database, self.version, self.baton = database, version, None
        self.path = f"/{database.tenant}/{database.slug}/v{version}"

    def send(self, *requests, baton="own", api=None):
        body = {"requests": list(requests)}
        baton = self.baton if baton == "own" else baton
        if baton is not None:
            body["baton"] = baton
        return (api or self.database.api).request("POST", self.path + "/pipeline", body)

    def run(self, *requests):
        """The results; each is a response, or an error."""
        answer = self.send(*requests)
        assert answer.status == 200, answer
        assert answer.response.header("Content-Type") == "application/json"
        assert set(answer.value) == {"baton", "base_url", "results"}
        assert len(answer.value["results"]) == len(requests), answer
        self.baton = answer.value["baton"]
        results = []
        for request, result in zip(requests, answer.value["results"]):
            if result["type"] == "ok":
                assert result["response"]["type"] == request["type"], answer
                results.append(result["response"])
            else:
                assert result["type"] == "error" and set(result["error"]) == {"message", "code"}, answer
                results.append(result["error"])
        return results

    def one(self, request):
        """One request's response, which must be good."""
        (response,) = self.run(request)
        assert "type" in response, response
        return response

    def fails(self, request):
        (error,) = self.run(request)
        assert "code" in error, error
        return error["code"]

    def query(self, sql, *args, **named):
        """The rows of one statement."""
        result = self.one(execute(sql, *args, **named))["result"]
        return [[decode(v) for v in row] for row in result["rows"]]

    def close(self):
        return self.run(CLOSE)
