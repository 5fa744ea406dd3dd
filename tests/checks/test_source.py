"""Rules about the C source that need no compiler."""

import re

import pytest
from tree import c_files, code, places, product_files, text

# Word: what to use instead. A row of EXCEPTIONS is a decision; say why.
BANNED = {
    "strcpy": "str_copy or buf", "strcat": "buf", "strncpy": "str_copy", "strncat": "buf",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "a loop",
    "strtok_r": "a loop", "atoi": "str's number reader", "atol": "str's number reader",
    "atoll": "str's number reader", "atof": "strtod", "scanf": "a parser", "sscanf": "a parser",
    "fscanf": "a parser", "localtime": "gmtime_r", "gmtime": "gmtime_r", "ctime": "strftime",
    "asctime": "strftime", "alloca": "the arena", "system": "posix_spawn", "popen": "posix_spawn",
    "usleep": "an event", "sleep": "an event", "tmpnam": "mkstemp", "mktemp": "mkstemp",
    "rand": "random.h", "srand": "random.h", "getenv": "config's table",
}
ALLOCATORS = ("malloc", "calloc", "realloc", "reallocarray", "strdup", "strndup", "free",
              "aligned_alloc", "posix_memalign")
EXCEPTIONS = {
    # (file or folder, word): why
    ("src/config", "getenv"): "the option table reads ROOKERY_*",
    ("src/rook/shell.c", "free"): "the line is getline()'s",
    ("src/rook", "getenv"): "the command line tool reads HOME and its own ROOKERY_*",
}
LINES_MAX = 600


def excepted(path, word):
    return any(path.startswith(place) and word == name for place, name in EXCEPTIONS)


@pytest.mark.parametrize("word", sorted(BANNED))
def test_banned_call_is_not_used(word):
    found = [place for path in product_files() if not excepted(path, word)
             for place in places(path, rf"(?<![\w.>]){word}\s*\(")]
    assert not found, f"use {BANNED[word]}:\n" + "\n".join(found)


@pytest.mark.parametrize("word", ALLOCATORS)
def test_allocator_is_called_only_in_base(word):
    found = [place for path in product_files()
             if not path.startswith("tenants/base/") and not excepted(path, word)
             for place in places(path, rf"(?<![\w.>]){word}\s*\(")]
    assert not found, "use tenants/base/mem.h or an arena:\n" + "\n".join(found)


def test_files_stay_short():
    long = [f"{path}: {lines} lines" for path in product_files()
            if (lines := text(path).count("\n")) > LINES_MAX]
    assert not long, f"over {LINES_MAX} lines:\n" + "\n".join(long)


def test_every_header_guards_itself():
    bare = []
    for path in (path for path in c_files() if path.endswith(".h")):
        guard = re.sub(r"\W", "_", path).upper()
        if not re.search(rf"^#ifndef {guard}\n#define {guard}$", text(path), re.M):
            bare.append(f"{path}: wants #ifndef {guard}")
    assert not bare, "\n".join(bare)


def test_structs_are_not_typedefd():
    found = [place for path in c_files() for place in places(path, r"\btypedef\s+(struct|union|enum)\b")]
    assert not found, "\n".join(found)


def test_nothing_is_left_to_do_later():
    found = [f"{path}:{n}: {line.strip()}" for path in c_files()
             for n, line in enumerate(text(path).splitlines(), 1)
             if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)]
    assert not found, "\n".join(found)


def test_the_checks_see_code_only():
    """The check of the checks: a comment or string is no call, a call is one."""
    import tree
    stripped = tree.NOT_CODE.sub(lambda m: " " * len(m.group()),
                                 'x = "strcpy(a)"; /* atoi(b) */ // gets(c)\n sprintf(d);')
    assert re.findall(r"\w+(?=\()", stripped) == ["sprintf"]
    assert code("tenants/base/mem.c").count("\n") == text("tenants/base/mem.c").count("\n")
