"""What names of files and a table say of notes."""

from __future__ import annotations

import pytest

from engine.errors import ConfigError
from training.data.note_names import NamedNote, midi_pitch, note_named, notes_of


@pytest.mark.parametrize(("file", "note"), [
    ("bass_synthetic_033-022-050.wav",
     NamedNote("bass_synthetic_033", 22, 50, source="synthetic")),
    ("train/synth_lead_acoustic_000-127-127.flac",
     NamedNote("synth_lead_acoustic_000", 127, 127, source="acoustic")),
    ("Vn-ord-A4-mf-4c.wav", NamedNote("Vn", 69, 80, "ord", more="4c")),
    ("Strings/Va-pizz-lv-C#3-pp-4c-N.wav", NamedNote("Va", 49, 33, "pizz-lv", more="4c-N")),
    ("TpC+S-ord-Bb-1-ff.wav", NamedNote("TpC+S", 10, 112, "ord")),
    ("Acc-ord-C-1-fff-alt1-N.wav", NamedNote("Acc", 0, 126, "ord", more="alt1-N")),
])
def test_names_say_what_is_played(file, note):
    assert note_named(file) == note


@pytest.mark.parametrize("file", [
    "loop.wav", "bass_synthetic_33-022-050.wav", "bass_odd_033-022-050.wav",
    "bass_synthetic_033-128-050.wav", "bass_synthetic_033-022-128.wav", "Vn-ord-H4-mf.wav",
    "Vn-ord-A4-loud.wav", "Vn-ord-A9-mf.wav.wav", "Vn-A4-mf.wav", "Vn-ord-B9-mf.wav", ""])
def test_other_names_say_nothing(file):
    assert note_named(file) is None


def test_pitches_have_their_numbers():
    assert [midi_pitch(*name) for name in (("A", "", 4), ("C", "", 4), ("C", "b", 4), ("B", "#", 3),
                                           ("C", "", -1))] == [69, 60, 59, 60, 0]


def test_a_table_goes_before_names(tmp_path):
    (tmp_path / "metadata.csv").write_text(
        "file,instrument,pitch,velocity,dynamics,technique\n"
        "Vn-ord-A4-mf.wav,viola,C#3,100,,pizz\nb.wav,oboe,61,0.5,,\nc.wav,,60,,pp,\n")
    found = notes_of(tmp_path, ["Vn-ord-A4-mf.wav", "b.wav", "c.wav", "Vc-ord-A2-f.wav", "x.wav"])
    assert found == {
        "Vn-ord-A4-mf.wav": NamedNote("viola", 49, 100, "pizz"),
        "b.wav": NamedNote("oboe", 61, 64), "c.wav": NamedNote("?", 60, 33),
        "Vc-ord-A2-f.wav": NamedNote("Vc", 45, 96, "ord")}


@pytest.mark.parametrize(("row", "said"), [
    ("x.wav,oboe,H4,,", "pitch wants a MIDI number of 0 to 127 or a name such as A4, not 'H4'"),
    ("x.wav,oboe,128,,", "outside MIDI's 0 to 127"),
    ("x.wav,oboe,60,200,", "velocity wants 0 to 127"),
    ("x.wav,oboe,60,loud,", "velocity wants 0 to 127"),
    ("x.wav,oboe,60,,forte", "dynamics wants ppp, pp"),
])
def test_a_row_that_cannot_be_meant_is_named(tmp_path, row, said):
    (tmp_path / "metadata.csv").write_text(f"file,instrument,pitch,velocity,dynamics\n{row}\n")
    with pytest.raises(ConfigError, match="line 2") as error:
        notes_of(tmp_path, ["x.wav"])
    assert said in str(error.value)
