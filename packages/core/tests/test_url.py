from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.url import Host, Options, Url, expand_env, mask, parse_url


def test_every_part_of_a_url_is_read() -> None:
    url = parse_url("etcd://root:p%40ss@10.0.0.1:2379,etcd-2/microservices/eu?ttl=15s&tag=a&tag=b")

    assert url == Url(
        scheme="etcd",
        username="root",
        password="p@ss",
        hosts=(Host(name="10.0.0.1", port=2379), Host(name="etcd-2")),
        path="/microservices/eu",
        query={"ttl": ("15s",), "tag": ("a", "b")},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory://", Url(scheme="memory")),
        ("file:///var/run/kratos", Url(scheme="file", path="/var/run/kratos")),
        ("ETCD://h", Url(scheme="etcd", hosts=(Host(name="h"),))),
        ("a+b.c-1://h/", Url(scheme="a+b.c-1", hosts=(Host(name="h"),), path="/")),
        ("x://user@h", Url(scheme="x", username="user", hosts=(Host(name="h"),))),
        ("x://:pw@", Url(scheme="x", username="", password="pw")),
        ("x://a:b:c@", Url(scheme="x", username="a", password="b:c")),
        ("x://[::1]:80,[fe80::1%25eth0]", Url(
            scheme="x", hosts=(Host(name="::1", port=80), Host(name="fe80::1%eth0"))
        )),
        ("x:///a%2Fb%20c", Url(scheme="x", path="/a/b c")),
        ("x://?a&b=&c=1+1", Url(scheme="x", query={"a": ("",), "b": ("",), "c": ("1+1",)})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_parts_are_optional_and_decoded(text: str, expected: Url) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must look like scheme://"),
        ("etcd", "must look like scheme://"),
        ("127.0.0.1:80", "must look like scheme://"),
        ("1x://h", "must look like scheme://"),
        ("x://h#fragment", "must look like scheme://"),
        ("x://h:port", "each host"),
        ("x://h:", "each host"),
        ("x://::1", "each host"),
        ("x://[::1", "each host"),
        ("x://a,,b", "each host"),
        ("x://a b", "each host"),
        ("x://h:65536", "at most 65535"),
        ("x://h/100%", "write % as %25"),
        ("x://h?a=%zz", "write % as %25"),
    ],
)
def test_malformed_url_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "x://root:hunter2@h:port",
        "x://root:hun/hunter2@h",
        "x://root:hunter2@h#f",
        "x://h:port?password=hunter2",
        "x://h:port?shared_key=hunter2",
        "x://h:port?a=b&Consul_Token=hunter2&c=d",
        "x://h:port?client-secret=hunter2",
    ],
)
def test_errors_show_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(text)

    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize("show", [str, repr])
def test_text_of_a_url_shows_no_secret(show: type[str]) -> None:
    url = parse_url("etcd://root:hunter2@[::1]:2379,b/ns?token=hunter2&api_password=hunter2&ttl=1s")

    assert "etcd://***@[::1]:2379,b/ns?token=***&api_password=***&ttl=1s" in show(url)


def test_text_of_a_url_without_secrets_parses_to_the_same() -> None:
    url = parse_url("x://h:1,[::1]/a%2Fb%20c?d=%26&d=2")

    assert parse_url(str(url)) == url


def test_addresses_get_the_default_port_and_brackets() -> None:
    url = parse_url("x://a,b:1,[::1]")

    assert url.addresses(2379) == ("a:2379", "b:1", "[::1]:2379")


@given(st.text())
def test_any_text_gives_a_url_or_a_config_error(text: str) -> None:
    for candidate in (text, f"x://{text}"):
        try:
            url = parse_url(candidate)
        except ConfigError:
            continue
        assert url.scheme


@given(st.text(), st.text(), st.text())
def test_mask_hides_user_information_anywhere(before: str, secret: str, after: str) -> None:
    masked = mask(f"x://{before}\x00{secret}\x00@{after}")

    assert f"\x00{secret}\x00" not in masked


# --- options


def options(query: str) -> Options:
    return Options(parse_url(f"x://h?{query}"))


def test_options_are_read_by_type() -> None:
    read = options("name=a&tag=1&tag=2&retries=-3&tls=true&ttl=1m30s&poll=0.5&zero=0")

    assert read.text("name", default="") == "a"
    assert read.texts("tag") == ("1", "2")
    assert read.integer("retries", default=5) == -3
    assert read.flag("tls", default=False) is True
    assert read.duration("ttl", default=1.0) == 90.0
    assert read.duration("poll", default=1.0) == 0.5
    assert read.duration("zero", default=1.0) == 0.0
    read.finish()


def test_options_that_are_missing_have_their_defaults() -> None:
    read = options("")

    assert read.text("name", default="n") == "n"
    assert read.texts("tag", default=("t",)) == ("t",)
    assert read.integer("retries", default=5) == 5
    assert read.flag("tls", default=True) is True
    assert read.duration("ttl", default=15.0) == 15.0
    read.finish()


def test_empty_text_is_a_text() -> None:
    assert options("name=").text("name", default="n") == ""


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("n=1.5", "'n' must be a whole number"),
        ("n=", "'n' must be a whole number"),
        ("n=1&n=2", "'n' is given more than once"),
        ("b=yes", "'b' must be true or false"),
        ("d=15 s", "'d' must be a duration such as 15s"),
        ("d=-1s", "'d' must not be negative"),
        ("d=nan", "'d' must be a duration"),
        ("d=inf", "'d' must be a duration"),
    ],
)
def test_wrong_options_are_refused_by_name(query: str, complaint: str) -> None:
    read = options(query)

    with pytest.raises(ConfigError, match=complaint):
        _ = (
            read.integer("n", default=0),
            read.flag("b", default=False),
            read.duration("d", default=0.0),
        )


def test_unknown_option_is_refused_with_the_known_ones() -> None:
    read = options("tll=15s")
    read.duration("ttl", default=15.0)
    read.text("namespace", default="")

    with pytest.raises(
        ConfigError, match=r"unknown option 'tll' \(known: namespace, ttl\); did you mean ttl\?"
    ):
        read.finish()


def test_what_an_unknown_option_holds_is_not_told() -> None:
    with pytest.raises(ConfigError, match=r"tokn=\*\*\*") as refused:
        options("tokn=hunter2&passwd=hunter3").finish()

    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize("name", ["tokn", "passwd", "pwd", "api_key", "apikey", "sharedkey"])
def test_secret_under_another_name_is_not_told_either(name: str) -> None:
    url = f"a://h?{name}=hunter2&b=c"
    assert "hunter2" not in f"{parse_url(url)} {mask(url)}"
    assert "b=c" in f"{parse_url(url)}"


def test_unknown_option_where_none_is_known_is_refused_too() -> None:
    with pytest.raises(ConfigError, match=r"\(known: none\)$"):
        options("a=b").finish()


# --- environment


def test_variables_are_replaced() -> None:
    environ = {"HOSTS": "a:1,[::1]:2", "PASSWORD": "p@s/s?#%"}

    url = parse_url(expand_env("etcd://root:${PASSWORD}@${HOSTS}/ns", environ=environ))

    assert url.password == "p@s/s?#%"
    assert url.addresses(0) == ("a:1", "[::1]:2")
    assert url.path == "/ns"


def test_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="the environment variable 'PASSWORD' is not set"):
        expand_env("etcd://root:${PASSWORD}@h", environ={})


def test_variables_come_from_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOS_TEST_HOST", "example")

    assert expand_env("x://${KRATOS_TEST_HOST}") == "x://example"
