"""Settings of a training run: the `[training]` table, `--set key=value`, and the resolved whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ValidationError,
    create_model,
)

from engine.errors import ConfigError, nearest
from engine.files import CONFIG_FILE
from engine.models.base import ModelConfig
from engine.models.registry import FAMILIES, configure, explain
from engine.models.store import read_settings
from engine.resolve import PRESET, RUN, SETTINGS
from engine.resolve import resolve as resolve_model
from training.data.registry import DATA
from training.objectives.registry import OBJECTIVES
from training.run.assignments import assign, parse_assignment
from training.run.common_config import CommonConfig
from training.settings import Settings

# --- whose keys ----------------------------------------------------------------------------------


def owners(objective: str, data: str) -> list[type[Settings]]:
    """The classes whose keys `[training]` of such a run may have, the loop's own last."""
    if objective not in OBJECTIVES:
        raise ConfigError(f"training.objective: unknown objective{nearest(objective, OBJECTIVES)} "
                          f"(got {objective!r})")
    if data not in DATA:
        raise ConfigError(f"training.data: unknown kind of data{nearest(data, DATA)} "
                          f"(got {data!r})")
    found = [OBJECTIVES[objective].settings, DATA[data].settings]
    return [*(kind for kind in dict.fromkeys(found) if kind is not Settings), CommonConfig]


@cache
def _combined(kinds: tuple[type[Settings], ...]) -> type[CommonConfig]:
    """One class of all keys; each has one owner."""
    seen: dict[str, type[Settings]] = {}
    for kind in kinds:
        for key in kind.model_fields:
            if key in seen:
                raise ValueError(f"training.{key} belongs to {seen[key].__name__} and to "
                                 f"{kind.__name__}: rename one of them")
            seen[key] = kind
    made: type[CommonConfig] = create_model(  # type: ignore[assignment]
        "TrainingConfig", __base__=kinds)  # type: ignore[arg-type]
    return made


def _rows(training: dict[str, Any], family: str | None) -> tuple[str, str]:
    """Objective and data of a `[training]` table: its own, or those of the model's family."""
    row = FAMILIES.get(family or "")
    objective = str(training.get("objective") or (row.objective if row else "autoencoder"))
    default = row.data if row else "crops"
    return ("autoencoder" if objective == "kl" else objective,  # its name in version 0.1
            str(training.get("data") or default))


def upgraded(training: dict[str, Any], family: str | None = None) -> dict[str, Any]:
    """A `[training]` table that names its rows, with keys of earlier versions in new places."""
    objective, data = _rows(training, family)
    settings = {**training, "objective": objective, "data": data}
    for owner in owners(objective, data):
        settings = owner.upgraded(settings)
    return settings


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run, checked and complete."""

    family: str
    model: ModelConfig
    training: CommonConfig
    data: Path

    def settings(self) -> dict[str, Any]:
        """As the tables of `config.toml`; what is None is left out."""
        return {
            "model": {"family": self.family, **_plain(self.model)},
            "training": _plain(self.training),
            "data": {"folder": str(self.data)},
        }


def _plain(config: BaseModel) -> dict[str, Any]:
    """Nested tables without what is None, which TOML cannot say."""
    def full(table: dict[str, Any]) -> dict[str, Any]:
        return {k: full(v) if isinstance(v, dict) else v
                for k, v in table.items() if v is not None}

    return full(config.model_dump(mode="json"))


def resolve(preset: str, data: Path, assignments: list[str], out: Path | None = None,
            **options: Any) -> RunConfig:
    """The run that `tudor train PRESET` describes; `out` may hold its beginning.

    `assignments` are `key=value` texts; `options` are training keys given as options of their
    own (steps, minutes, seed), None where the option was not used. A run that starts from other
    weights has no warm-up of its regulariser, and one that learns to be rounded a low learning
    rate, unless that is assigned."""
    settings = read_settings(config_path(preset))
    model, training = dict(settings["model"]), dict(settings.get("training", {}))
    family = str(model.pop("family"))
    if family not in FAMILIES:
        raise ConfigError(f"unknown model family {family!r}{nearest(family, FAMILIES)}")
    model.setdefault("start", _start(preset, out))
    for key in ("objective", "data"):  # they decide which other keys there are
        training.update(_assigned(assignments, key))
    training = upgraded(training, family)
    rows = owners(training["objective"], training["data"])
    if options.get("start_from") is not None:
        for owner in rows:
            training = owner.fine_tuned(training, options)
    elif resolve_model(preset).kind != SETTINGS:
        for owner in rows:
            model = owner.recipe(model)
    known = {"model": list(FAMILIES[family].config.model_fields),
             "training": [key for owner in rows for key in owner.names()]}
    assign({"model": model, "training": training},
            [parse_assignment(text, known) for text in assignments])
    given = {key: value for key, value in options.items() if value is not None}
    training.update(given)
    for owner in rows:
        owner.complete(model, training, data)
    limits: dict[str, Any] = {}
    if "minutes" in training and "steps" not in training:
        limits["steps"] = None  # a budget in minutes replaces the default one in steps
    elif ("minutes" in given) != ("steps" in given):  # an option replaces the file's budget
        limits["steps" if "minutes" in given else "minutes"] = None
    run = RunConfig(
        family, configure(family, model), training_config({**training, **limits}, family),
        data.resolve(),
    )
    for owner in rows:
        owner.check_model(run.training, run.model)  # type: ignore[arg-type]
    return run


def _start(preset: str, out: Path | None) -> str:
    """What fresh state is where `preset` does not say it: at rest in a new run; of a run that goes
    on, or is taken for a preset, what it was begun with: zeros, before there was rest."""
    meant = resolve_model(preset, (RUN, SETTINGS, PRESET))
    if out is not None and (out / CONFIG_FILE).is_file():
        return str(read_settings(out / CONFIG_FILE)["model"].get("start", "zero"))
    return "zero" if meant.kind == RUN else "rest"


def _assigned(assignments: list[str], key: str) -> list[tuple[str, str]]:
    """What `--set` says of a key of `[training]`."""
    parts = [text.partition("=") for text in assignments]
    return [(key, value.strip().strip("\"'")) for name, equals, value in parts
            if equals and name.strip() in (key, f"training.{key}")]


def training_config(settings: dict[str, Any], family: str | None = None) -> CommonConfig:
    """A checked `[training]` table; errors name every key that is wrong."""
    settings = upgraded(settings, family)
    kind = _combined(tuple(owners(settings["objective"], settings["data"])))
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, kind, "training.")) from None


def config_path(preset: str) -> Path:
    """Configuration file of a preset's name, of a path to a .toml file, or of a run directory."""
    return resolve_model(preset, (RUN, SETTINGS, PRESET)).settings


def absent(run: RunConfig, stored: dict[str, Any]) -> dict[str, Any]:
    """What keys mean that a run's stored `[training]` table does not have yet, where that is not
    their default."""
    training = run.training
    return {key: value for owner in owners(training.objective, training.data)
            for key, value in owner.absent.items() if key not in stored}


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Keys in which two settings differ, free ones aside, each with both values. Settings of an
    earlier version are read as what they mean today."""
    found, free = [], set[str]()
    for table in ("model", "training", "data"):
        old, new = before.get(table, {}), now.get(table, {})
        if table == "training":
            old, new = (_completed(table, settings.get("model", {}).get("family"))
                        for table, settings in ((old, before), (new, now)))
            free = {key for owner in _owners_of(new) for key in owner.free}
        old, new = _flat(old), _flat(new)
        for key in sorted({*old, *new}):
            if table == "training" and key in free:
                continue
            if old.get(key) != new.get(key):
                found.append(f"{table}.{key} was {old.get(key)!r}, is now {new.get(key)!r}")
    return found


def _completed(training: dict[str, Any], family: str | None) -> dict[str, Any]:
    """With defaults where nothing is said; as it is where it cannot be read."""
    try:
        return _plain(training_config(training, family))
    except ConfigError:
        return training


def _owners_of(training: dict[str, Any]) -> list[type[Settings]]:
    return owners(str(training.get("objective", "autoencoder")), str(training.get("data", "crops")))


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys with dots."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        inside = isinstance(value, dict)
        found.update(_flat(value, f"{prefix}{key}.") if inside else {f"{prefix}{key}": value})
    return found
