"""The ports of `make run`."""

import pytest

from ratelimit_platform.running.__main__ import StepFailed, _ports

NAMES = ("PORT", "GATEWAY_PORT", "GATEWAY_GRPC_PORT")


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, variables.get(name, ""))


def test_the_ports_of_the_gateway_follow_from_port(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch)
    assert _ports() == {"PORT": 8000, "GATEWAY_PORT": 8081, "GATEWAY_GRPC_PORT": 8082}
    given(monkeypatch, PORT="9000")
    assert _ports() == {"PORT": 9000, "GATEWAY_PORT": 9081, "GATEWAY_GRPC_PORT": 9082}
    given(monkeypatch, PORT="9000", GATEWAY_PORT="7000")
    assert _ports() == {"PORT": 9000, "GATEWAY_PORT": 7000, "GATEWAY_GRPC_PORT": 7001}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "65500"}, r"GATEWAY_PORT is not set, so it would be PORT \+ 81 = 65581, .* 65535"),
        (
            {"GATEWAY_PORT": "65535"},
            r"GATEWAY_GRPC_PORT is not set, so it would be GATEWAY_PORT \+ 1 = 65536, .* 65535",
        ),
        ({"GATEWAY_PORT": "65536"}, r"GATEWAY_PORT is not a whole number from 1 to 65535\."),
        ({"PORT": "0"}, r"PORT is not a whole number from 1 to 65535\."),
    ],
)
def test_a_port_that_cannot_exist_is_reported(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, **variables)
    with pytest.raises(StepFailed, match=message):
        _ports()
