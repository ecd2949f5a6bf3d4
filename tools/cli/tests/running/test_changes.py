"""Changes of sources: what is one, and what is taken for known."""

from __future__ import annotations

from pathlib import Path

from kratos.testing import InstantClock
from kratos_cli.running.changes import Changes


async def test_what_was_generated_is_no_change(tmp_path: Path) -> None:
    code, other = tmp_path / "order_pb2.py", tmp_path / "app.py"
    with Changes(tmp_path, clock=InstantClock()) as changes:
        code.write_text("x = 1\n")
        changes.forget_code()
        other.write_text("x = 1\n")
        assert await changes.next() == {other}


async def test_definition_that_changes_while_others_are_generated_is_not_missed(
    tmp_path: Path,
) -> None:
    order, customer = tmp_path / "order.proto", tmp_path / "customer.proto"
    order.touch()
    customer.touch()
    with Changes(tmp_path, clock=InstantClock()) as changes:
        order.write_text("message Order {}\n")
        assert await changes.next() == {order}
        customer.write_text("message Customer {}\n")
        (tmp_path / "order_pb2.py").write_text("x = 1\n")
        changes.forget_code()
        assert await changes.next() == {customer}


async def test_links_to_themselves_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "circle.py").symlink_to("circle.py")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    (tmp_path / "folder").symlink_to(".")
    with Changes(tmp_path, clock=InstantClock()) as changes:
        (tmp_path / "new.py").write_text("x = 1\n")
        assert await changes.next() == {tmp_path / "new.py"}


async def test_configuration_counts_in_its_folder_alone(tmp_path: Path) -> None:
    configs = tmp_path / "app" / "configs"
    configs.mkdir(parents=True)
    with Changes(tmp_path, clock=InstantClock()) as changes:
        (tmp_path / "openapi.yaml").write_text("x: 1\n")
        (configs / "notes.txt").write_text("x\n")
        (configs / "config.yaml").write_text("x: 1\n")
        assert await changes.next() == {configs / "config.yaml"}
