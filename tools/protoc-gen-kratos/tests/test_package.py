from __future__ import annotations

from importlib.resources import files

import protoc_gen_kratos


def test_package_ships_its_types() -> None:
    assert files(protoc_gen_kratos).joinpath("py.typed").is_file()
