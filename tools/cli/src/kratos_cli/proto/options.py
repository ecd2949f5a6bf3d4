"""Options that several verbs of ``kratos proto`` share."""

from __future__ import annotations

import argparse

__all__ = ["add_engine", "add_inputs", "add_rules"]


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add definitions, and what finds and compiles them."""
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE_OR_DIR", help="definitions; folders are searched"
    )
    parser.add_argument(
        "-I",
        "--proto-path",
        action="append",
        metavar="DIR",
        help="folder that names in imports start from (default: .); may be given several times",
    )
    parser.add_argument(
        "--protoc", metavar="PATH", help="compiler to use instead of the one in grpcio-tools"
    )


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add what chooses rules, and the form of the report."""
    parser.add_argument(
        "--select", action="append", default=[], metavar="RULE", help="keep only this rule"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="RULE", help="do without this rule"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the choice between buf and Kratos' own rules."""
    parser.add_argument(
        "--engine",
        choices=("auto", "buf", "kratos"),
        default="auto",
        help="who keeps the rules that buf has too: buf if it is there (auto), buf, or Kratos",
    )
