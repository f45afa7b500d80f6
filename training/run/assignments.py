"""`--set key=value`: from its text to its place in the tables of a configuration."""

from __future__ import annotations

import tomllib
from typing import Any

from engine.errors import ConfigError, nearest


def parse_assignment(text: str, known: dict[str, list[str]]) -> tuple[str, str, Any]:
    """`model.latents=8` as ("model", "latents", 8); the table may be left out where it is clear.

    `known`: keys of each table."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise ConfigError(f"--set {text}: wanted key=value, for example model.latents=8")
    table, dot, key = name.partition(".")
    if dot and table not in known and any(name in keys for keys in known.values()):
        dot = ""  # a key of a table inside: regulariser.kind
    everything = [f"{t}.{k}" for t, keys in known.items() for k in keys]
    if not dot:
        owners = [t for t, keys in known.items() if name in keys]
        if len(owners) > 1:
            raise ConfigError(
                f"--set {text}: {name!r} is ambiguous; say "
                + " or ".join(f"{owner}.{name}" for owner in owners)
            )
        bare = [k for keys in known.values() for k in keys]
        if not owners:
            raise ConfigError(f"--set {text}: unknown key {name!r}{nearest(name, bare)}")
        return owners[0], name, _value(value)
    if table not in known or key not in known[table]:
        elsewhere = [f"{t}.{k}" for t, keys in known.items() for k in keys if k == key]
        hint = nearest(name, elsewhere or everything)
        raise ConfigError(f"--set {text}: unknown key {name!r}{hint}")
    return table, key, _value(value)


def _value(text: str) -> Any:
    """A TOML value; what is none is taken as a plain string."""
    text = text.strip()
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def assign(
    tables: dict[str, dict[str, Any]], assignments: list[tuple[str, str, Any]]
) -> None:
    """Put assignments in their places. A table that is told to be of another kind forgets what
    the preset had set for the old one, wherever among the assignments that stands."""
    for table, key, value in sorted(assignments, key=lambda item: not item[1].endswith(".kind")):
        place, _, last = key.rpartition(".")
        if not place:
            tables[table][last] = value
            continue
        if last == "kind" and value is None:
            value = "none"  # here the word is a name
        inner = tables[table].get(place)
        inner = dict(inner) if isinstance(inner, dict) else {}
        if last == "kind" and inner.get("kind", "kl") != value:
            inner = {}
        tables[table][place] = {**inner, last: value}
