"""What tudor.h says of threads: a tag per function, and a header that holds a host to it."""

from __future__ import annotations

import re

TAGS = ("thread-safe", "main-thread", "audio-thread")
PROTOTYPE = re.compile(
    r"(?P<before>^/\*(?:(?!\*/).)*\*/\n)?"  # a comment of its own, right above
    r"^[A-Za-z][^;{}()#/]*?\b(?P<name>tudor_\w+)\([^;{}]*?\);"
    r"(?P<after>[^\n]*)", re.M | re.S)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
TAG = re.compile(r"\[([\w-]+)\]")


def thread_tags(header: str) -> dict[str, str]:
    """The tag of each function that `header` declares; ValueError names those without a right one.
    """
    found = {m["name"]: m["after"] + (m["before"] or "") for m in PROTOTYPE.finditer(header)}
    declared = re.findall(r"\b(tudor_\w+)\(", COMMENT.sub("", header))
    if sorted(found) != sorted(declared):
        raise ValueError(f"not understood as prototypes: {sorted(set(declared) ^ set(found))}")
    tags = {}
    for name, comment in found.items():
        said = [tag for tag in TAG.findall(comment) if tag.endswith(("-thread", "-safe"))]
        if len(said) != 1 or said[0] not in TAGS:
            raise ValueError(f"{name}: one of {TAGS} must stand beside it or in the comment right "
                             f"above, found {said}")
        tags[name] = said[0]
    return tags


def checking_header(header: str) -> str:
    """C that wraps each function in a check of the thread that calls it (threads.c says how)."""
    tags = thread_tags(header)
    lines = ["#define TUDOR_FUNCTIONS " + " ".join(f'X({name}, "{tag}")'
                                                   for name, tag in tags.items())]
    lines += [f"#define {name}(...) (entered({number}), {name}(__VA_ARGS__))"
              for number, name in enumerate(tags)]
    return "\n".join(lines) + "\n"
