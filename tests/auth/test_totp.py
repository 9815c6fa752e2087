import base64
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.auth import totp

# RFC 6238, appendix B: the SHA-1 codes, of which six digits are used here.
SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]


@pytest.mark.parametrize(("moment", "code"), VECTORS)
def test_the_codes_of_the_specification_are_right(moment: int, code: str) -> None:
    assert totp.matching_step(SECRET, code, now_seconds=moment) == moment // 30


@pytest.mark.parametrize(("moment", "code"), VECTORS)
@pytest.mark.parametrize(("away", "right"), [(-60, False), (-30, True), (30, True), (60, False)])
def test_a_code_is_right_one_step_early_or_late(moment: int, code: str, away: int, right: bool) -> None:  # noqa: FBT001  # a column of the table
    found = totp.matching_step(SECRET, code, now_seconds=moment + away)
    assert found == (moment // 30 if right else None)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "28708",
        "2870820",
        "28708x",
        "\uff12\uff18\uff17\uff10\uff18\uff12",
        "287082\0",
        "-87082",
        "+28708",
        "abcdef",
    ],
)
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert totp.matching_step(SECRET, code, now_seconds=59) is None


def test_spaces_as_apps_show_them_do_not_matter() -> None:
    assert totp.matching_step(SECRET, " 287 082 ", now_seconds=59) == 1


def test_the_uri_says_who_and_where() -> None:
    secret = totp.new_secret()
    parts = urlsplit(totp.uri(secret, user="ada@example.com", cluster="prod"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert parts.path == "/prod:ada%40example.com"
    assert parse_qs(parts.query) == {"secret": [secret], "issuer": ["prod"]}


def test_secrets_have_160_bits_and_differ() -> None:
    secrets = {totp.new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}
