"""``kratos new``: a project, or one more service of a project, from a template; and updates."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos_cli.new.plan import Plan

__all__ = ["register", "run"]

_LAYOUT: Final = "KRATOS_LAYOUT_REPO"
_DESCRIPTION: Final = """\
Make a project: an API, a service for it over HTTP and gRPC, the rules behind it, a database,
configuration, tests, and what it takes to run it in a container. NAME may be a path; its last
part is the name. The template comes along and needs no network.

--nomod adds a service to the project around: 'kratos new app/user --nomod'. It has a package
of its own, and shares the API and the environments.

--update brings a project that was made so to its template as it is now: what the template has
changed is merged with what you have, as git merges, and conflicts are marked and told. NAME is
then the folder of the project or of its service (default: .). It has to be committed, so that git
can take the update back."""


def register(subparsers: Subparsers) -> None:
    """Add ``new``."""
    parser = subparsers.add_parser(
        "new", help="make a project, or a service of one", description=_DESCRIPTION
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="name or path of the project")
    parser.add_argument(
        "-r",
        "--repo",
        metavar="URL_OR_DIR",
        help=f"another template: a repository of git or a folder (default: ${_LAYOUT}, or none)",
    )
    parser.add_argument("-b", "--branch", metavar="NAME", help="branch or tag of the repository")
    parser.add_argument(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=60.0,
        help="for getting the repository (default: 60)",
    )
    parser.add_argument(
        "--nomod", action="store_true", help="add a service to the project around the path"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--http-only", action="store_true", help="serve HTTP and no gRPC")
    only.add_argument("--grpc-only", action="store_true", help="serve gRPC and no HTTP")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="tell neither progress nor what is made"
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="replace a folder that is there, without asking"
    )
    parser.add_argument(
        "-u", "--update", action="store_true", help="bring a project to a newer template"
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="with --update: tell, and change nothing"
    )
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="with --update: even what is not committed, or in no repository of git",
    )
    parser.add_argument("--json", action="store_true", help="with --update: tell it as JSON")


def run(args: argparse.Namespace) -> int:
    """Make it, or bring it up to date, and tell what comes next."""
    from kratos_cli.new.project import changed_definitions, make
    from kratos_cli.new.source import opened

    _refuse_contradictions(args)
    if args.update:
        from kratos_cli.new.updating import run_update

        return run_update(args)
    plan = _plan(args)
    replaced = _may_be_replaced(plan.folder, force=args.force)
    repo = args.repo or os.environ.get(_LAYOUT) or None
    with opened(repo, branch=args.branch, timeout=args.timeout, quiet=args.quiet) as source:
        made = make(source, plan, replace=replaced)
        changed = changed_definitions(source, plan)
    if args.quiet:
        return 0
    for path in made:
        size = (plan.folder / path).stat().st_size
        print(f"CREATED {path.as_posix()} ({size} bytes)")
    print(_next_steps(plan))
    for name in changed:
        sys.stderr.write(
            f"kratos new: {name} is not as the template has it; bring {plan.path} into line with "
            f"it: kratos proto server {name} -t DIR --append adds methods that are missing\n"
        )
    return 0


def _refuse_contradictions(args: argparse.Namespace) -> None:
    made = ("nomod", "http_only", "grpc_only", "force")
    updated = ("dry_run", "allow_dirty", "json")
    for name in made if args.update else updated:
        if getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise CommandFailure(
                f"{option} is about making a project, and --update is not"
                if args.update
                else f"{option} is about --update: give both",
                status=2,
            )


def _plan(args: argparse.Namespace) -> Plan:
    from kratos_cli.cloning import local
    from kratos_cli.new.names import names_of
    from kratos_cli.new.plan import Plan
    from kratos_cli.new.repository import Repository

    folder = Path(os.path.abspath(local(args.name or _asked())))  # noqa: PTH100
    repository = Repository.around(folder) if args.nomod else None
    name = folder.name
    if repository is not None and not name.startswith(f"{repository.name}-"):
        names_of(name)  # complaints are about what was typed
        name = f"{repository.name}-{name}"
    return Plan(
        folder=folder,
        names=names_of(name),
        http=not args.grpc_only,
        grpc=not args.http_only,
        repository=repository,
        number=0 if repository is None else len(repository.members) + 1,
    )


def _asked() -> str:
    if not _is_asked():
        raise CommandFailure("name the project: kratos new NAME", status=2)
    name = input("What is the name of the project? ").strip()
    if not name:
        raise CommandFailure("a project needs a name", status=2)
    return name


def _may_be_replaced(folder: Path, *, force: bool) -> bool:
    """Return whether there is something that shall make room.

    Raises:
        CommandFailure: It shall not, or must not.
    """
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise CommandFailure(f"{folder} is there, and is no folder; take another name")
    if not any(folder.iterdir()):
        return False
    real = folder.resolve()  # it may be a link, and then that is emptied which it leads to
    kept = (Path.home(), Path.cwd().parent)
    if any(each.resolve().is_relative_to(real) for each in kept):
        raise CommandFailure(f"{folder} is not replaced: it holds more than a project")
    if not force and not _agreed(folder):
        raise CommandFailure(
            f"{folder} is there, and is not empty; take another name, or replace it by --force"
        )
    return True


def _agreed(folder: Path) -> bool:
    if not _is_asked():
        return False
    answer = input(f"{folder} is there. Delete everything in it? [y/N] ")
    return answer.strip().lower() in {"y", "yes"}


def _is_asked() -> bool:
    """Whether there is a person to answer."""
    return sys.stdin.isatty()


def _next_steps(plan: Plan) -> str:
    root = plan.folder if plan.repository is None else plan.repository.folder
    steps = [] if root == Path.cwd() else [f"cd {_shown(root)}"]
    if plan.repository is not None:
        steps += [
            "./hatchw env prune",
            f"./hatchw run test {plan.path}/tests",
            f"./hatchw run {plan.names.distribution} --conf {plan.path}/configs",
        ]
    elif (plan.folder / "hatchw").is_file():
        steps += ["./hatchw run test", "./hatchw run dev"]
    else:
        steps.append("# how to go on is said by the template's author")
    return "\n".join(["", "Next:", *(f"    {step}" for step in steps)])


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
