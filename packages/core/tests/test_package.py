from __future__ import annotations

from importlib.resources import files

import kratos


def test_package_ships_its_types() -> None:
    assert files(kratos).joinpath("py.typed").is_file()
