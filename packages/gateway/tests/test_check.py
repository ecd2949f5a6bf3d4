"""What is wrong with a configuration is told before it serves, with its place and a way out."""

from __future__ import annotations

import sys

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kratos_gateway.api.gateway_pb2 import TLS, Backend, Endpoint, Gateway
from kratos_gateway.config import problems, read
from kratos_gateway.config.reach import reach_troubles
from kratos_gateway.routing import PathPattern

SOUND = "path: /a, protocol: HTTP, backends: [{target: '127.0.0.1:80'}]"


def found(text: str, **options: bool | list[str]) -> list[str]:
    parsed = read(text, Gateway, name="config.yaml")
    told = problems(parsed.message, oddities=parsed.oddities, **options)  # type: ignore[arg-type]
    return [str(problem) for problem in told]


def of_endpoint(fields: str) -> list[str]:
    return found(f"endpoints: [{{{fields}}}]")


def test_a_star_alone_is_a_path() -> None:
    assert of_endpoint("path: '*', backends: [{target: 'a:80'}]") == []


def test_the_sample_has_no_problem(sample: str) -> None:
    assert found(sample) == []


def test_a_configuration_without_endpoints_is_odd() -> None:
    (told,) = found("name: x")
    assert told == "warning: endpoints: there is none, so every request is answered 404"


def test_a_key_that_nothing_reads_is_told() -> None:
    (told,) = of_endpoint(f"{SOUND}, methods: GET")
    assert told.startswith("warning: endpoints[0].methods: Endpoint has no such key")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("path: a", "error: endpoints[0].path: 'a' must start with a slash"),
        ("path: '/{a'", "error: endpoints[0].path: '/{a' has a brace without its partner"),
        ("path: '/a}'", "error: endpoints[0].path: '/a}' has a brace without its partner"),
        (
            "path: '/{}'",
            "error: endpoints[0].path: '/{}': {} lacks a name or an",
        ),
        ("path: '/{a:[}'", "error: endpoints[0].path: '/{a:[}': the expression of 'a' is none"),
        ("path: '/{a}/{a}'", "error: endpoints[0].path: '/{a}/{a}': 'a' stands for two variables"),
        ("path: '/{a:(x)}'", "error: endpoints[0].path: '/{a:(x)}': the expression of 'a' has a"),
        ("path: /a, host: '{x'", "error: endpoints[0].host: '{x' has a brace without its partner"),
        ("path: /a, method: 'G T'", "error: endpoints[0].method: 'G T' is no method"),
        ("path: /a, protocol: 7", "error: endpoints[0].protocol: 7 is none: write HTTP or GRPC"),
        (
            "path: /a, match: [{header: a}, {cookie: 'b c'}]",
            "error: endpoints[0].match[1]: cookie: 'b c' is no name",
        ),
        (
            "path: /a, match: [{header: a, regex: '('}]",
            "error: endpoints[0].match[0]: regex '(' is no expression",
        ),
        ("path: /a, percentage: 120", "error: endpoints[0].percentage: percentage is from 0 to"),
        (
            "path: /a, percentage: 1, sticky: {salt: a}",
            "error: endpoints[0].sticky: sticky needs a key",
        ),
        ("path: /a, timeout: -1s", "warning: endpoints[0].timeout: it is negative"),
        (
            "path: /a, timeout: 1s, retry: {attempts: 2, perTryTimeout: 2s}",
            "warning: endpoints[0].retry.per_try_timeout: it is longer than timeout",
        ),
        (
            "path: /a, retry: {attempts: 2, conditions: [{byStatusCode: 5xx}]}",
            "error: endpoints[0].retry.conditions[0]: by_status_code is a status",
        ),
        (
            "path: /a, retry: {attempts: 2, conditions: [{byStatusCode: 504-502}]}",
            "error: endpoints[0].retry.conditions[0]: by_status_code '504-502' begins after",
        ),
        (
            "path: /a, retry: {attempts: 2, conditions: [{}]}",
            "error: endpoints[0].retry.conditions[0]: a condition is empty",
        ),
        (
            "path: /a, retry: {attempts: 2, conditions: [{byHeader: {name: a, value: '[x'}}]}",
            "error: endpoints[0].retry.conditions[0]: the value of by_header begins as a list",
        ),
        (
            "path: /a, retry: {attempts: 2, conditions: [{byHeader: {name: a, value: '[1]'}}]}",
            "error: endpoints[0].retry.conditions[0]: the value of by_header is a list of what",
        ),
        (
            "path: /a, retry: {conditions: [{byStatusCode: '503'}]}",
            "warning: endpoints[0].retry.attempts: there are conditions, but no second attempt",
        ),
        (
            "path: /a, retry: {attempts: 2, hedgeDelay: 0s}",
            "error: endpoints[0].retry.hedge_delay: it must be more than 0s; leave it out",
        ),
        (
            "path: /a, timeout: 2s, retry: {attempts: 2, hedgeDelay: 2s}",
            "warning: endpoints[0].retry.hedge_delay: it is not shorter than timeout",
        ),
        (
            "path: /a, method: post, retry: {attempts: 2, hedgeDelay: 0.1s}",
            "warning: endpoints[0].retry.hedge_delay: it is not for POST, which may",
        ),
        (
            "path: /a, protocol: GRPC, retry: {attempts: 2, hedgeDelay: 0.1s}",
            "warning: endpoints[0].retry.hedge_delay: it is not for calls of gRPC",
        ),
        (
            "path: /a, retry: {hedgeDelay: 0.1s}",
            "warning: endpoints[0].retry.attempts: there is hedge_delay, but no second attempt",
        ),
        (
            "path: /a, retry: {attempts: 2, backoff: {base: 2s, max: 1s}}",
            "error: endpoints[0].retry.backoff: base, 2s, must be more than 0s, and max, 1s, no",
        ),
        (
            "path: /a, retry: {attempts: 2, backoff: {base: 0s}}",
            "error: endpoints[0].retry.backoff: base, 0s, must be more than 0s",
        ),
        (
            "path: /a, retry: {attempts: 2, budget: {share: 20}}",
            "error: endpoints[0].retry.budget.share: 20 is not between 0 and 1; 0.2 is a fifth",
        ),
        (
            "path: /a, retry: {attempts: 2, budget: {minPerSecond: -1}}",
            "error: endpoints[0].retry.budget.min_per_second: -1 must be 0 or more",
        ),
        (
            "path: /a, retry: {attempts: 2, budget: {window: 0s}}",
            "error: endpoints[0].retry.budget.window: 0s must be more than 0s",
        ),
    ],
)
def test_a_wrong_part_of_an_endpoint_is_told_with_its_place(fields: str, told: str) -> None:
    (problem,) = of_endpoint(f"backends: [{{target: '127.0.0.1:80'}}], {fields}")
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        ("target: ''", "error: endpoints[0].backends[0].target: it is empty"),
        ("target: ':80'", "error: endpoints[0].backends[0].target: "),
        ("target: 'a:b'", "error: endpoints[0].backends[0].target: "),
        ("target: 'direct:///'", "error: endpoints[0].backends[0].target: "),
        ("target: 'dns:///a:80'", "error: endpoints[0].backends[0].target: 'dns:///a:80' has a s"),
        ("target: 'unix:/a'", "error: endpoints[0].backends[0].target: 'unix:/a' has a scheme"),
        ("target: 'discovery:///'", "error: endpoints[0].backends[0].target: it names no service"),
        ("target: 'a:80', weight: -1", "error: endpoints[0].backends[0].weight: -1 is negative"),
        (
            "target: 'a:80', tls: true, tlsConfigName: x",
            "warning: endpoints[0].backends[0].tls_config_name: tls_store has no 'x'",
        ),
        (
            "target: 'a:80', labels: {version: v2}",
            "warning: endpoints[0].backends[0].labels: it chooses among what a registry tells",
        ),
        (
            "target: 'a:80', subsetSize: 3",
            "warning: endpoints[0].backends[0].subset_size: it chooses among what a registry",
        ),
    ],
)
def test_a_wrong_back_end_is_told_with_its_place(backend: str, told: str) -> None:
    (problem,) = of_endpoint(f"path: /a, backends: [{{{backend}}}]")
    assert problem.startswith(told)


def test_a_question_that_nobody_is_asked_is_told() -> None:
    checked = "path: /a, backends: [{target: 'a:80', health_check: {%s}}]"
    (told,) = of_endpoint(checked % "path: /x, timeout: 2s")
    assert told.startswith("warning: endpoints[0].backends[0].health_check: nothing reads it: ")
    assert of_endpoint(checked % "path: /x, timeout: 2s, interval: 5s") == []
    assert of_endpoint(checked % "") == []


def test_http2_where_it_is_spoken_anyway_is_told() -> None:
    backends = "backends: [{target: 'a:80', http2: true}]"
    (problem,) = of_endpoint(f"path: /a, protocol: GRPC, {backends}")
    assert problem.startswith("warning: endpoints[0].backends[0].http2: ")
    assert of_endpoint(f"path: /a, protocol: HTTP, {backends}") == []


def test_all_forms_of_a_direct_target_are_well() -> None:
    targets = "[{target: 'localhost:81'}, {target: 'direct:///[::1]:80'}, {target: localhost}]"
    assert of_endpoint(f"path: /a, backends: {targets}") == []


def test_a_registry_has_to_be_there_for_those_who_ask_it() -> None:
    text = "endpoints: [{path: /a, protocol: HTTP, backends: [{target: 'discovery:///shop'}]}]"
    assert found(text, discovery=True) == []
    (told,) = found(text, discovery=False)
    assert told.startswith("error: endpoints[0].backends[0].target: there is no registry to ask")


def test_an_endpoint_without_a_protocol_is_one_of_http_with_a_registry_too() -> None:
    assert of_endpoint("path: /a, backends: [{target: 'discovery:///shop'}]") == []


def test_a_path_in_place_of_a_certificate_is_told() -> None:
    text = f"tlsStore: {{a: {{cacert: /etc/ca.pem}}}}\nendpoints: [{{{SOUND}}}]"
    (told,) = found(text)
    assert told.startswith("error: tls_store.a.cacert: it is no PEM: put the text of the file")


def test_a_certificate_without_its_key_is_told() -> None:
    text = f"tlsStore: {{a: {{cert: '-----BEGIN CERTIFICATE-----'}}}}\nendpoints: [{{{SOUND}}}]"
    (told,) = found(text)
    assert told.startswith("error: tls_store.a.key: ")


def in_store(*, cacert: str = "", cert: str = "", key: str = "") -> list[str]:
    endpoint = Endpoint(path="/a", backends=[Backend(target="a:80")])
    store = {"a": TLS(cacert=cacert, cert=cert, key=key)}
    gateway = Gateway(endpoints=[endpoint], tls_store=store)
    return [str(problem) for problem in problems(gateway)]


def test_certificates_that_back_ends_would_not_be_asked_with_are_told() -> None:
    ca = trustme.CA()
    own, other = ca.issue_cert("a.test"), ca.issue_cert("b.test")
    roots, cert = ca.cert_pem.bytes().decode(), own.cert_chain_pems[0].bytes().decode()
    key, stranger = (each.private_key_pem.bytes().decode() for each in (own, other))
    assert in_store(cacert=roots, cert=cert, key=key) == []
    (told,) = in_store(cacert="-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----")
    assert told.startswith("error: tls_store.a.cacert: the roots of certificates cannot be used")
    (told,) = in_store(cert=cert, key=stranger)
    assert told == "error: tls_store.a.cert: the certificate and its key do not belong together"
    (told,) = in_store(cert=cert, key=key.replace("\n", "\nx", 1))
    assert told.startswith("error: tls_store.a.cert: the certificate and its key cannot be used")
    first, second = in_store(cacert=key, cert=key, key=cert)
    assert first == "error: tls_store.a.cacert: the ca holds no certificate in PEM"
    assert second == "error: tls_store.a.cert: the certificate holds no certificate in PEM"


def test_middleware_that_is_not_installed_is_an_error_where_it_is_required() -> None:
    text = f"endpoints: [{{{SOUND}, middlewares: [{{name: CORS}}, {{name: x, required: %s}}]}}]"
    (error,) = found(text % "true", middleware=["cors"])
    assert error == (
        "error: endpoints[0].middlewares[1].name: no middleware 'x' is installed; known are cors"
    )
    (warning,) = found(text % "false", middleware=["cors"])
    assert warning.startswith("warning: ")


@pytest.mark.parametrize("name", ["rest", "Connect", "grpcweb", "transcoder"])
def test_middleware_for_grpc_is_told_where_nothing_is_of_grpc(name: str) -> None:
    listed = f"middlewares: [{{name: cors}}, {{name: {name}}}]"
    own = f"endpoints: [{{{SOUND}, {listed}}}]"
    (told,) = found(own)
    place = "endpoints[0].middlewares[1]"
    assert told.startswith(
        f"warning: {place}: {name.lower()} does nothing, as this endpoint is not"
    )
    assert found(own.replace("HTTP", "GRPC")) == []
    around = f"{listed}\nendpoints: [{{{SOUND}}}]"
    (told,) = found(around)
    assert told.startswith(f"warning: middlewares[1]: {name.lower()} does nothing, as no endpoint")
    calls = SOUND.replace("/a", "/b").replace("HTTP", "GRPC")
    assert found(f"{listed}\nendpoints: [{{{SOUND}}}, {{{calls}}}]") == []


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("path: /a/*", "path: /a/b"),
        ("path: /a/*", "path: /a/b/*"),
        ("path: '*'", "path: /a"),
        ("path: /a", "path: /a, method: GET"),
        ("path: /a, method: get", "path: /a, method: GET"),
        ("path: /a", "path: /a, host: x"),
        ("path: /a", "path: /a, match: [{header: a}]"),
        ("path: /a", "path: /a, percentage: 10"),
        ("path: /a, percentage: 100", "path: /a"),
        ("path: /a/*, match: [{header: a}]", "path: /a/b, match: [{query: b}, {header: a}]"),
        ("path: '/c/{x}'", "path: /c/d"),
        ("path: '/c/{x}'", "path: '/c/{y}'"),
        ("path: '/c/{x}'", "path: '/c/v{y}'"),
        ("path: '/{x}/d*'", "path: '/c/d/{y}*'"),
        ("path: '/c/{x}*'", "path: /c/d*"),
        ("path: '/{x}-{y}'", "path: /c-d"),
        ("path: '/c/*'", "path: '/c/{x:[0-9]+}'"),
        ("path: '/c/{x:[0-9]+}*'", "path: '/c/{x:[0-9]+}'"),
        ("path: '/c/{x}', match: [{header: a}]", "path: /c/d, match: [{query: b}, {header: a}]"),
        ("path: /a, host: A.test", "path: /a, host: a.TEST"),
    ],
)
def test_an_endpoint_that_is_never_asked_is_told(earlier: str, later: str) -> None:
    back = "backends: [{target: 'a:80'}]"
    told = found(f"endpoints: [{{{earlier}, {back}}}, {{{later}, {back}}}]")
    assert told[-1].startswith("warning: endpoints[1].path: it is never asked: endpoints[0], ")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("path: /a/b", "path: /a/*"),
        ("path: /a/*", "path: /a"),
        ("path: /a, method: GET", "path: /a"),
        ("path: /a, method: GET", "path: /a, method: POST"),
        ("path: /a, host: x", "path: /a"),
        ("path: /a, host: x", "path: /a, host: y"),
        ("path: /a, match: [{header: a}]", "path: /a"),
        ("path: /a, match: [{header: a}]", "path: /a, match: [{header: b}]"),
        ("path: /a, match: [{header: a}]", "path: /a, match: [{header: a, invert: true}]"),
        ("path: /a, percentage: 50", "path: /a"),
        ("path: /a, percentage: 50", "path: /a, percentage: 50"),
        ("path: /a", "path: /a, match: [{header: a}], priority: 1"),
        ("path: '/c/{x}'", "path: /c/"),
        ("path: '/c/{x}'", "path: '/c/{y}*'"),
        ("path: '/c/{x}*'", "path: '/c/*'"),
        ("path: '/c/v{x}'", "path: '/c/{y}'"),
        ("path: '/c/{x}'", "path: /c/d/e"),
        ("path: '/c/{x}'", "path: '/c/{y:.*}'"),
        ("path: '/c/{x:[a-z]+}'", "path: '/c/{x:[0-9]+}'"),
        ("path: '/c/{x}', method: GET", "path: /c/d"),
        ("path: '/c/{x}', host: x", "path: /c/d"),
        ("path: '/c/{x}', match: [{header: a}]", "path: /c/d"),
        ("path: '/c/{x}', percentage: 50", "path: /c/d"),
        ("path: '/c/{x}'", "path: /c/d, priority: 1"),
        (
            "path: /a, percentage: 50, sticky: {cookie: a}",
            "path: /a, percentage: 50, sticky: {cookie: a, salt: b}",
        ),
        (
            "path: /a, percentage: 10, sticky: {cookie: a}",
            "path: /a, percentage: 50, sticky: {cookie: a}",
        ),
    ],
)
def test_an_endpoint_with_requests_of_its_own_is_well(earlier: str, later: str) -> None:
    back = "backends: [{target: 'a:80'}]"
    assert found(f"endpoints: [{{{earlier}, {back}}}, {{{later}, {back}}}]") == []


@pytest.mark.parametrize(
    ("earlier", "later", "advice"),
    [
        ("path: /a", "path: /a", "remove one of them"),
        ("path: '/a/{x}', method: get", "path: '/a/{y}', method: GET", "remove one of them"),
        ("path: '*'", "path: '/*'", "remove one of them"),
        ("path: '*'", "path: /a", "move this one up"),
        ("path: /a", "path: /a, host: x", "move this one up"),
        ("path: /a", "path: /a, percentage: 10", "move this one up"),
    ],
)
def test_of_endpoints_that_are_alike_one_is_to_be_removed(
    earlier: str, later: str, advice: str
) -> None:
    back = "backends: [{target: 'a:80'}]"
    (told,) = found(f"endpoints: [{{{earlier}, {back}}}, {{{later}, {back}}}]")
    assert told.endswith(f"takes all of its requests; {advice}")


@given(
    st.lists(st.sampled_from(["/a", "/b", "/{x}", "/a{x}", "/{x}b", "/", "/a{x}b"]), max_size=4),
    st.lists(st.sampled_from(["/a", "/b", "/{x}", "/a{x}", "/{x}b", "/", "/a{x}b"]), max_size=4),
    st.sampled_from(["", "*"]),
    st.sampled_from(["", "*"]),
    st.lists(st.sampled_from(["/a", "/b", "/", "/ab", "/abb", "/aab", "/axb", "/x"]), max_size=5),
)
def test_whoever_is_never_asked_has_no_path_of_its_own(
    earlier: list[str], later: list[str], star: str, other: str, asked: list[str]
) -> None:
    def path(segments: list[str], end: str) -> str:
        named = (text.replace("x", f"x{at}") for at, text in enumerate(segments))
        return ("".join(named) or "/") + end

    paths = [path(earlier, star), path(later, other)]
    troubles = list(reach_troubles([Endpoint(path=each) for each in paths]))
    first, second = map(PathPattern.parse, paths)
    if troubles and second.matches("".join(asked)):
        assert first.matches("".join(asked))


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/caf%C3%A9", "write '/caf\u00e9'"),
        ("/x//y", "write '/x/y'"),
        ("/x/../y", "write '/y'"),
        ("/x/./y", "write '/x/y'"),
        ("/x/.", "write '/x'"),
        ("/x//*", "write '/x/*'"),
        ("/%41/{x}/%42{y:%43//?#}*", "write '/A/{x}/B{y:%43//?#}*'"),
        ("/a//{x}/../b", "write '/a/b'"),
        ("/search?q=1", "what follows ? is the query, which a match looks at"),
        ("/a#top", "clients keep to themselves what follows #"),
    ],
)
def test_a_path_that_no_request_has_is_told(path: str, advice: str) -> None:
    (told,) = of_endpoint(f"path: '{path}', backends: [{{target: 'a:80'}}]")
    assert told.startswith("warning: endpoints[0].path: no request has it: ")
    assert advice in told


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/a/", "/caf\u00e9", "/.well-known/x", "/.*", "/a/..*", "/a..b", "*", "/*", "/%zz"),
        *("/{x:a//b}", "/{x:a?}", "/{x:[#%]41}/y", "/{x:a{2}}/y", "/a b", "/{x}.{y}", "/a*b"),
    ],
)
def test_a_path_that_requests_have_is_well(path: str) -> None:
    assert of_endpoint(f"path: '{path}', backends: [{{target: 'a:80'}}]") == []


def test_a_path_with_zero_bytes_is_told_alone() -> None:
    (told,) = of_endpoint(r'path: "/{x}//\07\0", backends: [{target: "a:80"}]')
    assert "holds a zero byte" in told


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("*.example.com", "write {name}, which is one label, or {name:.*}"),
        ("*", "leave it out, for any host"),
        ("https://example.com", "a host has neither a scheme nor a path"),
        ("example.com/a", "a host has neither a scheme nor a path"),
    ],
)
def test_a_host_that_no_request_has_is_told(host: str, advice: str) -> None:
    (told,) = of_endpoint(f"path: /a, host: '{host}', backends: [{{target: 'a:80'}}]")
    assert told.startswith("warning: endpoints[0].host: no request has it: ")
    assert advice in told


@pytest.mark.parametrize("host", ["a.test:80", "[::1]:80", "{x:.*}", "{x:[^/]*}.test", "{x}.test"])
def test_a_host_that_requests_have_is_well(host: str) -> None:
    assert of_endpoint(f"path: /a, host: '{host}', backends: [{{target: 'a:80'}}]") == []


def test_a_path_that_the_gateway_answers_itself_is_told_unless_it_does_not() -> None:
    text = "endpoints: [{path: /metrics, backends: [{target: 'a:80'}]}]"
    (told,) = found(text)
    assert told.startswith("warning: endpoints[0].path: it is never asked: the gateway answers")
    assert found(text, metrics=False) == []


def test_all_of_further_attempts_is_well() -> None:
    retry = "attempts: 3, hedgeDelay: 0.1s, backoff: {}, budget: {}, idempotentOnly: false"
    assert of_endpoint(f"{SOUND}, method: POST, retry: {{{retry}}}") == []


def test_endpoint_of_streams_has_no_further_attempts() -> None:
    (error,) = found(f"endpoints: [{{{SOUND}, stream: true, retry: {{attempts: 2}}}}]")
    assert error == (
        "error: endpoints[0].retry: a stream is not sent again: take retry away, or stream"
    )


def test_who_asks_first_by_its_priority_takes_from_those_before_it_in_the_file() -> None:
    back = "backends: [{target: 'a:80'}]"
    (told,) = found(f"endpoints: [{{path: /a, {back}}}, {{path: '*', priority: 1, {back}}}]")
    assert told.startswith("warning: endpoints[0].path: it is never asked: endpoints[1], ")


def test_a_share_that_is_within_another_is_told() -> None:
    each = "path: /a, percentage: 50, sticky: {cookie: a}, backends: [{target: 'a:80'}]"
    (told,) = found(f"endpoints: [{{{each}}}, {{{each}}}]")
    assert told.startswith("warning: endpoints[1].sticky.salt: whoever is in this share is in that")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("redirect: {https: true, status: 200}", "error: endpoints[0].redirect: status is one of"),
        ("redirect: {prefix: /b}", "error: endpoints[0].redirect: prefix: the path '/a' has no"),
        ("redirect: {https: true}, protocol: GRPC", "error: endpoints[0].redirect: calls of gRPC"),
        ("respond: {status: 99}", "error: endpoints[0].respond: status is from 200 to 599"),
        (
            "respond: {status: 200}, redirect: {https: true}",
            "error: endpoints[0].redirect: redirect and respond are both there",
        ),
        (
            "respond: {status: 200}, backends: [{target: 'a:80'}]",
            "error: endpoints[0].respond: respond answers in place of back ends",
        ),
        (
            "respond: {status: 200}, retry: {attempts: 2}",
            "warning: endpoints[0].retry: nothing reads it: there is no back end",
        ),
        (
            "redirect: {https: true}",
            "warning: endpoints[0].redirect: it leads to what it redirects",
        ),
        ("redirect: {path: /a}", "warning: endpoints[0].redirect: it leads to what it redirects"),
    ],
)
def test_a_wrong_answer_of_the_gateway_is_told_with_its_place(fields: str, told: str) -> None:
    (problem,) = of_endpoint(f"path: /a, {fields}")
    assert problem.startswith(told)


@pytest.mark.parametrize(
    "fields",
    [
        "path: '*', redirect: {https: true}, match: [{scheme: http}]",
        "path: '*', redirect: {host: www.a.test}, host: a.test",
        "path: /old/*, redirect: {prefix: /new/}",
        "path: /a, redirect: {path: /b}",
        "path: /a, respond: {status: 410, body: gone}",
    ],
)
def test_an_answer_of_the_gateway_needs_no_back_end(fields: str) -> None:
    assert of_endpoint(fields) == []


@pytest.mark.parametrize(
    ("backends", "told"),
    [
        (
            "{target: 'discovery:///a', weight: 9}, {target: 'discovery:///a', weight: 1}",
            "it gets no request: backends[0] comes before it and has all of its instances",
        ),
        (
            "{target: 'discovery:///a'}, {target: 'discovery:///a', labels: {version: v2}}",
            "it gets no request: backends[0] comes before it and has all of its instances",
        ),
        ("{target: 'a:80', weight: 9}, {target: 'direct:///a:80'}", "it gets no request: backen"),
        (
            "{target: 'a:80'}, {target: a}",
            "it gets no request: backends[0] has its address already",
        ),
    ],
)
def test_a_back_end_without_a_node_of_its_own_is_told(backends: str, told: str) -> None:
    (problem,) = of_endpoint(f"path: /a, protocol: HTTP, backends: [{backends}]")
    assert problem.startswith(f"warning: endpoints[0].backends[1]: {told}")


@pytest.mark.parametrize(
    "backends",
    [
        "{target: 'discovery:///a', labels: {version: v2}}, {target: 'discovery:///a'}",
        "{target: 'discovery:///a', labels: {v: x}}, {target: 'discovery:///a', labels: {v: y}}",
        "{target: 'discovery:///a', subsetSize: 3}, {target: 'discovery:///a'}",
        "{target: 'discovery:///a'}, {target: 'discovery:///b'}, {target: a}, {target: b}",
        "{target: 'direct:///a:80,b:80'}, {target: 'direct:///b:80,c:80'}",
    ],
)
def test_back_ends_with_nodes_of_their_own_are_well(backends: str) -> None:
    assert of_endpoint(f"path: /a, protocol: HTTP, backends: [{backends}]") == []


def rewrite(pattern: str) -> str:
    kind = "type.googleapis.com/gateway.middleware.rewrite.v1.Rewrite"
    return (
        f"{{name: rewrite, options: {{'@type': {kind}, regexRewrite: {{pattern: '{pattern}'}}}}}}"
    )


SLOW = [
    ("path: '/{x:(?:a+)+}'", "path", "doubles with every few characters"),
    ("path: '/{x:[^/]+}-{y}-{z}*'", "path", "grows with the square"),
    ("path: /a, host: '{x:(?:[a-z]+)*}.test'", "host", "doubles"),
    (
        "path: /a, match: [{header: a, regex: b}, {query: c, regex: '(d|d)*e'}]",
        "match[1].regex",
        "",
    ),
    (
        f"path: /a, middlewares: [{rewrite('a+$')}]",
        "middlewares[0].options.regex_rewrite.pattern",
        "grows with the square",
    ),
]


@pytest.mark.parametrize(("fields", "place", "how"), SLOW)
def test_an_expression_that_may_be_slow_is_told_with_its_place(
    fields: str, place: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{fields}, backends: [{{target: 'a:80'}}]"
    assert of_endpoint(text) == []  # RE2 is not slow at it
    monkeypatch.setitem(sys.modules, "re2", None)
    (told,) = of_endpoint(text)
    assert told.startswith(f"warning: endpoints[0].{place}: its time {how}")
    assert "all requests wait" in told
    assert told.endswith('or pip install "kratos-gateway[re2]"')


def test_a_slow_expression_around_all_endpoints_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    (told,) = found(f"{{middlewares: [{rewrite('(?:/+)+x')}], endpoints: [{{{SOUND}}}]}}")
    place = "middlewares[0].options.regex_rewrite.pattern"
    assert told.startswith(f"warning: {place}: its time doubles")
