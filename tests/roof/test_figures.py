"""README, cards and docs say what the program prints."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

import engine.presets
from engine.presets import preset_names, shipped_names
from scripts.drawn_trials import TABLES
from scripts.preset_measure import coded_names
from training.corpus.real import only_measured

ROOT = Path(__file__).parents[2]
SOUND = ROOT / "docs" / "sound"


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "scripts" / "figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_figure_is_stale(figures: ModuleType) -> None:
    assert [str(path) for path in figures.stale()] == [], "run `make figures`"


def test_every_preset_has_its_marks(figures: ModuleType) -> None:
    marked = {path: [found[2] for found in figures.MARK.finditer(path.read_text("utf-8"))]
              for path in figures.files()}
    assert marked[ROOT / "README.md"] == ["presets", "drawn", "looped", "struck"]
    trials = [f"{figures.TRIALS}{name}" for name in TABLES]
    for page, marks in (
            ("sound", ["heard"]), ("presets", ["targets"]), ("violin", ["played", *trials]),
            ("drums", ["strokes", "stroke-trials"]), ("notes", ["held-notes"]),
            ("quality", ["shipped", "discriminators"]),
            ("loops", ["loop-levels", "loop-lengths", "loops"])):
        assert marked[ROOT / "docs" / f"{page}.md"] == marks
    for name in preset_names():
        assert marked[ROOT / "engine" / "presets" / f"{name}.md"] == [name]


def test_a_changed_figure_is_stale(figures: ModuleType) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert figures.written(text) == text
    number = figures.short(figures.facts("techno-tiny"))[1]
    changed = text.replace(number, "1,234")
    assert changed != text
    assert figures.written(changed) == text


def test_prose_has_the_same_figures(figures: ModuleType) -> None:
    """Sentences too: a number of parameters belongs to a preset, and so does the arithmetic that is
    named with it."""
    shapes = {figures.short(figures.facts(name))[1:3] for name in preset_names()}
    seen = 0
    for path in figures.files():
        text = figures.MARK.sub("", path.read_text("utf-8"))
        for parameters, macs in re.findall(r"(\d+,\d+)\s+parameters(?:,\s+(\d+)\s+MMAC/s)?", text):
            seen += 1
            assert any(parameters == shape[0] and macs in ("", shape[1]) for shape in shapes), path
    assert seen


def test_one_latency(figures: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """README, cards, `tudor presets` and `tudor info`: lookahead and a frame but one sample."""
    from engine.reports import print_info, print_presets

    print_presets(False)
    listed = capsys.readouterr().out
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in coded_names():
        row = figures.facts(name)
        forward, frame = row["methods"]["forward"], row["methods"]["encode"]["out_ratio"]
        samples = forward["lookahead_samples"] + frame - 1
        shown = f"{1000 * samples / row['sample_rate_hz']:.1f} ms"
        print_info(name, False, None, False)
        told = capsys.readouterr().out
        card = (ROOT / "engine" / "presets" / f"{name}.md").read_text("utf-8")
        for text, line in ((listed, f"│ {name} "), (told, "│ forward "), (card, "| latency |"),
                           (readme, f"[`{name}`](engine")):
            assert shown in next(part for part in text.splitlines() if line in part), (name, line)


def test_every_card_names_its_sources_and_their_licences(figures: ModuleType) -> None:
    from scripts.preset_measure import card_of

    for name in preset_names():
        text = (ROOT / "engine" / "presets" / f"{name}.md").read_text("utf-8")
        (line,) = [line for line in text.splitlines() if line.startswith("| sources |")]
        sources = card_of(name)["sources"]
        assert sources
        for row in sources:
            assert f"{row['what']} ({row['licence']})" in line
            assert re.search(r"CC0|MIT|public domain", row["licence"]), (name, row["licence"])
            assert not only_measured(Path(row["what"]))


@pytest.mark.parametrize(("cut", "put", "said"), [
    (r"held_out = .*?\n", 'held_out = ["tekno"]\n', "card.held_out is ['tekno']; wanted kinds of"),
    (r"\nboard =", "\nbord = 1\nboard =", "[card] has bord, which is no key"),
    (r"\nboard =", '\nrecordings = "bells"\nboard =',
     "card.recordings is 'bells'; wanted one of loops, ambient"),
    (r"\n\[\[card\.sources\]\].*", "", "[card] lacks sources"),
    (r"\nlicence = [^\n]*", "", "each of [[card.sources]] needs `what` and `licence`"),
    (r"\[card\].*", "", "[card] lacks board, dtype, held_out, purpose, sources, training"),
])
def test_a_card_without_sources_is_refused(cut: str, put: str, said: str, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch,
                                           figures: ModuleType) -> None:
    from scripts.preset_measure import card_of

    name = preset_names()[0]
    text = engine.presets.preset_path(name).read_text("utf-8")
    changed = re.sub(cut, put, text, flags=re.DOTALL)
    assert changed != text
    (tmp_path / f"{name}.toml").write_text(changed, "utf-8")
    card_of(name)
    monkeypatch.setattr(engine.presets, "_HERE", tmp_path)
    with pytest.raises(SystemExit) as refused:
        card_of(name)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"engine/presets/{name}.toml: ")


def test_a_preset_is_measured_on_the_real_sound_that_its_card_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: ModuleType,
) -> None:
    from scripts import preset_measure
    from scripts.preset_measure import materials

    for each in ("ambi_choir", "ambi_drone", "loop_amen"):
        (tmp_path / f"{each}.flac").touch()
    monkeypatch.setattr(preset_measure, "SAMPLES", tmp_path)
    name = "techno-desktop"
    text = engine.presets.preset_path(name).read_text("utf-8")
    loops = materials(name)
    changed = re.sub(r"\nheld_out = .*", '\nheld_out = ["textures"]\nrecordings = "ambient"', text)
    changed = changed.replace("\ncompression", "\nchannels = 2\ncompression")
    (tmp_path / f"{name}.toml").write_text(changed, "utf-8")
    monkeypatch.setattr(engine.presets, "_HERE", tmp_path)
    ambient = materials(name)
    assert [row.key for row in loops] == ["techno", "breaks", "notes", "other", "held", "loops"]
    assert [(row.key, row.title) for row in ambient] == [
        ("textures", "held-out textures"), ("held", "real ambient sound nobody trained on"),
        ("loops", "all real ambient sound, most of it learnt from")]
    assert ambient[0].folder.name == "textures-48000-2"
    assert not {row.folder for row in ambient} & {row.folder for row in loops}
    for row in ambient[1:]:
        row.fill(tmp_path / row.key)
    assert [path.name for path in (tmp_path / "held").iterdir()] == ["ambi_choir.flac"]
    assert {path.name for path in (tmp_path / "loops").iterdir()} == {"ambi_choir.flac",
                                                                      "ambi_drone.flac"}


def test_every_shipped_preset_is_measured() -> None:
    from scripts.preset_measure import current

    assert [name for name in shipped_names() if not current(name)] == [], (
        "run python scripts/figures.py --measure")


def test_figures_belong_to_the_weights_that_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: ModuleType,
) -> None:
    """Other weights have no figures yet, and every document says so."""
    from scripts import preset_cards, preset_measure

    name = "techno-tiny"
    assert preset_cards.figures_of(name) is not None
    copied = tmp_path / f"{name}.tudor"
    native = engine.presets.shipped_native(name)
    assert native is not None
    copied.write_bytes(native.read_bytes() + b"\0")
    monkeypatch.setattr(preset_measure, "shipped_native", lambda _: copied)
    assert preset_cards.figures_of(name) is None
    for lines in (preset_cards.sound_page(), preset_cards.sound_part(name, 16000)):
        assert f"`python scripts/figures.py --measure {name}`" in "\n".join(lines)
    assert preset_cards.readme_cells(name, 16000) == ["-"] * 5
    assert f"| {name} | - | - |" in "\n".join(preset_cards.shipped_table())
    matrix = preset_cards.target_matrix(dict.fromkeys(coded_names(), 16000))
    head, _, *cells = [[cell.strip() for cell in row.split("|")] for row in matrix]
    assert len(cells) > 10
    assert {row[head.index(name)] for row in cells} == {"-"}


def test_each_card_has_floors_and_ceilings_and_says_what_is_missed(figures: ModuleType) -> None:
    from scripts.preset_cards import EXPORTED, figures_of, judged
    from scripts.preset_measure import RECORDINGS, recordings

    for name in coded_names():
        if (found := figures_of(name)) is None:
            continue
        loops = recordings(name) is RECORDINGS["loops"]
        assert {"held", "loops", *(("other", "notes") if loops else ())} <= set(found)
        card = (ROOT / "engine" / "presets" / f"{name}.md").read_text("utf-8")
        heard = [part for key, part in found.items() if key != EXPORTED]
        assert card.count("| noise 128 (floor) |") == len(heard)
        assert card.count("| 1 ms late (ceiling) |") == len(heard)
        for part in found.values():
            assert f"| **{part['title']}**, {part['files']} files" in card
        verdict = judged(found, figures.facts(name)["sample_rate_hz"])
        assert card.count("| missed |") == sum(v.met is False for v in verdict)
        assert card.count("| met |") == sum(v.met is True for v in verdict)


def test_what_is_held_out_is_for_measuring_only(figures: ModuleType) -> None:
    from scripts.preset_clips import CLIPS
    from scripts.preset_measure import RECORDINGS

    assert len(CLIPS) == len(RECORDINGS) > 1
    for kind, real in RECORDINGS.items():
        assert set(real.held) == set(CLIPS[kind][1])
        assert all(only_measured(Path(f"{name}.flac")) for name in real.held)


def test_new_weights_stand_beside_those_of_before(
    monkeypatch: pytest.MonkeyPatch, figures: ModuleType,
) -> None:
    """What was shipped in 0.1 is shown for as long as something else is shipped now."""
    from scripts import preset_cards
    from scripts.preset_measure import digest

    name, rows = "techno-tiny", preset_cards.measured
    before = rows(name, SOUND / "before")
    assert before is not None
    for other in (False, True):
        old = {**before, "weights": "other" if other else digest(name)}
        monkeypatch.setattr(preset_cards, "measured", lambda each, folder=SOUND, old=old: (
            rows(each) if folder == SOUND else old if each == name else None))
        page = "\n".join(preset_cards.sound_page())
        assert ("|  | original | in 0.1 | now |" in page) is other
        assert (f'src="sound/before/{name}-real.mp3"' in page) is other
        assert ("| in 0.1 | " in page) is other


def test_what_was_measured_is_json_of_a_line_for_each_material(figures: ModuleType) -> None:
    from scripts.preset_measure import told

    found = {"preset": "p", "clips": {"real": "`a`"}, "measured": {"x": {"v": [1.5]}, "y": {}}}
    assert json.loads(told(found)) == found
    for path in (SOUND / f"{name}.json" for name in shipped_names()):
        text = path.read_text("utf-8")
        assert text == told(json.loads(text))
        assert text.count("\n") == len(json.loads(text)["measured"]) + 6
