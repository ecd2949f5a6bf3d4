from __future__ import annotations

from importlib.resources import files

import aegis


def test_package_ships_its_types() -> None:
    assert files(aegis).joinpath("py.typed").is_file()
