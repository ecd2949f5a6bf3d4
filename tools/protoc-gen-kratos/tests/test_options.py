"""The plug-in's parameter."""

from __future__ import annotations

import pytest

from protoc_gen_kratos import Options, ParameterError


def test_nothing_said_means_defaults() -> None:
    assert Options.parse("") == Options()


def test_switches_are_read_as_the_go_plugin_reads_them() -> None:
    options = Options.parse("paths=source_relative,omitempty=false,omitempty_prefix=/api")
    assert options == Options(omit_empty=False, omit_empty_prefix="/api")


def test_modules_are_named_by_m() -> None:
    options = Options.parse("Mvalidate/validate.proto=validate.validate_pb2,Ma.proto=b.a_pb2")
    assert options.modules == {
        "validate/validate.proto": "validate.validate_pb2",
        "a.proto": "b.a_pb2",
    }


def test_a_switch_without_a_value_is_on() -> None:
    assert Options.parse("regenerate,absolute_root=true").absolute_root


def test_further_output_is_asked_for() -> None:
    options = Options.parse("mock,error_catalogue=docs/errors.md,openapi=api.yaml")
    assert options == Options(mock=True, error_catalogue="docs/errors.md", openapi="api.yaml")
    options = Options.parse("openapi=a.json,openapi_title=Shop,openapi_version=1.2")
    assert (options.openapi_title, options.openapi_version) == ("Shop", "1.2")
    options = Options.parse("tests=tests/api,tests_package=shop.api")
    assert (options.tests, options.tests_package) == ("tests/api", "shop.api")


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("mock=1", "mock is '1'"),
        ("error_catalogue=errors", r"ends in \.md"),
        ("error_catalogue=../errors.md", r"error_catalogue is '\.\./errors\.md'"),
        ("error_catalogue=/errors.md", "give a path in the output"),
        ("openapi=openapi", r"openapi is 'openapi'; .* ends in \.json or \.yaml or \.yml"),
        ("openapi=../api.json", r"openapi is '\.\./api\.json'"),
        ("openapi=api.md", r"openapi is 'api\.md'"),
        ("tests=tests,mock", "drop mock"),
        ("tests=tests,openapi=a.json", "drop mock"),
        ("tests=tests,tests_package=a-b", "tests_package is 'a-b'"),
        ("omitemty=false", "no switch 'omitemty'"),
        ("omitempty=no", "omitempty is 'no'"),
        ("omitempty_prefix=api", "must start with '/'"),
        ("private_package=a..b", "names joined with dots"),
        ("Ma.proto=not-a-module", "a.proto=not-a-module"),
        ("Ma.proto=class.a_pb2", "a.proto=class.a_pb2"),
        ("Ma.proto", "a.proto="),
    ],
)
def test_a_wrong_switch_is_refused_with_its_name(parameter: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        Options.parse(parameter)


def test_a_document_takes_the_server_that_it_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr("protoc_gen_kratos.options.find_spec", nothing)
    with pytest.raises(ParameterError, match=r"protoc-gen-kratos\[openapi\]"):
        Options.parse("openapi=openapi.json")
