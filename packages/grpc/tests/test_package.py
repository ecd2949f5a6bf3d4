from __future__ import annotations

from importlib.resources import files

import kratos_grpc


def test_package_ships_its_types() -> None:
    assert files(kratos_grpc).joinpath("py.typed").is_file()
