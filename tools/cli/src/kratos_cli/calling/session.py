"""A client, and what it knows of the services that it calls."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kratos import Client, Error
from kratos.client import Target
from kratos.tls import ClientTls
from kratos.transport import Arity, CallOptions, Header
from kratos_cli.calling.answers import Answers, plainly, told
from kratos_cli.calling.conduct import conduct
from kratos_cli.calling.definitions import Described
from kratos_cli.calling.describing import as_json, as_text
from kratos_cli.calling.naming import Found, find
from kratos_cli.calling.sources import FileSource, MetadataSource, ReflectionSource, Source
from kratos_cli.calling.transports import choose
from kratos_cli.failure import CommandFailure

__all__ = ["Session"]

_PATIENCE: Final = 10.0  # seconds for an answer, unless the user says otherwise


class Session:
    """What one command line does.

    Args:
        args: The command line.

    Raises:
        CommandFailure: Something in it contradicts itself.
        ConfigError: So does the target, or a file of TLS cannot be used.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._target = Target.parse(args.target)
        if self._target.service and args.registry is None:
            raise CommandFailure(
                f"{self._target.text} is a name to look up: pass the registry with --registry URL",
                status=2,
            )
        self._transport = ""  # chosen when the session is opened
        self._headers = _headers(args.headers)
        self._patience: float = _PATIENCE if args.timeout is None else args.timeout
        self._tls = _tls(args, self._target)
        self._opened_client: Client | None = None
        self._source: Source | None = None

    async def __aenter__(self) -> Self:
        self._transport = await choose(
            self._target,
            given=self._args.transport,
            registry=self._args.registry,
            secure=self._tls is not None,
            timeout=self._patience,
        )
        self._opened_client = self._made()
        self._source = self._opened()
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def names(self) -> Sequence[str]:
        """Return the full names of all services, sorted.

        Raises:
            CommandFailure: The server cannot tell, or be reached.
        """
        try:
            return await self._known.names()
        except Error as error:
            raise CommandFailure(self._unreached(error)) from error

    async def follow(self, word: str, text: str | None) -> int:
        """Describe the service that a word names, or call the method that it names.

        Args:
            word: The name.
            text: JSON of the request; ``None`` for none.

        Returns:
            The exit status.

        Raises:
            CommandFailure: There is nothing of that name, or the request does not fit it.
        """
        try:
            found = await find(word, self._known)
        except Error as error:
            raise CommandFailure(self._unreached(error)) from error
        if found.method:
            return await self._call(found, text)
        if text is not None:
            raise CommandFailure(
                f"{found.service.name} is a service; write {word}/METHOD to call one of its "
                f"methods: {', '.join(found.service.rpcs)}",
                status=2,
            )
        self._describe(found.service)
        return 0

    def _describe(self, service: Described) -> None:
        if self._args.json:
            print(json.dumps(as_json(service), ensure_ascii=False))
        else:
            sys.stdout.write(as_text(service))

    async def _call(self, found: Found, text: str | None) -> int:
        method = found.service.method(found.method)
        lines = self._args.json or method.arity.server_streams
        answers = Answers(lines=lines, find=found.service.definitions.named)
        timeout = self._args.timeout
        if timeout is None and method.arity is not Arity.UNARY:
            timeout = 0.0
        options = CallOptions(
            timeout=self._patience if timeout is None else timeout,
            headers=self._headers,
            on_end=answers.headers if self._args.verbose else None,
        )
        try:
            await conduct(self._client, method, text, options, answers.reply)
        except Error as error:
            answers.error(error, as_json=self._args.json)
            return 1
        return 0

    @property
    def _known(self) -> Source:
        assert self._source is not None, "the session is open"
        return self._source

    @property
    def _client(self) -> Client:
        assert self._opened_client is not None, "the session is open"
        return self._opened_client

    def _made(self) -> Client:
        return Client(
            self._args.target,
            transport=self._transport,
            discovery=self._args.registry,
            tls=self._tls,
            fail_fast=True,
        )

    def _opened(self) -> Source:
        given = _descriptor_set(self._args)
        if given is not None:
            return FileSource(given)
        options = CallOptions(timeout=self._patience, headers=self._headers)
        if self._transport == "grpc":
            return ReflectionSource(self._client, options)
        return MetadataSource(self._client, options)

    def _unreached(self, error: Error) -> str:
        if isinstance(error.__cause__, ConnectionError):
            return f"{self._target.text} cannot be reached: {plainly(error.__cause__)}"
        return f"{self._target.text} did not tell its services: {told(error)}"


def _headers(given: Sequence[str]) -> Mapping[str, Sequence[str]]:
    headers = Header()
    for line in given:
        name, separator, value = line.partition(":")
        if not separator:
            raise CommandFailure(f"-H {line}: write 'name: value'", status=2)
        try:
            headers.add(name.strip(), value.strip())
        except ValueError as error:
            raise CommandFailure(f"-H {line}: {error}", status=2) from error
    return {name: headers.values(name) for name in headers}


def _tls(args: argparse.Namespace, target: Target) -> Any:
    """Return what ``Client`` takes: a configuration, or ``None`` for plain text."""
    wanted = args.tls or args.insecure or args.ca or args.cert or args.key or args.server_name
    if not wanted and not target.secure:
        return None
    if args.insecure and args.ca:
        raise CommandFailure("--insecure verifies nobody, so --ca is of no use: drop one", status=2)
    return ClientTls(
        ca=args.ca,
        certificate=args.cert,
        key=args.key,
        server_name=args.server_name,
        verify=not args.insecure,
    )


def _descriptor_set(args: argparse.Namespace) -> bytes | None:
    if args.descriptors:
        try:
            return Path(args.descriptors).read_bytes()
        except OSError as error:
            raise CommandFailure(f"{args.descriptors}: {error.strerror}", status=2) from error
    if not args.proto:
        if args.proto_path:
            raise CommandFailure("-I is about definitions: name them with --proto", status=2)
        return None
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.inputs import find_inputs

    inputs = find_inputs(args.proto, args.proto_path)
    return compile_definitions(list(inputs.paths), inputs)
