"""Dependencies point one way: src -> proto -> tenants. (The linker proves it a second time: meson
links each layer with -Wl,-z,defs.)"""

import re

import pytest
from tree import TOP, c_files, text

# What each folder may include with "…" (rooted at the top), and what it may not with <…>.
LAYERS = {
    "tenants": ({"tenants"}, r"(uv|llhttp|msgpack|jansson|wslay|curl|editline|ini)\b|sys/socket|netinet|arpa|"
                             r"netdb|sys/un\.h|sys/epoll|poll\.h"),
    "proto": ({"proto", "tenants"}, r"(uv|curl|editline|jansson|sqlite3|ini)\b|sys/socket|netinet|"
                                    r"arpa|netdb|sys/un\.h|sys/epoll|poll\.h|fcntl\.h|unistd\.h|"
                                    r"sys/uio\.h"),
    "src": ({"src", "proto", "tenants"}, None),
}
# The base knows only itself.
BASE = "tenants/base/"


def includes(path):
    """(line number, quote or <, what) of every #include."""
    for number, line in enumerate(text(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1), match.group(2)


@pytest.mark.parametrize("folder", LAYERS)
def test_layer_includes_only_what_is_below_it(folder):
    allowed, forbidden = LAYERS[folder]
    found = []
    for path in (path for path in c_files() if path.startswith(folder + "/")):
        for number, kind, name in includes(path):
            outside = kind == '"' and name.split("/")[0] not in allowed
            if outside or kind == "<" and forbidden and re.match(forbidden, name):
                found.append(f"{path}:{number}: {name}")
    assert not found, "\n".join(found)


def test_base_includes_only_base():
    found = [f"{path}:{number}: {name}" for path in c_files() if path.startswith(BASE)
             for number, kind, name in includes(path)
             if kind == '"' and not name.startswith(BASE)]
    assert not found, "\n".join(found)


def test_includes_are_rooted_at_the_top():
    found = [f"{path}:{number}: {name}" for path in c_files() for number, kind, name in includes(path)
             if kind == '"' and not (TOP / name).exists()]
    assert not found, "\n".join(found)


def test_the_server_and_the_tool_share_no_code_but_tenants_base():
    """rook is a client: it links no server."""
    found = [f"{path}:{number}: {name}" for path in c_files() if path.startswith("src/rook/")
             for number, kind, name in includes(path)
             if kind == '"' and not name.startswith(("src/rook/", "proto/", "tenants/base/"))]
    assert not found, "\n".join(found)
