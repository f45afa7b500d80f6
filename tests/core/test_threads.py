"""tudor.h says of each function which thread may call it; a host with several threads is held to
it, and the thread sanitizer finds nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.core.core_build import CORE, compiled, core_sources
from tests.core.native_cases import case
from tests.core.thread_tags import TAGS, checking_header, thread_tags

HEADER = (CORE / "tudor.h").read_text(encoding="utf-8")


def test_every_function_has_a_tag() -> None:
    tags = thread_tags(HEADER)
    assert len(tags) >= 25
    assert set(tags.values()) == set(TAGS)
    assert tags["tudor_process"] == "audio-thread"
    assert tags["tudor_open"] == "main-thread"
    assert tags["tudor_name"] == "thread-safe"


@pytest.mark.parametrize("added", [
    "int tudor_new(tudor *t);",
    "/* Does it. */\nint tudor_new(tudor *t,\n              int more);",
    "int tudor_new(tudor *t); /* [any-thread] */",
    "/* [main-thread] */\nint tudor_new(tudor *t); /* [audio-thread] */",
    "/* [main-thread] */\n\nint tudor_new(tudor *t);",
    "const float *tudor_new(const tudor *t, size_t (*read)(void *, size_t));",
])
def test_a_function_without_a_tag_is_named(added: str) -> None:
    with pytest.raises(ValueError, match="tudor_new"):
        thread_tags(HEADER.replace("/* Checks everything", f"{added}\n\n/* Checks everything"))


def host(tmp_path: Path, *plant: str) -> subprocess.CompletedProcess[str]:
    text = checking_header(HEADER)
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "thread_checks.h").write_text(text)
    # Of the kernels' bodies only one is built: they differ in arithmetic, not in what they share.
    sources = [path for path in core_sources() if "avx" not in path.name]
    program = compiled("threads.c", "-std=gnu11", "-g", "-O1", "-ffp-contract=off",
                       "-fsanitize=thread", "-DTUDOR_ONLY_SCALAR", f"-I{folder}", cc="clang",
                       stamp=text, sources=sources)
    model = tmp_path / "m.tudor"
    model.write_bytes(case("latents"))
    return subprocess.run([program, model, *plant], capture_output=True, text=True, timeout=120)


def test_a_host_with_several_threads_races_with_nothing(tmp_path: Path) -> None:
    done = host(tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "", "functions of tudor.h that threads.c does not call yet"


def test_a_call_from_the_wrong_thread_is_found(tmp_path: Path) -> None:
    done = host(tmp_path, "plant=tag")
    assert done.returncode == 3
    assert "tudor_reset is [audio-thread] and was called on the main-thread" in done.stderr


def test_an_instance_played_by_two_threads_is_found(tmp_path: Path) -> None:
    assert "ThreadSanitizer: data race" in host(tmp_path, "plant=race").stderr
