"""The one list of judges, and which of them is meant for a model.

A row says in one line whom it cannot judge and for whom it is the judge that is meant; its module
is loaded when it is called and has `judge(case) -> Findings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from engine.description import EFFECT, GENERATE
from engine.errors import ConfigError, nearest
from engine.scores.loops import plays_loops
from engine.scores.strokes import plays_strokes
from training.data.pairs import PARTS
from training.evaluation.judges.case import Case
from training.evaluation.judges.classes import class_input
from training.evaluation.judges.findings import Findings


@dataclass(frozen=True)
class Judge:
    """A row. `refuses`: why a case cannot be judged, "" if it can; `picks`: whether it is the one
    that is meant for such a case. How many sounds of how many seconds it asks for by itself."""

    name: str
    summary: str
    refuses: Callable[[Case], str]
    picks: Callable[[Case], bool]
    module: str
    seconds: float = 5.0
    seeds: int = 8
    goes_on: bool = False  # whether it also hears what goes on for long

    def __call__(self, case: Case) -> Findings:
        found: Findings = import_module(self.module).judge(case)
        return found


# --- whom each can judge -------------------------------------------------------------------------


def _no_effect(case: Case) -> str:
    if case.role != EFFECT:
        return f"{case.player.name} has no method that turns audio into audio"
    spec = case.description.main
    if spec.in_ratio != 1 or spec.out_ratio != 1:
        return f"{case.player.name}.{spec.name} does not turn audio into audio"
    return ""


def _no_pairs(case: Case) -> str:
    missing = [part for part in PARTS if not (case.folder / part).is_dir()]
    return _no_effect(case) or (
        f"{case.folder} has no folder {missing[0]!r}; pairs are files of equal names in "
        f"{' and '.join(PARTS)}" if missing else "")


def _no_reconstruction(case: Case) -> str:
    spec = case.description.main if case.role == EFFECT else None
    if spec is not None and spec.in_channels != spec.out_channels:
        return f"{case.player.name}.{spec.name} does not turn audio into audio"
    return _no_effect(case)


def _no_generator(case: Case) -> str:
    if case.role != GENERATE:
        return f"{case.player.name} has no method that generates"
    spec = case.description.main
    if spec.out_ratio != 1:
        return f"{case.player.name}.{spec.name} does not generate audio"
    return ""


def _not_drawn(case: Case) -> str:
    why = _no_generator(case)
    if not why and case.description.main.out_channels != 1:
        why = f"{case.player.name}.{case.description.main.name} plays more than one channel"
    return why


def _draws(case: Case) -> bool:
    """Whether samples are drawn one after another: a model says it, of a file that plays notes it
    may be taken for granted."""
    if _not_drawn(case):
        return False
    spec = case.description.main
    from engine.models.looped import Looped
    from training.evaluation.asked_notes import Layout

    if case.model is not None:
        looped = Looped.of(case.model, spec.name)
        return looped is not None and looped.draws
    return Layout.of(spec.input_labels) is not None


def _no_loops(case: Case) -> str:
    why = _no_generator(case)
    if not why and not plays_loops(case.description.main.input_labels):
        why = f"{case.player.name}.{case.description.main.name} is not asked for loops by phase " \
              "and tempo"
    return why


def _no_strokes(case: Case) -> str:
    why = _no_generator(case)
    labels = () if why else case.description.main.input_labels
    classes = case.description.config.get("classes")
    if not why and not (plays_strokes(labels) and isinstance(classes, list | tuple)
                        and len(classes) > 1 and {*classes} <= {*labels}):
        why = f"{case.player.name}.{case.description.main.name} is not asked for strokes by a " \
              "gate and weights of classes"
    return why


def _no_conditions(case: Case) -> str:
    if _no_generator(case) and _no_effect(case):
        return f"{case.player.name} has no method that makes audio"
    from training.evaluation.judges.response import controls_of

    if class_input(case) is None and not controls_of(case):
        return f"{case.player.name} has neither classes to ask for nor attributes to move"
    return ""


def _no_objective(case: Case) -> str:
    if case.model is None:
        return f"{case.player.name} is an exported file: only a run or preset has an objective"
    return ""


HERE = "training.evaluation.judges"
# The first that picks a case is its judge.
JUDGES: dict[str, Judge] = {row.name: row for row in (
    Judge("strokes", "whether a gate triggers the strokes that are asked for, as varied as "
          "recorded ones", _no_strokes, lambda case: not _no_strokes(case), f"{HERE}.strokes",
          seconds=1.0, seeds=40),
    Judge("conditional", "whether a model makes the class that it is asked for, and follows its "
          "controls", _no_conditions, lambda case: class_input(case) is not None,
          f"{HERE}.conditional"),
    Judge("paired", "how near an effect comes to the target of its input",
          _no_pairs, lambda case: case.kind == "pairs" and case.role == EFFECT,
          f"{HERE}.paired"),
    Judge("loops", "whether a model makes loops, in tempo, that obey", _no_loops,
          lambda case: not _no_loops(case), f"{HERE}.looping", seconds=4.0, seeds=3,
          goes_on=True),
    Judge("playing", "how a model that draws sample after sample plays when it hears only itself",
          _not_drawn, _draws, f"{HERE}.playing", seconds=20.0, seeds=3,
          goes_on=True),
    Judge("generation", "how like real sound is what a model makes by itself",
          _no_generator, lambda case: not _no_generator(case), f"{HERE}.generation"),
    Judge("reconstruction", "how near the output comes to the input",
          _no_reconstruction, lambda case: not _no_reconstruction(case),
          f"{HERE}.reconstruction"),
    Judge("objective", "what training minimises, on data that was held out",
          _no_objective, lambda case: not _no_objective(case), f"{HERE}.objective"),
)}


def register(row: Judge) -> None:
    """A further judge, which is asked before those that are there whether it picks a case."""
    before = {name: judge for name, judge in JUDGES.items() if name != row.name}
    JUDGES.clear()
    JUDGES.update({row.name: row, **before})


def pick(case: Case, name: str | None = None) -> Judge:
    """The judge called `name`, or the one that is meant; an error in one line if there is none."""
    if name is not None:
        if name not in JUDGES:
            raise ConfigError(f"--judge: unknown judge {name!r}{nearest(name, JUDGES)}")
        why = JUDGES[name].refuses(case)
        if why:
            raise ConfigError(f"--judge {name}: {why}")
        return JUDGES[name]
    for judge in JUDGES.values():
        if judge.picks(case):
            why = judge.refuses(case)
            if why:
                raise ConfigError(f"judge {judge.name}: {why}")
            return judge
    raise ConfigError(f"no judge for {case.player.name}: {_no_reconstruction(case)}")


def others(case: Case, judge: Judge) -> list[str]:
    """Names of the judges that could be asked as well."""
    return [name for name, row in JUDGES.items() if row is not judge and not row.refuses(case)]
