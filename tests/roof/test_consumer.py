"""libtudor as a stranger meets it: installed into a prefix that was then moved, and used by a
program that knows nothing of this repository, through CMake and through pkg-config."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.core.core_build import need, run

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "core" / "fuzz" / "corpus" / "latents.tudor"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

# The same text is C and C++. It plays a block and prints whether the runtime's parts hold together.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <tudor.h>

int main(int argc, char **argv) {
    static char bytes[1 << 20];
    char *file = bytes + (64 - (size_t)bytes % 64) % 64;
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    size_t length = f ? fread(file, 1, (1 << 20) - 64, f) : 0;
    tudor_model model;
    tudor_sizes need;
    tudor_method_info m;
    tudor *t;
    if (tudor_open(file, length, &model, NULL) || tudor_method(&model, 0, &m)) return 1;
    if (tudor_measure(&model, 1, m.frame_samples, &need)) return 2;
    void *fast = aligned_alloc(64, need.fast_bytes / 64 * 64 + 64);
    void *bulk = aligned_alloc(64, need.bulk_bytes / 64 * 64 + 64);
    if (tudor_init(&model, 1, m.frame_samples, fast, need.fast_bytes, bulk, need.bulk_bytes, &t))
        return 3;
    float *in = (float *)calloc(m.in_channels * m.frame_samples, sizeof(float));
    float *out = (float *)calloc(m.out_channels * m.frame_samples, sizeof(float));
    if (tudor_process(t, 0, in, out, m.frame_samples)) return 4;
    printf("%s %s %s\n", tudor_name(&model), m.name, tudor_error_text(TUDOR_ERROR_CHECKSUM));
    return fclose(f);
}
"""
SAID = "case forward checksum does not match: file is damaged\n"
PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(foreign C CXX)
find_package(tudor {version} REQUIRED)
add_executable(foreign foreign.{suffix})
target_link_libraries(foreign PRIVATE tudor::tudor)
"""


@pytest.fixture(scope="module", params=["static", "shared"])
def prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    cmake = need("cmake")
    # one level of optimisation for all: it is the installation that is tried here
    flags = "-O0 -DTUDOR_ONLY_SCALAR -DTUDOR_NO_AVX512"
    run(cmake, "-S", ROOT, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=None",
        f"-DCMAKE_C_FLAGS={flags}", f"-DBUILD_SHARED_LIBS={request.param == 'shared'}",
        f"-DCMAKE_INSTALL_PREFIX={folder / 'first'}")
    run(cmake, "--build", folder / "build", "-j", "2", timeout=300)
    run(cmake, "--install", folder / "build")
    shutil.rmtree(folder / "build")
    return (folder / "first").rename(folder / "moved here")


def library_folder(prefix: Path) -> Path:
    (found,) = prefix.rglob("libtudor.so" if prefix.parent.name.startswith("shared")
                            else "libtudor.a")
    return found.parent


@pytest.mark.parametrize("suffix", ["c", "cpp"])
def test_a_foreign_program_through_cmake(prefix: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"foreign.{suffix}").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(version=VERSION, suffix=suffix))
    run(need("cmake"), "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "b")
    assert run(tmp_path / "b" / "foreign", MODEL) == SAID


@pytest.mark.parametrize(("compiler", "options"), [
    ("gcc", ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-xc"]),
    ("g++", ["-std=c++17", "-Wall", "-Wextra", "-pedantic", "-Werror", "-xc++"]),
])
def test_a_foreign_program_through_pkg_config(
    prefix: Path, tmp_path: Path, compiler: str, options: list[str]
) -> None:
    (tmp_path / "foreign").write_text(PROGRAM)
    os_env = {**os.environ, "PKG_CONFIG_PATH": str(library_folder(prefix) / "pkgconfig")}

    def ask(*what: str) -> str:
        done = subprocess.run([need("pkg-config"), *what, "tudor"], env=os_env, check=True,
                              capture_output=True, text=True)
        return done.stdout.strip()

    assert ask("--modversion") == VERSION
    flags = [flag.replace("\\ ", " ") for flag in re.split(r"(?<!\\) ", ask("--cflags", "--libs"))]
    run(need(compiler), *options, tmp_path / "foreign", "-xnone", *flags,
        f"-Wl,-rpath,{library_folder(prefix)}", "-o", tmp_path / "program")
    assert run(tmp_path / "program", MODEL) == SAID


def test_another_version_is_not_accepted(prefix: Path, tmp_path: Path) -> None:
    major, minor, _ = VERSION.split(".")
    wanted = f"{major}.{int(minor) + 1}"
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(version=wanted, suffix="c"))
    (tmp_path / "foreign.c").write_text(PROGRAM)
    done = subprocess.run(["cmake", "-S", tmp_path, "-B", tmp_path / "b",
                           f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True, text=True)
    assert done.returncode != 0
    assert f'requested version "{wanted}"' in " ".join(done.stderr.split())


def test_a_project_can_hold_the_sources(tmp_path: Path) -> None:
    """add_subdirectory, and so FetchContent: configured only, the rest is the same."""
    text = PROJECT.format(version=VERSION, suffix="c").replace(
        f"find_package(tudor {VERSION} REQUIRED)", f'add_subdirectory("{ROOT}" tudor)')
    assert "add_subdirectory" in text
    (tmp_path / "CMakeLists.txt").write_text(text)
    (tmp_path / "foreign.c").write_text(PROGRAM)
    shown = run(need("cmake"), "-S", tmp_path, "-B", tmp_path / "b")
    assert "Generating done" in shown


def test_a_shared_library_shows_what_the_header_declares(prefix: Path) -> None:
    if not prefix.parent.name.startswith("shared"):
        return
    from tests.core.thread_tags import thread_tags

    header = prefix / "include" / "tudor" / "tudor.h"
    shown = run(need("nm"), "-D", "--defined-only", library_folder(prefix) / "libtudor.so")
    names = {line.split()[-1] for line in shown.splitlines()}
    assert names == set(thread_tags(header.read_text(encoding="utf-8")))
