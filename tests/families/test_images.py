"""Pictures alone: the preflight, and what is left out of a log where nothing is sound."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from tests.families.driver import Trainee, registered, rows
from tests.families.images import TOY
from training.run.config import resolve
from training.run.loop import Machine, train


def test_the_preflight_knows_pictures(tmp_path: Path) -> None:
    trainee = Trainee.of(TOY, tmp_path)
    (trainee.data / "torn.png").write_bytes((trainee.data / "00.png").read_bytes()[:60])
    console = Console(file=io.StringIO(), width=200)
    with registered(TOY):
        run = train(resolve(str(tmp_path / "painter.toml"), trainee.data, [], steps=2),
                    tmp_path / "run", Machine("cpu"), console).folder
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "20 pictures of 1 x 8 x 8 (4 for validation), 1 files skipped" in said
    assert "no methods to export" in said
    assert "audio_seconds_per_second" not in rows(run, "train")[-1]
    assert "torn.png: cannot be decoded" in (run / "skipped.txt").read_text()
