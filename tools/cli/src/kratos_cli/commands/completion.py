"""``kratos completion``: what shells need to complete the command."""

from __future__ import annotations

import argparse
import sys

from kratos_cli.parsing import Subparsers

__all__ = ["register", "run"]

_DESCRIPTION = """\
Print a script by which a shell completes commands, options and their values, those of installed
plug-ins included:

  kratos completion bash > ~/.local/share/bash-completion/completions/kratos
  kratos completion zsh > "${fpath[1]}/_kratos"
  kratos completion fish > ~/.config/fish/completions/kratos.fish"""


def register(subparsers: Subparsers) -> None:
    """Add ``completion``."""
    parser = subparsers.add_parser(
        "completion", help="complete the command in a shell", description=_DESCRIPTION
    )
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="which shell")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from kratos_cli.completing import scripts
    from kratos_cli.main import whole_parser

    sys.stdout.write(scripts.SHELLS[args.shell](whole_parser().outline()))
    return 0
