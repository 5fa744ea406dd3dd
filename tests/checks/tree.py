"""What the checks look at: the project's own C files, and their text without comments and strings."""

import functools
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("tenants", "proto", "src", "bench", "tests")

# A comment, a string or a character constant, whichever begins first.
NOT_CODE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


@functools.cache
def c_files():
    """Paths from the top, as strings, sorted; headers too."""
    return sorted(str(path.relative_to(TOP)) for folder in FOLDERS
                  for path in (TOP / folder).rglob("*.[ch]")
                  if not {"peers", "results", "node_modules"} & set(path.parts))


def product_files():
    """What is linked into the server and the tool."""
    return [path for path in c_files() if path.startswith(("tenants/", "proto/", "src/"))]


def headers():
    return [path for path in c_files() if path.endswith(".h")]


def text(path):
    return (TOP / path).read_text()


@functools.cache
def code(path):
    """The text with comments and strings blanked; lines keep their numbers."""
    return NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text(path))


def places(path, pattern):
    """`file:line: word` for each match of the pattern in the file's code."""
    return [f"{path}:{code(path).count(chr(10), 0, match.start()) + 1}: {match.group().strip()}"
            for match in re.finditer(pattern, code(path))]
