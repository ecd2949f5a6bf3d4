"""Flags and variables of Go's gateway mean the same here."""

from __future__ import annotations

import math
import sys

import pytest

from kratos.errors import ConfigError
from kratos_gateway.identity import advertised
from kratos_gateway.settings import Settings


def settings(*arguments: str, **environ: str) -> Settings:
    return Settings.of(arguments, environ=environ)


def test_defaults_are_those_of_go() -> None:
    found = settings()
    assert found.addresses == (":8080",)
    assert found.conf == "config.yaml"
    assert (found.priorities, found.discovery, found.control_services) == ("", "", [])
    assert not found.debug
    assert found.dial_timeout == 0.2
    assert found.limits.head_timeout == 10.0
    assert found.limits.body_grace == 15.0
    assert found.limits.write_timeout == 15.0
    assert found.limits.idle_timeout == 120.0
    assert not found.strict_slash
    assert found.resolve_timeout == 10.0


@pytest.mark.parametrize("dash", ["-", "--"])
def test_flags_of_go_are_taken_with_one_dash_and_with_two(dash: str) -> None:
    found = settings(
        f"{dash}addr=:1",
        f"{dash}addr",
        ":2",
        f"{dash}conf",
        "a.yaml",
        f"{dash}conf.priority=prior",
        f"{dash}ctrl.name=gw",
        f"{dash}ctrl.service=http://a, http://b",
        f"{dash}discovery.dsn=consul://127.0.0.1:8500?token=x",
        f"{dash}debug",
        f"{dash}feature-gates=gw:Retry=false",
    )
    assert found.addresses == [":1", ":2"]
    assert (found.conf, found.priorities) == ("a.yaml", "prior")
    assert found.control_name == "gw"
    assert found.control_services == ["http://a", "http://b"]
    assert found.discovery == "consul://127.0.0.1:8500?token=x"
    assert found.debug
    assert found.gates == "gw:Retry=false"


SWITCHES = {
    "debug": "debug",
    "dry-run": "dry_run",
    "metrics.installed": "installed_meter",
    "private-metrics": "public_metrics",
    "retry.idempotent-only": "retry_unsafe",
}


@pytest.mark.parametrize("flag", SWITCHES)
def test_a_switch_takes_the_words_of_go(flag: str) -> None:
    def switched(*arguments: str) -> bool:
        found: bool = getattr(settings(*arguments), SWITCHES[flag])
        return found is not getattr(settings(), SWITCHES[flag])

    for word in ("", "=1", "=t", "=T", "=true", "=TRUE", "=True"):
        assert switched(f"-{flag}{word}")
        assert switched(f"--{flag}{word}", "-conf", "a.yaml")
    for word in ("=0", "=f", "=F", "=false", "=FALSE", "=False"):
        assert not switched(f"-{flag}{word}")
        assert not switched(f"-{flag}", f"-{flag}{word}")  # the last one counts, as in Go


@pytest.mark.parametrize("given", ["-debug=maybe", "-debug=", "-dry-run=no"])
def test_a_switch_that_says_neither_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="is neither true nor false; --help"):
        settings(given)
    with pytest.raises(ConfigError, match="unrecognized arguments: false; --help"):
        settings("-debug", "false")


def test_variables_of_go_are_taken() -> None:
    found = settings(
        PROXY_READ_HEADER_TIMEOUT="1s",
        PROXY_READ_TIMEOUT="2s",
        PROXY_WRITE_TIMEOUT="1m",
        PROXY_IDLE_TIMEOUT="0s",
        PROXY_DIAL_TIMEOUT="1500ms",
        ENABLE_STRICT_SLASH="true",
        INITIAL_RESOLVE_TIMEOUT="3s",
        ADVERTISE_NAME="gw",
    )
    assert found.limits.head_timeout == found.limits.first_timeout == 1.0
    assert found.limits.body_grace == 2.0
    assert found.limits.write_timeout == 60.0
    assert found.limits.idle_timeout == math.inf
    assert found.dial_timeout == 1.5
    assert found.strict_slash
    assert found.resolve_timeout == 3.0
    assert found.control_name == "gw"


def test_nobody_is_believed_and_all_is_tried_again_as_in_go_unless_it_is_said() -> None:
    assert settings().trusted_proxies == []
    assert settings().retry_unsafe
    found = settings("-forward.trusted=10.0.0.0/8, 192.0.2.1", "-retry.idempotent-only")
    assert found.trusted_proxies == ["10.0.0.0/8", "192.0.2.1"]
    assert not found.retry_unsafe
    assert settings("-forward.trusted=all").trusted_proxies is None


def test_a_flag_goes_before_the_variable() -> None:
    assert settings("-ctrl.name=flag", ADVERTISE_NAME="variable").control_name == "flag"


def test_no_time_to_resolve_is_no_limit_as_in_go() -> None:
    assert settings(INITIAL_RESOLVE_TIMEOUT="0s").resolve_timeout is None


def test_workers_share_a_single_address() -> None:
    with pytest.raises(ConfigError, match="--workers needs a single --addr"):
        settings("-workers", "2", "-addr", ":1", "-addr", ":2")


def test_a_time_to_resolve_that_is_none_is_only_told(caplog: pytest.LogCaptureFixture) -> None:
    assert settings(INITIAL_RESOLVE_TIMEOUT="soon").resolve_timeout is None
    assert "INITIAL_RESOLVE_TIMEOUT" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_READ_TIMEOUT", "soon"),
        ("PROXY_IDLE_TIMEOUT", "-1s"),
        ("ENABLE_STRICT_SLASH", "maybe"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("flag", ["-addres=:1", "-conf.prior=x", "stray", "-workers=x"])
def test_a_flag_that_there_is_not_is_refused(flag: str) -> None:
    with pytest.raises(ConfigError, match="--help"):
        settings(flag)


def test_what_a_control_service_writes_has_to_be_read() -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        settings("--conf.source=etcd://a/b", "--ctrl.service=http://a")


def test_tls_needs_both_of_its_files() -> None:
    with pytest.raises(ConfigError, match="go together"):
        settings("--tls.cert=a.pem")
    found = settings("--tls.cert=a.pem", "--tls.key=b.pem", "--tls.client-ca=c.pem").tls
    assert found is not None
    assert (found.certificate, found.key, found.client_ca) == ("a.pem", "b.pem", "c.pem")
    assert found.others == ()


def test_further_certificates_belong_to_keys_by_their_order() -> None:
    keys = ("-tls.key=1.key", "--tls.key=2.key", "-tls.key", "3.key")
    found = settings("-tls.cert=1.pem", *keys, "--tls.cert=2.pem", "-tls.cert", "3.pem").tls
    assert found is not None
    assert (found.certificate, found.key) == ("1.pem", "1.key")
    pairs = [(each.certificate, each.key) for each in found.others]
    assert pairs == [("2.pem", "2.key"), ("3.pem", "3.key")]


def test_certificates_and_keys_in_unequal_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="in the same order: certificates are 2, and keys 1"):
        settings("--tls.cert=a.pem", "--tls.key=a.key", "--tls.cert=b.pem")
    with pytest.raises(ConfigError, match=r"go together: a\.key is alone"):
        settings("--tls.cert=", "--tls.key=a.key")


def test_flags_that_are_left_empty_mean_no_tls() -> None:
    assert settings("--tls.cert=", "--tls.key=").tls is None
    assert settings("--tls.cert=").tls is None


def test_roots_of_clients_need_a_certificate() -> None:
    with pytest.raises(ConfigError, match="needs --tls"):
        settings("--tls.client-ca=c.pem")


def test_redirects_are_followed_with_any_value_as_in_go() -> None:
    assert not settings().follow_redirects
    assert not settings(PROXY_FOLLOW_REDIRECT="").follow_redirects
    assert settings(PROXY_FOLLOW_REDIRECT="false").follow_redirects


def test_redirects_lead_to_hosts_that_are_named() -> None:
    given = ("--redirect.hosts=a.test, b.test:81", "--redirect.hosts=all")
    found = [settings(each, PROXY_FOLLOW_REDIRECT="1").redirect_hosts for each in given]
    assert found == [["a.test", "b.test:81"], None]


def test_hosts_of_redirects_that_are_not_followed_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings("--redirect.hosts=a.test", PROXY_FOLLOW_REDIRECT="1")
    assert not caplog.text
    settings("--redirect.hosts=a.test")
    assert "PROXY_FOLLOW_REDIRECT is not set" in caplog.text


def test_the_address_of_the_machine_is_what_is_given() -> None:
    assert advertised({"ADVERTISE_ADDR": "192.0.2.7"}) == "192.0.2.7"


def test_the_address_of_the_machine_is_that_of_the_device() -> None:
    known = {"eth0": "192.0.2.1", "eth1": "192.0.2.2"}
    assert advertised({}, of_device=known.__getitem__) == "192.0.2.1"
    assert advertised({"ADVERTISE_DEVICE": "eth1"}, of_device=known.__getitem__) == "192.0.2.2"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked by the name of a device")
def test_the_system_is_asked_for_the_address_of_a_device() -> None:
    assert advertised({"ADVERTISE_DEVICE": "lo"}) == "127.0.0.1"


def test_a_device_that_there_is_not_leaves_what_kratos_publishes() -> None:
    assert advertised({"ADVERTISE_DEVICE": "nothing9"}).count(".") == 3


def test_what_is_kept_of_bodies_is_bounded_by_a_flag() -> None:
    assert Settings.of([], environ={}).retry_memory == 64
    assert Settings.of(["-retry.memory", "8"], environ={}).retry_memory == 8
    with pytest.raises(ConfigError, match=r"--retry\.memory: -1 is negative"):
        Settings.of(["--retry.memory=-1"], environ={})
