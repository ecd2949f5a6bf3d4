"""The command tells what is wrong before it serves, and says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from kratos_gateway.command import main

SOUND = "endpoints: [{path: /a, protocol: HTTP, backends: [{target: '127.0.0.1:80'}]}]"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "gateway.yaml"
    made.write_text(SOUND, encoding="utf-8")
    return made


def status(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_a_sound_file_is_well(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("check", str(path)) == 0
    assert capsys.readouterr().out == f"{path} is well\n"


def test_an_error_is_told_with_its_place_and_fails(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("endpoints: [{path: a, backends: [{target: 'a:80'}]}]", encoding="utf-8")
    assert status("check", str(path)) == 1
    told = f"{path}: error: endpoints[0].path: 'a' must start with a slash\n"
    assert capsys.readouterr().err == told


def test_a_warning_fails_only_if_it_shall(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(f"{SOUND}\nnam: x", encoding="utf-8")
    assert status("check", str(path)) == 0
    told = capsys.readouterr()
    assert "warning: nam: Gateway has no such key" in told.err
    assert told.out == f"{path} has no errors\n"
    assert status("check", "--strict", str(path)) == 1


def test_a_file_that_cannot_be_read_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("endpoints: [{timeout: soon}]", encoding="utf-8")
    assert status("check", str(path)) == 1
    assert capsys.readouterr().err.startswith(f"{path}: error: endpoints[0].timeout: ")


def test_all_that_cannot_be_read_is_told_and_unknown_keys_with_it(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(
        """
        tls_store: {"a.b": {server_name: 7}}
        endpoints:
          - {path: '${NOWHERE_TO_BE}', timeout: soon, backends: [{target: 'a:80', weight: x}]}
          - {path: [], retry: {attemps: 2}, middlewares: [{options: {}}]}
        """,
        encoding="utf-8",
    )
    assert status("check", str(path)) == 1
    told = capsys.readouterr().err.splitlines()
    places = [line.removeprefix(f"{path}: ").split(": ")[:2] for line in told]
    assert places == [
        ["error", "endpoints[0].path"],
        ["error", "endpoints[1].middlewares[0].options"],
        ["error", 'tls_store["a.b"].server_name'],
        ["error", "endpoints[0].timeout"],
        ["error", "endpoints[0].backends[0].weight"],
        ["error", "endpoints[1].path"],
        ["warning", "endpoints[1].retry.attemps"],
    ]


def test_an_element_that_is_none_leaves_the_rest_of_its_list_untold(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("endpoints: [7, {timeout: x}]\nname: []", encoding="utf-8")
    assert status("check", str(path)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{path}: error: endpoints[0]: expected an object, got 7")
    assert second.startswith(f"{path}: error: name: ")


def test_a_text_without_quotes_is_told_to_need_them(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("version: 1.0", encoding="utf-8")
    assert status("check", str(path)) == 1
    told = f'{path}: error: version: expected a string, got 1.0: write it in quotes, "1.0"\n'
    assert capsys.readouterr().err == told
    path.write_text("version: [1.0]", encoding="utf-8")
    assert status("check", str(path)) == 1
    assert "write it" not in capsys.readouterr().err


def test_an_empty_file_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("# nothing yet", encoding="utf-8")
    assert status("check", str(path)) == 1
    assert "it is empty: write endpoints, or {} for none" in capsys.readouterr().err


def test_a_file_in_another_encoding_is_told_by_its_name(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(b"name: caf\xe9")
    assert status("check", str(path)) == 1
    assert capsys.readouterr().err.startswith(f"{path}: error: the whole: it is not UTF-8: ")


def test_a_target_is_told_the_forms_that_the_gateway_takes_and_no_others(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(SOUND.replace(":80'", ":http'"), encoding="utf-8")
    assert status("check", str(path)) == 1
    assert capsys.readouterr().err.endswith(
        "target '127.0.0.1:http': 'http' is no port from 1 to 65535; "
        "write host:port or discovery:///service\n"
    )


def test_a_file_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("check", str(tmp_path / "none.yaml")) == 1
    assert capsys.readouterr().err.endswith(
        "none.yaml: error: the whole: it cannot be read: No such file or directory\n"
    )


def test_priority_files_are_checked_with_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = path.parent / "prior"
    folder.mkdir()
    back = "backends: [{target: 'a:80'}]"
    wrong = f"endpoints: [{{path: /a, {back}}}, {{path: b, {back}}}]"
    (folder / "p.yaml").write_text(wrong, encoding="utf-8")
    assert status("check", str(path), "--priority", str(folder)) == 1
    assert capsys.readouterr().err.startswith(f"{folder / 'p.yaml'}: error: endpoints[1].path: ")


def test_a_file_that_cannot_be_read_keeps_nothing_of_others_from_being_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = path.parent / "prior"
    folder.mkdir()
    path.write_text("name: []", encoding="utf-8")
    back = "backends: [{target: 'a:80', tls: true, tlsConfigName: inner}]"
    (folder / "a.yaml").write_text("endpoints: [", encoding="utf-8")
    (folder / "b.yaml").write_text(f"endpoints: [{{path: b, {back}}}]", encoding="utf-8")
    (folder / "c.yaml").write_bytes(b"name: caf\xe9")
    assert status("check", str(path), "--priority", str(folder)) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:3] for line in told] == [
        [str(path), "error", "name"],
        [str(folder / "a.yaml"), "error", "the whole"],
        [str(folder / "b.yaml"), "error", "endpoints[0].path"],
        [str(folder / "c.yaml"), "error", "the whole"],
    ]


def test_middleware_of_the_main_file_may_be_for_priority_files(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = path.parent / "prior"
    folder.mkdir()
    path.write_text(f"{SOUND}\nmiddlewares: [{{name: grpcweb}}]", encoding="utf-8")
    assert status("check", "--strict", str(path), "--priority", str(folder)) == 1
    assert "grpcweb does nothing" in capsys.readouterr().err
    calls = SOUND.replace("/a", "/b").replace("HTTP", "GRPC")
    (folder / "p.yaml").write_text(calls, encoding="utf-8")
    assert status("check", "--strict", str(path), "--priority", str(folder)) == 0


def test_priority_files_may_name_tls_of_the_main_file(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = path.parent / "prior"
    folder.mkdir()
    path.write_text(f"{SOUND}\ntlsStore: {{inner: {{insecure: true}}}}", encoding="utf-8")
    back = "backends: [{target: 'a:80', tls: true, tlsConfigName: inner}]"
    (folder / "p.yaml").write_text(f"endpoints: [{{path: /b, {back}}}]", encoding="utf-8")
    assert status("check", str(path), "--priority", str(folder)) == 0
    (told,) = capsys.readouterr().err.splitlines()  # once, where it is
    assert told.startswith(f"{path}: warning: tls_store.inner.insecure: ")


def test_a_registry_that_there_will_not_be_is_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(SOUND.replace("127.0.0.1:80", "discovery:///shop"), encoding="utf-8")
    assert status("check", str(path)) == 0
    assert status("check", "--no-discovery", str(path)) == 1
    assert "there is no registry to ask" in capsys.readouterr().err


def test_metrics_may_be_of_an_endpoint_where_the_gateway_shows_none(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(SOUND.replace("/a", "/metrics"), encoding="utf-8")
    assert status("check", "--strict", str(path)) == 1
    assert "or start it with -private-metrics" in capsys.readouterr().err
    assert status("check", "--strict", "--private-metrics", str(path)) == 0


def test_a_flag_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--nonsense") == 2
    assert "--nonsense; --help tells all flags" in capsys.readouterr().err


def with_middleware(required: str) -> str:
    options = "{'@type': type.googleapis.com/kratos.gateway.v1.RateLimit, rate: -1}"
    middleware = f"{{name: ratelimit, required: {required}, options: {options}}}"
    return SOUND.replace("path: /a", f"path: /a, middlewares: [{middleware}]")


def test_options_of_middleware_that_cannot_be_meant_are_an_error_where_it_is_required(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = "endpoints[0].middlewares[0].options"
    why = "ratelimit: rate is in requests per second and more than 0, not -1"
    path.write_text(with_middleware("true"), encoding="utf-8")
    assert status("check", str(path)) == 1
    assert capsys.readouterr().err == f"{path}: error: {place}: {why}\n"
    path.write_text(with_middleware("false"), encoding="utf-8")
    assert status("check", str(path)) == 0
    left_out = "it is left out, as it is not required"
    assert capsys.readouterr().err == f"{path}: warning: {place}: {why}; {left_out}\n"


def test_what_middleware_warns_of_when_it_is_made_is_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(f"{SOUND}\nmiddlewares: [{{name: CORS, required: true}}]", encoding="utf-8")
    assert status("check", str(path)) == 0
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(
        f"{path}: warning: middlewares[0].options: cors: lets every origin read answers"
    )
    assert status("check", "--strict", str(path)) == 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("-version") == 0
    assert capsys.readouterr().out.startswith("kratos-gateway 0.")


def mirroring() -> str:
    """Return a configuration with a place for the fields of a back end of a middleware."""
    options = (
        "{'@type': type.googleapis.com/kratos.gateway.v1.Mirror, endpoint: {backends: [{%s}]}}"
    )
    middleware = f"{{name: mirror, required: true, options: {options}}}"
    return SOUND.replace("path: /a", f"path: /a, middlewares: [{middleware}]")


def test_back_ends_of_middleware_are_checked_too(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = mirroring()
    path.write_text(text % "target: 'ftp:///a'", encoding="utf-8")
    assert status("check", str(path)) == 1
    place = "endpoints[0].middlewares[0].options: mirror: endpoint.backends[0].target: "
    assert f"{path}: error: {place}" in capsys.readouterr().err
    path.write_text(text % "target: 'a.test:80'", encoding="utf-8")
    assert status("check", str(path)) == 0


_KINDS = "type.googleapis.com"


@pytest.mark.parametrize(
    ("name", "kind", "fields"),
    [
        ("mirror", "kratos.gateway.v1.Mirror", "endpoint: {%s}"),
        ("extauth", "kratos.gateway.v1.ExtAuth", "endpoint: {path: /check, %s}"),
        (
            "circuitbreaker",
            "gateway.middleware.circuitbreaker.v1.CircuitBreaker",
            "successRatio: {success: 0.8}, backupService: {endpoint: {%s}}",
        ),
    ],
)
def test_names_of_tls_are_looked_up_for_back_ends_of_middleware_too(
    path: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str, fields: str
) -> None:
    backends = "backends: [{target: 'a.test:80', tls: true, tlsConfigName: inner}]"
    options = f"{{'@type': {_KINDS}/{kind}, {fields % backends}}}"
    text = f"{SOUND}\nmiddlewares: [{{name: {name}, options: {options}}}]"
    path.write_text(text, encoding="utf-8")
    assert status("check", str(path)) == 0
    place = f"middlewares[0].options: {name}: endpoint.backends[0].tls_config_name"
    why = "tls_store has no 'inner', so the system's roots count"
    assert capsys.readouterr().err == f"{path}: warning: {place}: {why}\n"
    path.write_text(f"{text}\ntlsStore: {{inner: {{serverName: a.test}}}}", encoding="utf-8")
    assert status("check", "--strict", str(path)) == 0
    assert capsys.readouterr().err == ""


def test_a_registry_that_there_will_not_be_is_told_for_back_ends_of_middleware_too(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(mirroring() % "target: 'discovery:///copies'", encoding="utf-8")
    assert status("check", str(path)) == 0
    assert status("check", "--no-discovery", str(path)) == 1
    place = "endpoints[0].middlewares[0].options: mirror: endpoint.backends[0].target"
    why = "there is no registry to ask: give --discovery.dsn"
    assert f"{path}: error: {place}: {why}\n" in capsys.readouterr().err
