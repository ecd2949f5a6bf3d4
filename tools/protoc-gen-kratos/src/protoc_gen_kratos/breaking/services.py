"""Services, methods and their paths."""

from __future__ import annotations

from collections.abc import Iterator

from kratos.transport import HttpRule
from protoc_gen_kratos.breaking.sides import Sides
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.options import Options
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.services import Rpc, ServiceModel, read_services

__all__ = ["compare_services"]


def compare_services(sides: Sides) -> Iterator[Finding]:
    """Yield what is lost of the services of a definition."""
    # What is wrong with paths is no matter here: lint tells it, and so does the generator.
    old = read_services(sides.old, sides.before, Options(), Problems())
    new = {
        service.element.raw.name: service
        for service in read_services(sides.new, sides.after, Options(), Problems())
    }
    for service in old:
        name = service.element.raw.name
        if name in new:
            yield from _compare_methods(sides, service, new[name])
        else:
            yield sides.finding((), "SERVICE_NO_DELETE", f"service {name} is gone; keep it")


def _compare_methods(sides: Sides, old: ServiceModel, new: ServiceModel) -> Iterator[Finding]:
    methods = {rpc.element.raw.name: rpc for rpc in new.methods}
    for rpc in old.methods:
        name = rpc.element.raw.name
        if name not in methods:
            message = f"method {name} of {old.element.raw.name} is gone; keep it"
            yield sides.finding(new.element.path, "RPC_NO_DELETE", message)
            continue
        after = methods[name]
        for rule, was, now in _differences(rpc, after):
            message = f"{old.element.raw.name}.{name} had {was}, and has {now}; change it back"
            yield sides.finding(after.element.path, rule, message)
        for binding in rpc.rules:
            if binding not in after.rules:
                message = (
                    f"{old.element.raw.name}.{name} was served at {_shown(binding)}, and is no "
                    "more; keep it as an additional_binding"
                )
                yield sides.finding(after.element.path, "HTTP_RULE_NO_DELETE", message)


def _differences(old: Rpc, new: Rpc) -> Iterator[tuple[str, str, str]]:
    """Yield rules that a change of a method breaks, with what it had and what it has."""
    if old.request.full_name != new.request.full_name:
        was = f"requests of {old.request.full_name}"
        yield "RPC_SAME_REQUEST_TYPE", was, new.request.full_name
    if old.reply.full_name != new.reply.full_name:
        yield "RPC_SAME_RESPONSE_TYPE", f"replies of {old.reply.full_name}", new.reply.full_name
    if old.arity.client_streams != new.arity.client_streams:
        was, now = _flow("request", streams=old.arity.client_streams)
        yield "RPC_SAME_CLIENT_STREAMING", was, now
    if old.arity.server_streams != new.arity.server_streams:
        was, now = _flow("reply", streams=old.arity.server_streams)
        yield "RPC_SAME_SERVER_STREAMING", was, now


def _flow(what: str, *, streams: bool) -> tuple[str, str]:
    shown = (f"a stream, not one {what}", f"one {what}")
    return (shown[0], shown[1]) if streams else (shown[1], shown[0])


def _shown(rule: HttpRule) -> str:
    parts = [f"{rule.verb} {rule.path}"]
    if rule.body:
        parts.append(f"with body {rule.body}")
    if rule.response_body:
        parts.append(f"answering {rule.response_body}")
    return " ".join(parts)
