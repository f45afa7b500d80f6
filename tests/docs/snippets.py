"""The fenced blocks of the documents, and what a line of shell in them is.

A block says its language. What it cannot be run for stands in a comment right above it, which
readers do not see:

    <!-- not run: needs a Daisy -->

Shell is parsed all the same: every option must be one that the command knows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import typer

ROOT = Path(__file__).parents[2]
LANGUAGES = ("sh", "python", "c", "cmake", "toml", "mapping", "calibration", "csv", "text")
MARK = re.compile(r"<!-- not run: (.+) -->")
# Commands of others, whose options are not ours to check.
FOREIGN = ("pip", "git", "cmake", "cc", "tensorboard", "cd")


@dataclass(frozen=True)
class Snippet:
    """A block of a document; `line` is where its text begins."""

    file: str
    line: int
    language: str
    text: str
    not_run: str  # why, or empty

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def documents() -> list[Path]:
    """Whatever is written for people to follow."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")),
            *sorted((ROOT / "examples").glob("*.md")),
            *sorted((ROOT / "engine" / "presets").glob("*.md"))]


def snippets_of(path: Path) -> list[Snippet]:
    """All fenced blocks; ValueError for one without a language, or code that is only indented."""
    lines = path.read_text(encoding="utf-8").splitlines()
    name, found, at = str(path.relative_to(ROOT)), [], 0
    while at < len(lines):
        if not lines[at].startswith("```"):
            if lines[at].startswith("    ") and not lines[at - 1].strip():
                raise ValueError(f"{name}:{at + 1}: code stands in fences, not indented")
            at += 1
            continue
        language, end = lines[at][3:].strip(), lines.index("```", at + 1)
        if language not in LANGUAGES:
            raise ValueError(f"{name}:{at + 1}: a block says one of {LANGUAGES}, got {language!r}")
        mark = MARK.fullmatch(lines[at - 1].strip()) if at else None
        text = "\n".join(lines[at + 1 : end]) + "\n"
        found.append(Snippet(name, at + 2, language, text, mark[1] if mark else ""))
        at = end + 1
    return found


@cache
def all_snippets() -> tuple[Snippet, ...]:
    return tuple(snippet for path in documents() for snippet in snippets_of(path))


def shell_lines(text: str) -> list[list[str]]:
    """Commands as words, without comments; continued lines and `&&` are understood."""
    commands = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # variables before a command
            words = words[1:]
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            commands.append(words[:end])
            words = words[end + 1 :]
    return commands


def without_redirection(words: list[str]) -> tuple[list[str], str | None]:
    """The command, and the file that its output goes to."""
    if ">" not in words:
        return words, None
    at = words.index(">")
    return words[:at], words[at + 1]


def check_line(words: list[str]) -> None:
    """ValueError unless the command exists and knows each option and argument."""
    words, _ = without_redirection(words)
    first, *rest = words
    if first == "tudor":
        from nn_tudor.cli import COMMANDS, _one

        if rest[0] not in COMMANDS:
            raise ValueError(f"no command tudor {rest[0]}")
        parse(_one(rest[0]), rest[1:])
    elif first == "rtf-bench":
        parse(import_module("benchmarks.commands").app, rest)
    elif first == "make":
        check_make(rest)
    elif first == "python" and rest[0] == "-m":
        check_module(rest[1], rest[2:])
    elif first == "python" and rest[0] == "pocket.py":  # docs/own-model.md: tudor by another name
        check_line(["tudor", *rest[1:]])
    elif first.startswith("./") or first == "python":
        name = Path(rest[0] if first == "python" else f"{first}.c")
        script = ROOT / (name if name.parts[0] == "scripts" else Path("examples", name.name))
        if not script.exists():
            raise ValueError(f"no such program: {script}")
    elif first not in FOREIGN:
        raise ValueError(f"unknown command {first!r}")


def inline_commands(path: Path) -> list[tuple[str, str]]:
    """What the prose says in backticks of `tudor` and `rtf-bench`: (document, command)."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.findall(r"`((?:tudor|rtf-bench) [^`]+)`", text)
    return [(str(path.relative_to(ROOT)), " ".join(command.split())) for command in found]


def check_inline(line: str) -> None:
    """ValueError unless command and options exist; arguments may be left out in prose."""
    first, *words = line.split()
    if first == "tudor":
        from nn_tudor.cli import COMMANDS, _one

        name, *words = words
        if name.startswith("-"):
            words = [name]
            from nn_tudor.cli import _overview

            command = typer.main.get_command(_overview())
        elif name in COMMANDS:
            command = typer.main.get_command(_one(name))
        else:
            raise ValueError(f"no command tudor {name}")
    else:
        command = typer.main.get_command(import_module("benchmarks.commands").app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            raise ValueError(f"{line}: no command {words[0]}")
        command = command.commands[words.pop(0)]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known
             and word != "--help"]
    if wrong:
        raise ValueError(f"{line}: no option {wrong[0]}")


def check_make(words: list[str]) -> None:
    if "-C" in words:
        folder = ROOT / words[words.index("-C") + 1]
        if words[words.index("-C") + 1].startswith("firmware") and not folder.is_dir():
            raise ValueError(f"no such folder: {folder}")
        return
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    if words[0] not in targets:
        raise ValueError(f"the Makefile has no {words[0]}")


def check_module(name: str, words: list[str]) -> None:
    found = find_spec(name)
    if found is None:
        raise ValueError(f"no module {name}")
    module = import_module(f"{name}.__main__" if found.submodule_search_locations else name)
    if hasattr(module, "app"):
        parse(module.app, words)
        return
    app = typer.Typer()
    app.command()(getattr(module, name.rpartition(".")[2]))
    parse(app, words)


def parse(app: typer.Typer, words: list[str]) -> None:
    """Typer's own parser over the words, groups included; nothing is called."""
    command, words = typer.main.get_command(app), list(words)
    try:
        context = command.make_context("x", words)
        while hasattr(command, "resolve_command"):  # a group
            rest = [*getattr(context, "_protected_args", []), *context.args]
            _, command, rest = command.resolve_command(context, rest)
            context = command.make_context("x", rest, parent=context)
    except Exception as error:
        text = error.format_message() if hasattr(error, "format_message") else repr(error)
        raise ValueError(text) from None
