"""What the documents tell people to type works: shell is parsed by the commands themselves and run
where it is cheap, Python is executed, C compiled, TOML and mappings read by what reads them."""

from __future__ import annotations

import runpy
import shutil
import tomllib
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from scripts.preset_measure import checked_card
from tests.core.core_build import CORE, need, run
from tests.docs.snippets import (
    ROOT,
    Snippet,
    all_snippets,
    check_inline,
    check_line,
    documents,
    inline_commands,
    shell_lines,
    snippets_of,
    without_redirection,
)
from tests.training.evaluation.listening.listening_helpers import answer_to, key_for, written

# Parsed and not run, whatever the block: what takes minutes, and what needs another machine.
LONG: dict[str, str] = {
    "make": "whole walks", "pip": "installs", "git": "fetches", "cmake": "test_consumer.py",
    "cc": "test_consumer.py", "tensorboard": "a server", "rtf-bench": "measures", "cd": "a shell's",
    "python": "measures and trains", "./c_host": "test_examples.py",
    "tudor corpus": "minutes of sound", "tudor train": "trains", "tudor evaluate": "listens long",
    "tudor verify --all": "every machine", "tudor flash": "a card", "tudor export techno-daisy":
    "test_presets.py",
}
RATE = 8000
SHAPE = {"sample_rate_hz": RATE, "latents": 4, "compression": 32, "bands": 8, "strides": [4],
         "widths": [8, 12], "dilations": [1]}
RECORDINGS = [f"recordings/{i}" for i in range(4)]
# What a snippet takes for granted.
GIVEN: dict[str, dict[str, Any]] = {"README.md": {"block": np.zeros((1, 300), np.float32)}}
MODELS = {"docs/violin.md": "bach-pi"}  # that mappings are for
C_NAMES = """
int snippet(const void *bytes, size_t length, void *fast, void *bulk, const float *in, float *out);
int snippet(const void *bytes, size_t length, void *fast, void *bulk, const float *in, float *out) {
%s
return 0; }
"""


def of(*languages: str) -> list[Snippet]:
    return [snippet for snippet in all_snippets() if snippet.language in languages]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the documents speak of, of a small model."""
    import tomli_w

    from engine.files import CONFIG_FILE, WEIGHTS_FILE
    from engine.models.registry import build
    from engine.models.store import load_model, save_weights
    from export.targets import check, export_model

    folder = tmp_path_factory.mktemp("snippets")
    rng = np.random.default_rng(0)
    for name in ("loops/a", "held-out/loop_00000", *RECORDINGS, "in", "drums"):
        path = folder / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        seconds = 3 if name in RECORDINGS else 1  # what calibration wants at least
        soundfile.write(path, 0.3 * rng.standard_normal(seconds * RATE), RATE)
    settings = {"model": {"family": "raw_vae", **SHAPE},
                "training": {}, "data": {"folder": str(folder / "loops")}}
    first = folder / "RUN"
    first.mkdir()
    (first / CONFIG_FILE).write_text(tomli_w.dumps(settings))
    save_weights(build("raw_vae", SHAPE), first / WEIGHTS_FILE)
    for name in ("run", "runs/techno", "runs/first"):
        shutil.copytree(first, folder / name)
    stored = load_model(first)
    for target, suffix in (("nn", "ts"), ("onnx", "onnx"), ("native", "tudor")):
        for name in ("techno", "model"):
            out = folder / f"{name}.{suffix}"
            export_model(stored, check(target, out), out)
    for name in {"techno-tiny", *MODELS.values()}:
        shutil.copy(ROOT / "engine" / "presets" / f"{name}.tudor", folder)
    soundfile.write(folder / "stereo.wav", 0.3 * rng.standard_normal((RATE, 2)), RATE)
    key = key_for({"reference": "reference", "noise": "baseline", "first": "model"})
    written(folder / "page.key.json", key)
    for i in range(3):
        written(folder / f"answers/{i}.json", answer_to(
            key, {"reference": 100, "noise": 10 + i, "first": 50 + i}, seed=i))
    (folder / "moves.csv").write_text("0,knob1,0.2\n0.5,knob1,0.9\n")
    return folder


def long(words: list[str]) -> str:
    """Why a line is parsed only, or empty."""
    line = " ".join(words)
    return next((why for start, why in LONG.items() if line.startswith(start)), "")


def tudor(*words: object) -> None:
    """The command in this process; it must succeed."""
    from nn_tudor.cli import main

    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code in (0, None), words


TUTORIAL = "docs/own-model.md"


def test_there_is_something_to_check() -> None:
    found = all_snippets()
    assert len(found) > 30
    assert {"sh", "python", "c", "toml", "mapping"} <= {snippet.language for snippet in found}


@pytest.mark.parametrize("snippet", of("sh"), ids=str)
def test_every_line_of_shell_is_one_that_its_command_knows(snippet: Snippet) -> None:
    lines = shell_lines(snippet.text)
    assert lines
    for words in lines:
        check_line(words)


@pytest.mark.parametrize("line", [
    "tudor trian techno-tiny", "tudor export run --to nn --owt techno.ts", "rtf-bench --blocks 12",
    "tudor module simulat x", "make demmo", "python -m benchmarks.quality twenty --outt x",
    "tudor verify", "frobnicate", "tudor run a b", "tudor flash pi --hostnam x",
])
def test_a_wrong_line_is_found(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_line(shell_lines(line)[0])


def test_commands_in_prose_exist() -> None:
    found = [pair for path in documents() for pair in inline_commands(path)]
    assert len(found) > 40
    for file, line in found:
        try:
            check_inline(line)
        except ValueError as error:
            pytest.fail(f"{file}: {error}")


@pytest.mark.parametrize("line", ["tudor evaluat", "tudor run --alignn", "tudor module checks",
                                  "tudor flash pi --imagee x", "rtf-bench x --blocks"])
def test_a_wrong_command_in_prose_is_found(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_inline(line)


@pytest.mark.parametrize("text", ["```\ntudor\n```\n", "text\n\n    tudor run\n"])
def test_a_block_that_says_nothing_is_found(tmp_path: Path, text: str,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.snippets.ROOT", tmp_path)
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(ValueError, match=r"x.md:"):
        snippets_of(tmp_path / "x.md")


def cheap(snippet: Snippet) -> bool:
    """Whether any line of it is run here."""
    if snippet.file == TUTORIAL or snippet.not_run:
        return False
    return not all(map(long, shell_lines(snippet.text)))


@pytest.mark.parametrize("snippet", list(filter(cheap, of("sh"))), ids=str)
def test_cheap_shell_runs(snippet: Snippet, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    for words in shell_lines(snippet.text):
        if long(words):
            continue
        words, into = without_redirection(words)
        assert words[0] == "tudor"
        if into is None:
            tudor(*words[1:])
        else:
            with open(into, "w") as file, redirect_stdout(file):
                tudor(*words[1:])


@pytest.mark.parametrize("file", sorted({s.file for s in of("python")} - {TUTORIAL}))
def test_python_runs(file: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a document one after the other, as a reader would; what they register goes."""
    from training.evaluation.judges import registry

    monkeypatch.chdir(work)
    monkeypatch.setattr(registry, "JUDGES", dict(registry.JUDGES))
    names = dict(GIVEN.get(file, {}))
    for snippet in of("python"):
        if snippet.file == file and not snippet.not_run:
            exec(compile("\n" * (snippet.line - 1) + snippet.text, ROOT / file, "exec"), names)


def test_one_s_own_model_trains_exports_and_sounds(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tutorial, line by line: its files are written under the names in their first lines."""
    from engine.models.registry import FAMILIES

    monkeypatch.chdir(work)
    blocks = [snippet for snippet in all_snippets() if snippet.file == TUTORIAL]
    for snippet in blocks:
        if snippet.text.startswith("# pocket."):
            name = snippet.text.splitlines()[0].removeprefix("# ")
            (work / name).write_text(snippet.text)
    assert len((work / "pocket.py").read_text().splitlines()) <= 60
    lines = [words for s in blocks if s.language == "sh" for words in shell_lines(s.text)]
    assert {"train", "export", "verify"} <= {words[2] for words in lines}
    try:
        for words in lines:
            if words[0] == "tudor":
                FAMILIES.pop("pocket")  # what plays needs the file alone
                tudor(*words[1:])
                continue
            monkeypatch.setattr("sys.argv", words[1:])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(words[1], run_name="__main__")
            assert ended.value.code in (0, None), words
    finally:
        FAMILIES.pop("pocket", None)
    shown = capsys.readouterr().out
    assert "30 steps" in shown
    assert "pocket.onnx" in shown
    heard, rate_hz = soundfile.read(work / "out.wav")
    assert (len(heard), rate_hz) == (RATE, RATE)
    assert np.abs(heard).max() > 1e-3


@pytest.mark.parametrize("snippet", of("c"), ids=str)
def test_c_compiles(snippet: Snippet, tmp_path: Path) -> None:
    lines = snippet.text.splitlines()
    text = "\n".join(line for line in lines if line.startswith("#include")) + C_NAMES % "\n".join(
        line for line in lines if not line.startswith("#include"))
    (tmp_path / "snippet.c").write_text(text)
    run(need("gcc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{CORE}",
        tmp_path / "snippet.c")


@pytest.mark.parametrize("snippet", of("toml"), ids=str)
def test_settings_are_taken(snippet: Snippet) -> None:
    from engine.models.registry import configure
    from training.run.config import training_config

    tables = tomllib.loads(snippet.text)
    assert tables
    assert set(tables) <= {"model", "training", "summary", "card"}
    if "card" in tables:
        checked_card(tables["card"], snippet.file)
    model = dict(tables.get("model", {}))
    family = model.pop("family", None)
    if snippet.file == TUTORIAL:  # its family is its own
        family = None
    training_config(tables.get("training", {}), family)
    if family:
        configure(family, model)


@pytest.mark.parametrize("snippet", of("mapping", "calibration", "csv"), ids=str)
def test_the_instrument_reads_it(snippet: Snippet, work: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    option = {"mapping": "--map", "calibration": "--calibration", "csv": "--script"}
    given = work / f"given.{snippet.language}"
    given.write_text(snippet.text)
    model = MODELS.get(snippet.file, "techno-tiny")
    tudor("module", "simulate", *[f"{model}.tudor"] * 3, "--in", "in.wav", "--no-plot",
          "--out", "played.wav", option[snippet.language], given)
    assert soundfile.info(work / "played.wav").frames > RATE
