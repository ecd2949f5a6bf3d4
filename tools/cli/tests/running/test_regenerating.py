"""What is generated again, and where, when definitions change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from kratos_cli.failure import CommandFailure
from kratos_cli.proto import compile_protos
from kratos_cli.running.regenerating import Place, places, regenerate

pytestmark = pytest.mark.slow

DEFINITION = 'syntax = "proto3";\npackage {package};\nmessage {message} {{\n  string a = 1;\n}}\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an API and a configuration, generated in two places."""
    api, conf = tmp_path / "api/shop/v1/order.proto", tmp_path / "src/shop/conf/conf.proto"
    for path, name, message in ((api, "shop.v1", "Order"), (conf, "shop.conf", "Conf")):
        path.parent.mkdir(parents=True)
        path.write_text(DEFINITION.format(package=name, message=message))
    compile_protos([conf], roots=[tmp_path / "src"], out=tmp_path / "src")
    compile_protos([api], roots=[tmp_path / "api"], out=tmp_path / "src/shop/api")
    return tmp_path


def names(folder: Path, paths: Sequence[Path]) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def test_output_tells_where_names_start_from_and_where_it_belongs(project: Path) -> None:
    assert places(project) == {
        Place(root=project / "api", out=project / "src/shop/api"): [
            project / "api/shop/v1/order.proto"
        ],
        Place(root=project / "src", out=project / "src"): [project / "src/shop/conf/conf.proto"],
    }


def test_changed_definition_is_generated_again_where_it_was(project: Path) -> None:
    order = project / "api/shop/v1/order.proto"
    order.write_text(order.read_text().replace("a = 1", "named_anew = 1"))
    written = names(project, regenerate(project, {order}))
    assert "src/shop/api/shop/v1/order_pb2.py" in written
    assert all(name.startswith("src/shop/api/shop/v1/order") for name in written)
    assert "named_anew" in (project / "src/shop/api/shop/v1/order_pb2.pyi").read_text()


def test_new_definition_belongs_to_the_nearest_place(project: Path) -> None:
    new = project / "api/shop/v1/customer.proto"
    new.write_text(DEFINITION.format(package="shop.v1", message="Customer"))
    written = names(project, regenerate(project, {new}))
    assert "src/shop/api/shop/v1/customer_pb2.py" in written


def test_definition_that_is_wrong_is_told_and_changes_nothing(project: Path) -> None:
    order = project / "api/shop/v1/order.proto"
    before = (project / "src/shop/api/shop/v1/order_pb2.py").read_text()
    order.write_text("nonsense")
    with pytest.raises(CommandFailure):
        regenerate(project, {order})
    assert (project / "src/shop/api/shop/v1/order_pb2.py").read_text() == before


def test_code_that_changed_with_a_definition_is_no_definition(project: Path) -> None:
    order, code = project / "api/shop/v1/order.proto", project / "src/shop/app.py"
    order.write_text(order.read_text().replace("a = 1", "named_anew = 1"))
    code.write_text("x = 1\n")
    written = names(project, regenerate(project, {order, code}))
    assert "src/shop/api/shop/v1/order_pb2.py" in written
    assert regenerate(project, {code}) == []


def test_definition_of_no_place_is_left_alone(project: Path) -> None:
    other = project / "elsewhere.proto"
    other.write_text(DEFINITION.format(package="x", message="X"))
    assert regenerate(project, {other}) == []


def test_definition_whose_name_is_none_of_python_is_generated_again(tmp_path: Path) -> None:
    definition = tmp_path / "api/my-shop/new order.proto"
    definition.parent.mkdir(parents=True)
    definition.write_text(DEFINITION.format(package="shop", message="Order"))
    compile_protos([definition], roots=[tmp_path / "api"], out=tmp_path / "gen")
    os.mkfifo(tmp_path / "gen" / "pipe_pb2.py")  # nobody ever writes into it
    definition.write_text(definition.read_text().replace("a = 1", "named_anew = 1"))
    written = names(tmp_path, regenerate(tmp_path, {definition}))
    assert written == ["gen/my_shop/new_order_pb2.py", "gen/my_shop/new_order_pb2.pyi"]
