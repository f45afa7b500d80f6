"""The card that a module's start is compared with, by `python -m tests.image.boot_time`."""

from __future__ import annotations

from pathlib import Path

from firmware.flash.disk import layout
from firmware.flash.ext4 import Ext4
from firmware.flash.fat import Fat
from tests.firmware.card_image import CMDLINE, make_image, stock_tree
from tests.image.boot_time import OWN, OWN_UNIT, as_it_comes
from tests.image.image_root import Stock
from tests.image.image_scripts import UNITS


def test_it_has_started_once_and_has_a_service_of_its_own(tmp_path: Path) -> None:
    """The stand-in has nothing that an image's first start runs: its kernel would panic."""
    image = make_image(tmp_path, stock_tree(tmp_path / "tree"))
    other = tmp_path / "other"
    other.mkdir()
    card = as_it_comes(Stock(image, image, image, b""), other)
    said = (Fat(card, layout(card).boot).read("/cmdline.txt") or b"").decode()
    assert said.split() == [w for w in CMDLINE.split() if not w.startswith("init=")]
    assert len(said.split()) == len(CMDLINE.split()) - 1
    path = f"{UNITS}/{OWN}.service"
    assert Ext4(card, layout(card).root).read([path])[path] == OWN_UNIT.encode()
