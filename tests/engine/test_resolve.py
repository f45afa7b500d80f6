"""One answer to "which model do you mean?"."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError, ModelFileError
from engine.presets import preset_names, preset_path
from engine.resolve import FILE, PLAYERS, PRESET, RUN, SETTINGS, player_class, resolve


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_called(name: str) -> Path:
    Path(name).mkdir()
    (Path(name) / "config.toml").write_text("")
    return Path(name)


def test_each_kind_is_told_apart() -> None:
    run_called("mine")
    Path("x.tudor").touch()
    Path("shape.toml").touch()
    assert resolve("techno-tiny") == resolve(Path("techno-tiny"))
    found = [resolve(name) for name in ("techno-tiny", "mine", "x.tudor", "shape.toml")]
    assert [meant.kind for meant in found] == [PRESET, RUN, FILE, SETTINGS]
    assert [meant.name for meant in found] == ["techno-tiny", "mine", "x", "shape"]
    assert found[0].settings == preset_path("techno-tiny")
    assert found[1].settings == Path("mine/config.toml")
    assert found[2].native == Path("x.tudor")
    assert found[0].native is not None
    assert found[1].native is None
    with pytest.raises(ConfigError, match=r"x\.tudor is a model file: its shape cannot be trained"):
        _ = found[2].settings


def test_a_run_called_like_a_preset_is_the_run_but_any_folder_is_not() -> None:
    name = preset_names()[0]
    Path(name).mkdir()
    assert resolve(name).kind == PRESET
    (Path(name) / "config.toml").write_text("")
    assert resolve(name).kind == RUN


@pytest.mark.parametrize(("named", "accept", "said"), [
    ("techno-tny", (RUN, PRESET), "techno-tny is no run directory or preset; did you mean "
                                  "'techno-tiny'?"),
    ("gone.tudor", (RUN, FILE, PRESET), "gone.tudor does not exist"),
    ("x.wav", (RUN, FILE, PRESET), "x.wav: a model file ends in .ts, .onnx or .tudor, not '.wav'"),
    ("x.tudor", (RUN, PRESET), "x.tudor is no run directory or preset"),
])
def test_mistakes_say_what_would_be_right(named: str, accept: tuple[str, ...], said: str) -> None:
    for file in ("x.wav", "x.tudor"):
        Path(file).touch()
    with pytest.raises(ModelFileError) as error:
        resolve(named, accept)
    assert str(error.value) == said


def test_every_suffix_names_a_player() -> None:
    for suffix in PLAYERS:
        assert player_class(Path(f"x{suffix}")).backend
