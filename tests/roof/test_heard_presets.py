"""Every shipped preset can be seen and heard where documents tell of it."""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

from engine.presets import shipped_names
from scripts.preset_measure import coded_names, loop_names, stroke_names
from scripts.preset_notes import is_pitched

ROOT = Path(__file__).parents[2]
SOUND = ROOT / "docs" / "sound"
MOST_SOUND_BYTES = 4_300_000  # of sixteen presets
PAGES = ("sound", "violin", "loops", "drums", "notes")  # that play presets
MADE = (*loop_names(), *stroke_names())  # presets that make sound from nothing


def test_every_shipped_preset_can_be_seen_and_heard() -> None:
    """Its part of the page shows what lies there, all of it and nothing else."""
    parts, *others = (
        re.split(rf"^{mark} (.+)$", (ROOT / "docs" / f"{page}.md").read_text("utf-8"), flags=re.M)
        for page, mark in zip(PAGES, ("###", "##", "###", "###", "###"), strict=True))
    assert parts[1::2] == coded_names()
    kinds = loop_names(), *([name for name in stroke_names() if is_pitched(name) == pitched]
                            for pitched in (False, True))
    assert [[name for name in found[1::2] if name in shipped_names()]
            for found in others[1:]] == list(kinds)
    shown: set[str] = set()
    every = [part for page in (parts, *others) for part in page[1:]]
    for name, part in zip(every[::2], every[1::2], strict=True):
        if name not in shipped_names() or "Not measured yet" in part:  # which another test minds
            continue
        players = re.findall(r'<audio controls preload="none" [^>]*src="sound/([^"]+\.mp3)"', part)
        pictures = re.findall(r"!\[spectrogram: [^\]]+\]\(sound/([^)]+\.webp)\)", part)
        assert {path.removesuffix(".mp3") for path in players} == {
            path.removesuffix(".webp") for path in pictures}
        counts = [sum(p.startswith(f"{what}-") for p in players) for what in (name, "original")]
        assert counts == ([3, 1] if name in MADE else [2, 2])
        shown |= {*players, *pictures}
    there = {str(p.relative_to(SOUND)) for p in SOUND.rglob("*") if p.suffix in (".mp3", ".webp")}
    assert shown <= there
    measured = tuple(f"{name}-" for name in shipped_names()
                     if {f"{name}-real.mp3", f"{name}-bach.mp3", f"{name}-morph.mp3"} & shown)
    assert measured
    assert {path for path in there - shown if path.startswith(("original-", *measured))} == set()
    assert sum(path.stat().st_size for path in SOUND.rglob("*.mp3")) < MOST_SOUND_BYTES


def test_pictures_and_players_are_of_the_same_sound() -> None:
    for path in SOUND.rglob("*.mp3"):
        info = soundfile.info(path)
        assert info.channels in (1, 2)
        assert 1.5 < info.duration < (14 if path.stem.endswith("-morph") else 6), path.name
        original = SOUND / f"original-{path.stem.rpartition('-')[2]}-{info.samplerate // 1000}k.mp3"
        # Trials are heard beside each other, and loops from nothing have no original.
        if path.stem.startswith(("original-", "drawn-", *MADE)):
            continue
        assert abs(soundfile.info(original).frames - info.frames) <= 2 * 1152, path.name
        sound, _ = soundfile.read(path)
        assert abs(sound).max() > 0.05, f"{path.name} is silent"
