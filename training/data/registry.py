"""The one list of what models can be trained on."""

from __future__ import annotations

from training.data.base import Data
from training.data.crop_data import Crops
from training.data.hits import Hits
from training.data.images import Images
from training.data.labelled import Labelled
from training.data.latents import Latents
from training.data.loops import Loops
from training.data.pairs import Pairs
from training.data.performed import Performed
from training.run.common_config import check_owner

DATA: dict[str, type[Data]] = {
    "crops": Crops,
    "pairs": Pairs,
    "labelled": Labelled,
    "latents": Latents,
    "loops": Loops,
    "hits": Hits,
    "images": Images,
    "performed": Performed,
}


def register(name: str, row: type[Data]) -> None:
    """A further kind of data; `[training].data` names it."""
    check_owner(f"data {name!r}", row.settings)
    DATA[name] = row
