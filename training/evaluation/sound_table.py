"""The honest figures as tables for screen and page, and as pictures."""

from __future__ import annotations

from typing import Any, NamedTuple

from training.evaluation.judges.findings import Column, Grid, Plot, number

# The model's rows come first, then what it is read against.
SUBJECTS = {"model": "model", "noise_128": "noise 128 (floor)", "silence": "silence",
            "shifted": "1 ms late (ceiling)", "original": "original"}
COLUMNS = (
    Column("energy_score", "energy score"),
    Column("texture_db", "texture dB", ""),
    Column("texture_error_db", "texture error dB"),
    Column("modulation_ratio", "frame-rate modulation", "one"),
    Column("comb", "comb", ""),
    Column("octave_error_db", "worst octave dB"),
    Column("width_db", "width dB", ""),
    Column("width_error_db", "width error dB"),
    Column("partials_to_hz", "partials to Hz", "higher"),
    Column("pitch_cents", "pitch error cents"),
    Column("pitch_kept", "pitch within 20 cents", "higher"),
)

NOTE = ("the distance alone prefers smooth sound to noise: on noisy material less than 0.69 is "
        "smoother than noise, not better; the energy score does not")


class Standing(NamedTuple):
    """A figure of a player by itself, and what it should be."""

    key: str
    title: str
    wanted: str


STANDING = (
    Standing("start_dbfs", "click at the start, dBFS", "below -60"),
    Standing("start_ms", "it stays above -60 dBFS for, ms", "0"),
    Standing("reset_dbfs", "click after a reset, dBFS", "below -60"),
    Standing("idle_dbfs", "silence in, later, dBFS", "below -60"),
    Standing("held_at_frame_rate", "held latents: share at the frame rate above 700 Hz",
             "below 0.1, 1 is a buzz"),
    Standing("swept_modulation", "swept latents: modulation at the frame rate",
             "as noise, 0.05 to 0.1"),
)


def summary(result: dict[str, Any]) -> list[str]:
    """The figures in short, for a terminal: model, floor, ceiling and original beside each other,
    then what the model does by itself."""
    subjects = result["sound"]["subjects"]
    shown = {name: label for name, label in SUBJECTS.items()
             if name in subjects and name != "silence"}
    used = [c for c in COLUMNS if any(subjects[name].get(c.key) is not None for name in shown)]
    width, cells = max(len(c.heading) for c in used), [max(9, len(v)) for v in shown.values()]
    lines = [" " * width + "".join(f"  {v:>{n}s}"
                                   for v, n in zip(shown.values(), cells, strict=True))]
    for column in used:
        lines.append(f"{column.heading:{width}s}" + "".join(
            f"  {_shown(column.key, subjects[name].get(column.key)):>{n}s}"
            for name, n in zip(shown, cells, strict=True)))
    return [*lines, *(f"{row.title}: {number(result['standing'][row.key])} ({row.wanted})"
                      for row in STANDING if result["standing"].get(row.key) is not None)]


def grids(result: dict[str, Any]) -> list[Grid]:
    """Subjects beside each other; octaves and bands of the model; what it does by itself."""
    subjects = result["sound"]["subjects"]
    used = [c for c in COLUMNS if any(row.get(c.key) is not None for row in subjects.values())]
    order = [name for name in SUBJECTS if name in subjects]
    rows = [[SUBJECTS[name], *(_shown(c.key, subjects[name].get(c.key)) for c in used)]
            for name in order]
    found = [Grid("sound: noise that is noise, tones that are tones",
                  ["", *(column.heading for column in used)], rows)]
    found += [_bands("level error of each octave, dB (right at 0)", "octave from Hz", subjects,
                     "octave_db", [f"{low:g}" for low in result["sound"]["octaves_hz"]]),
              *([_bands("width of each octave less the original's, dB (right at 0)",
                        "octave from Hz", subjects, "width_octave_db",
                        [f"{low:g}" for low in result["sound"]["octaves_hz"]])]
                if "width_octave_db" in subjects["model"] else []),
              _bands("fine structure: correlation with the original ↑", "band, Hz", subjects,
                     "fine", [f"{low:g}-{high:g}" for low, high in result["sound"]["bands_hz"]])]
    standing = [[row.title, number(result["standing"][row.key]), row.wanted] for row in STANDING
                if result["standing"].get(row.key) is not None]
    return [*found, Grid("by itself", ["", result["model"], "wanted"], standing)]


def _shown(key: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if key == "partials_to_hz" else number(value)


def _bands(title: str, corner: str, subjects: dict[str, Any], key: str,
           places: list[str]) -> Grid:
    """A list of the model's, and of the floor's, from low to high."""
    rows = [[SUBJECTS[name], *("-" if v is None else f"{v:.2f}" for v in subjects[name][key])]
            for name in ("model", "noise_128") if name in subjects]
    return Grid(title, [corner, *places], rows)


def plots(result: dict[str, Any]) -> list[Plot]:
    """Level error, fine structure and texture over frequency and window."""
    sound = result["sound"]
    return [
        Plot("octaves.png", "level error of each octave (dB), right at 0",
             lambda axis: _draw(axis, sound, "octave_db", sound["octaves_hz"], "Hz", 12.0)),
        Plot("fine.png", "fine structure: correlation with the original, 1 where partials are kept",
             lambda axis: _draw(axis, sound, "fine", [low for low, _ in sound["bands_hz"]], "Hz")),
        Plot("texture.png", "texture (dB) by window: noise has it, a buzz does not",
             lambda axis: _draw(axis, sound, "texture_windows_db", [256, 512, 1024],
                                "window in samples")),
    ]


def _draw(axis: Any, sound: dict[str, Any], key: str, places: list[float], label: str,
          limit: float | None = None) -> None:
    for name in ("model", "noise_128", "original"):
        row = sound["subjects"].get(name)
        if row is None:
            continue
        values = [float("nan") if v is None else v for v in row[key]]
        axis.plot(places, values, marker="o", label=SUBJECTS[name],
                  color={"model": "#0f766e", "original": "#1e293b"}.get(name, "#94a3b8"))
    axis.set_xscale("log", base=2)
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.set_xlabel(label)
    if limit is not None:
        axis.set_ylim(-limit, limit)
    axis.grid(alpha=0.3)
    axis.legend()
