"""How a gateway is called: flags and environment variables of Go's gateway, and some more."""

from __future__ import annotations

import argparse
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final, NoReturn

from kratos.duration import parse_duration
from kratos.errors import ConfigError
from kratos.tls import CertificatePair, ServerTls
from kratos_gateway.server import ADDRESS
from kratos_http.limits import Limits

__all__ = ["DEBUG_ADDRESS", "RESOLVE_TIMEOUT", "Settings"]

_log = logging.getLogger("kratos.gateway")

DEBUG_ADDRESS: Final = "127.0.0.1:7070"
"""Where the listener for debugging is."""

RESOLVE_TIMEOUT: Final = 10.0
"""Seconds for registries to tell the first instances, unless another time is given."""

_TRUTHS: Final = ("1", "t", "T", "true", "TRUE", "True")
_FALSEHOODS: Final = ("0", "f", "F", "false", "FALSE", "False")
_SWITCHES: Final = frozenset(
    ("debug", "dry-run", "metrics.installed", "private-metrics", "retry.idempotent-only")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a gateway is called. Times are seconds.

    Attributes:
        addresses: Where it listens.
        conf: Main file of the configuration.
        priorities: Folder of priority configurations; empty for none.
        source: URL of a source of Kratos, in place of the file; empty for the file.
        key: Key of the main document in that source.
        control_services: Base URLs of control services.
        control_name: Name that they know the gateway by.
        discovery: URL of the registry; empty for none.
        debug: Whether there is a listener for debugging.
        debug_address: Where.
        console_token: Password for the console of that listener; empty for none.
        gates: Feature gates that differ from their defaults, as text.
        tls: Certificates to serve TLS with; ``None`` for none.
        public_metrics: Whether ``/metrics`` is on the gateway's own addresses.
        installed_meter: Whether the meter that is installed counts, such as kratos-prometheus, in
            place of one whose series have exactly Go's names.
        workers: How many processes serve; 0 for this one.
        stop_timeout: For requests to end when it stops.
        dry_run: Whether everything is made, and nothing served.
        limits: What clients may do.
        dial_timeout: To connect to back ends.
        trusted_proxies: Networks whose peers are believed whom they speak for; ``None`` for all
            peers, as in Go.
        retry_unsafe: Whether requests that are not idempotent are tried again, too, as in Go.
        retry_memory: MiB of bodies that are kept for further attempts, over all requests of a
            process.
        follow_redirects: Whether redirects of back ends are followed.
        redirect_hosts: Hosts that they may lead to besides nodes of the same endpoint; ``None`` for
            all, as in Go.
        strict_slash: Whether paths that fit but for their last slash are redirected.
        resolve_timeout: For registries to tell the first instances; ``None`` for no limit.
        log_format: How lines of the log look, as of ``kratos.log.setup``; empty to leave that to
            the program, and with ``log_level`` to what the command does by default.
        log_level: Level below which there are none; empty for the default.
        own_process: Whether nothing but the gateway is in the process, as with the command. Then
            Python's collector of cycles leaves out what a configuration is made of: going over
            thousands of endpoints would halt requests for tenths of a second. SIGHUP and, where
            there are several certificates, ``sys.unraisablehook`` are the gateway's, too.
    """

    addresses: Sequence[str] = (ADDRESS,)
    conf: str = "config.yaml"
    priorities: str = ""
    source: str = ""
    key: str = ""
    control_services: Sequence[str] = ()
    control_name: str = ""
    discovery: str = ""
    debug: bool = False
    debug_address: str = DEBUG_ADDRESS
    console_token: str = ""
    gates: str = ""
    tls: ServerTls | None = None
    public_metrics: bool = True
    installed_meter: bool = False
    workers: int = 0
    stop_timeout: float = 30.0
    dry_run: bool = False
    limits: Limits = field(default_factory=Limits)
    dial_timeout: float = 0.2
    trusted_proxies: Sequence[str] | None = ()
    retry_unsafe: bool = True
    retry_memory: int = 64
    follow_redirects: bool = False
    redirect_hosts: Sequence[str] | None = ()
    strict_slash: bool = False
    resolve_timeout: float | None = RESOLVE_TIMEOUT
    log_format: str = ""
    log_level: str = ""
    own_process: bool = False

    @classmethod
    def of(cls, arguments: Sequence[str], *, environ: Mapping[str, str] | None = None) -> Settings:
        """Return the settings of a command line, without the name of the program.

        Args:
            arguments: Flags, with one dash or with two.
            environ: Variables; ``None`` for those of the process.

        Raises:
            ConfigError: A flag or a variable is wrong; names it.
        """
        found = os.environ if environ is None else environ
        given = _parser().parse_args([_as_argparse_has_it(each) for each in arguments])
        if given.source and given.service:
            raise ConfigError(
                "--ctrl.service has the file of --conf written, and --conf.source is read in its "
                "place: give one of them"
            )
        if given.workers and len(given.addr or ()) > 1:
            raise ConfigError(
                "--workers needs a single --addr, which all of them listen at: leave one out"
            )
        follow = bool(found.get("PROXY_FOLLOW_REDIRECT"))
        if given.redirect_hosts and not follow:
            _log.warning("--redirect.hosts says nothing: PROXY_FOLLOW_REDIRECT is not set")
        return cls(
            addresses=given.addr or (ADDRESS,),
            conf=given.conf,
            priorities=given.priority,
            source=given.source,
            key=given.key,
            control_services=[each.strip() for each in given.service.split(",") if each.strip()],
            control_name=given.name or found.get("ADVERTISE_NAME", ""),
            discovery=given.dsn,
            debug=given.debug,
            debug_address=given.debug_addr,
            console_token=found.get("KRATOS_GATEWAY_CONSOLE_TOKEN", ""),
            gates=given.gates,
            tls=_tls(given),
            installed_meter=given.installed_meter,
            public_metrics=not given.private_metrics,
            workers=given.workers,
            stop_timeout=_seconds("--stop-timeout", given.stop_timeout),
            dry_run=given.dry_run,
            log_format=given.log_format,
            log_level=given.log_level,
            limits=_limits(found),
            dial_timeout=_time(found, "PROXY_DIAL_TIMEOUT", "200ms"),
            trusted_proxies=_listed(given.trusted),
            follow_redirects=follow,
            redirect_hosts=_listed(given.redirect_hosts),
            retry_unsafe=not given.idempotent_only,
            retry_memory=_count("--retry.memory", given.retry_memory),
            strict_slash=_truth(found, "ENABLE_STRICT_SLASH"),
            resolve_timeout=_resolve_timeout(found),
        )


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would leave the program."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help tells all flags")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kratos-gateway",
        description="An API gateway for Kratos services, configured as Go's gateway.",
        epilog="kratos-gateway check FILE tells what is wrong with a configuration.",
        allow_abbrev=False,
    )

    def flag(name: str, **options: object) -> None:
        parser.add_argument(f"-{name}", f"--{name}", **options)  # type: ignore[arg-type]

    def switch(name: str, **options: object) -> None:
        assert name in _SWITCHES, "else it would take what follows it"
        flag(name, type=_switched, default=False, metavar="=false", nargs="?", **options)

    flag("addr", action="append", metavar="ADDRESS", help=f"listen here; default {ADDRESS}")
    flag("conf", default="config.yaml", metavar="FILE", help="configuration; default config.yaml")
    flag("conf.priority", dest="priority", default="", metavar="FOLDER", help="priority files")
    flag("conf.source", dest="source", default="", metavar="URL", help="in place of a file")
    flag("conf.key", dest="key", default="", metavar="KEY", help="document of that source")
    flag("ctrl.name", dest="name", default="", metavar="NAME", help="name for control services")
    flag("ctrl.service", dest="service", default="", metavar="URL[,URL]", help="ask these")
    flag("discovery.dsn", dest="dsn", default="", metavar="URL", help="registry of services")
    switch("debug", help="serve /debug on an address of its own")
    flag("debug.addr", dest="debug_addr", default=DEBUG_ADDRESS, metavar="ADDRESS", help="that one")
    flag("feature-gates", dest="gates", default="", metavar="NAME=BOOL[,...]", help="switch gates")
    flag(
        "forward.trusted",
        dest="trusted",
        default="",
        metavar="NETWORK[,...]",
        help="proxies that are believed whom they speak for; all for everybody, as Go's does",
    )
    switch(
        "retry.idempotent-only",
        dest="idempotent_only",
        help="try no other requests again",
    )
    flag(
        "retry.memory",
        dest="retry_memory",
        type=int,
        default=64,
        metavar="MIB",
        help="keep so much of bodies for further attempts; default 64",
    )
    flag(
        "redirect.hosts",
        dest="redirect_hosts",
        default="",
        metavar="HOST[:PORT][,...]",
        help="follow redirects there, too; all for everywhere, as Go's does",
    )
    flag(
        "tls.cert",
        dest="certificates",
        action="append",
        default=[],
        metavar="FILE",
        help="serve TLS with this; give it again for further names",
    )
    flag(
        "tls.key",
        dest="keys",
        action="append",
        default=[],
        metavar="FILE",
        help="key of the certificate; as often, and in the same order",
    )
    flag("tls.client-ca", dest="client_ca", default="", metavar="FILE", help="roots of clients")
    switch("private-metrics", help="no /metrics on the addresses of clients")
    switch(
        "metrics.installed",
        dest="installed_meter",
        help="count with what is installed for that",
    )
    flag("workers", type=int, default=0, metavar="COUNT", help="processes that serve")
    flag("stop-timeout", default="30s", metavar="TIME", help="for requests to end; default 30s")
    flag(
        "log.format",
        dest="log_format",
        default="",
        choices=("auto", "json", "text", "color"),
        help="how lines of the log look; default plain text",
    )
    flag(
        "log.level",
        dest="log_level",
        default="",
        choices=("debug", "info", "warn", "error"),
        help="log nothing below; default info",
    )
    parser.add_argument(
        "-version",
        "--version",
        action="version",
        version=f"kratos-gateway {version('kratos-gateway')}",
        help="tell the version and exit",
    )
    switch("dry-run", help="make everything, and serve nothing")
    return parser


def _switched(word: str) -> bool:
    try:
        return _word(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _as_argparse_has_it(argument: str) -> str:
    """Return a flag as argparse reads it: in Go a switch takes no argument but after ``=``."""
    is_switch = argument.startswith("-") and argument.lstrip("-") in _SWITCHES
    return f"{argument}=true" if is_switch else argument


def _tls(given: argparse.Namespace) -> ServerTls | None:
    pairs = _pairs(given.certificates, given.keys)
    if pairs:
        main, *others = pairs
        return ServerTls(
            certificate=main.certificate,
            key=main.key,
            client_ca=given.client_ca or None,
            others=others,
        )
    if given.client_ca:
        raise ConfigError("--tls.client-ca needs --tls.cert and --tls.key")
    return None


def _pairs(certificates: Sequence[str], keys: Sequence[str]) -> list[CertificatePair]:
    """Return what belongs together by its order; deployments leave both empty for none."""
    if not any((*certificates, *keys)):
        return []
    if len(certificates) != len(keys):
        raise ConfigError(
            "--tls.cert and --tls.key go together, in the same order: certificates are "
            f"{len(certificates)}, and keys {len(keys)}"
        )
    pairs: list[CertificatePair] = []
    for certificate, key in zip(certificates, keys, strict=True):
        if bool(certificate) != bool(key):
            raise ConfigError(
                f"--tls.cert and --tls.key go together: {certificate or key} is alone"
            )
        if certificate:
            pairs.append(CertificatePair(certificate=certificate, key=key))
    return pairs


def _listed(given: str) -> Sequence[str] | None:
    if given == "all":
        return None
    return [each.strip() for each in given.split(",") if each.strip()]


def _limits(environ: Mapping[str, str]) -> Limits:
    head = _time(environ, "PROXY_READ_HEADER_TIMEOUT", "10s")
    return Limits(
        first_timeout=head,
        head_timeout=head,
        body_grace=_time(environ, "PROXY_READ_TIMEOUT", "15s"),
        write_timeout=_time(environ, "PROXY_WRITE_TIMEOUT", "15s"),
        idle_timeout=_time(environ, "PROXY_IDLE_TIMEOUT", "120s"),
    )


def _time(environ: Mapping[str, str], name: str, default: str) -> float:
    """Return seconds; 0 stands for no limit, as in Go."""
    return _seconds(name, environ.get(name) or default) or math.inf


def _seconds(name: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    if seconds < 0:
        raise ConfigError(f"{name}: {text} is negative")
    return seconds


def _count(name: str, count: int) -> int:
    if count < 0:
        raise ConfigError(f"{name}: {count} is negative")
    return count


def _truth(environ: Mapping[str, str], name: str) -> bool:
    word = environ.get(name, "")
    try:
        return bool(word) and _word(word)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def _word(word: str) -> bool:
    """Return what a word says, as of ``strconv.ParseBool`` of Go."""
    if word not in (*_TRUTHS, *_FALSEHOODS):
        raise ValueError(f"{word!r} is neither true nor false")
    return word in _TRUTHS


def _resolve_timeout(environ: Mapping[str, str]) -> float | None:
    name = "INITIAL_RESOLVE_TIMEOUT"
    try:
        return _seconds(name, environ.get(name) or f"{RESOLVE_TIMEOUT:g}s") or None
    except ConfigError as error:
        _log.error("%s; there is no limit, as in Go", error)
        return None
