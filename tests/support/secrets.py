"""Credentials in the forms that issuers give to theirs, put together at run time: none is, or ever was, one."""

from __future__ import annotations

import base64
import random
import string

_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def corpus(seed: int = 20261124) -> list[str]:
    """Return one credential of each form."""
    chance = random.Random(seed)

    def some(count: int, alphabet: str = _ALNUM) -> str:
        return "".join(chance.choice(alphabet) for _ in range(count))

    def part(count: int) -> str:
        return base64.urlsafe_b64encode(some(count).encode()).decode().rstrip("=")

    plain = [
        ("AK" + "IA", some(16, string.ascii_uppercase + "234567")),
        ("AS" + "IA", some(16, string.ascii_uppercase + "234567")),
        *(("gh" + kind + "_", some(36)) for kind in "opsur"),
        ("github" + "_pat_", some(22) + "_" + some(59)),
        ("gl" + "pat-", some(20)),
        ("gl" + "rt-", some(20)),
        *(("xox" + kind + "-", f"{some(12, string.digits)}-{some(24)}") for kind in "abpr"),
        ("xa" + "pp-", f"1-{some(11)}-{some(13, string.digits)}-{some(64, _HEX)}"),
        ("sk" + "_live_", some(24)),
        ("rk" + "_live_", some(24)),
        ("sk" + "_test_", some(24)),
        ("wh" + "sec_", some(32)),
        ("sk" + "-", some(48)),
        ("sk" + "-proj-", some(64)),
        ("sk" + "-ant-api03-", some(90)),
        ("AI" + "za", some(35)),
        ("ya" + "29.", some(60)),
        ("GOC" + "SPX-", some(28)),
        ("SG" + ".", f"{some(22)}.{some(43)}"),
        ("S" + "K", some(32, _HEX)),
        ("", f"{some(9, '123456789')}:{some(35)}"),
        ("n" + "pm_", some(36)),
        ("py" + "pi-", "AgEIcHlwaS5vcmc" + some(60)),
        ("h" + "f_", some(34)),
        ("do" + "p_v1_", some(64, _HEX)),
        ("dc" + "kr_pat_", some(27)),
        ("sh" + "pat_", some(32, _HEX)),
        ("li" + "n_api_", some(40)),
        ("nt" + "n_", some(46)),
        ("PM" + "AK-", f"{some(24, _HEX)}-{some(34, _HEX)}"),
        ("AT" + "ATT3", some(60)),
        ("hv" + "s.", some(90)),
        ("AGE-" + "SECRET-KEY-1", some(58, string.ascii_uppercase + string.digits)),
        ("xkey" + "sib-", f"{some(64, _HEX)}-{some(16)}"),
        ("NR" + "AK-", some(27, string.ascii_uppercase)),
        ("sq0" + "atp-", some(22)),
        ("gl" + "sa_", f"{some(32)}_{some(8, _HEX)}"),
        ("da" + "pi", some(32, _HEX)),
        ("sb" + "p_", some(40, _HEX)),
        ("gs" + "k_", some(52)),
        ("ts" + "key-auth-", f"{some(12)}-{some(28)}"),
        ("ey" + "J", f"{part(20)}.ey{part(40)}.{part(32)}"),
    ]
    return [prefix + rest for prefix, rest in plain]


def in_context(seed: int = 20261124) -> list[tuple[str, str]]:
    """Return texts with a secret of no form of its own, and that secret: only its place gives it away."""
    chance = random.Random(seed)
    secrets = ["".join(chance.choice(_ALNUM) for _ in range(18)) for _ in range(16)]
    texts = (
        "Authorization: Bearer {}",
        "authorization: basic {}",
        "postgres://user:{}@db.example.org:5432/app",
        "redis://:{}@cache.example.org",
        "https://example.org/hook?token={}&x=1",
        "https://example.org/blob?sv=1&sig={}",
        "DB_PASSWORD={}",
        "password: {}",
        '{{"client_secret": "{}"}}',
        "AccountKey={};EndpointSuffix=example.org",
        "export API_KEY='{}'",
        "Cookie: session_id={}; path=/",
        "mysql --user root --password {} db",
        'tool --api-key "{}"',
        '{{\\"password\\": \\"{}\\"}}',
        '{{\\\\\\"api_key\\\\\\":\\\\\\"{}\\\\\\"}}',
    )
    return [(text.format(secret), secret) for text, secret in zip(texts, secrets, strict=True)]


def private_key() -> str:
    """Return a block that looks like a private key."""
    dashes = "-" * 5
    body = "\n".join(base64.b64encode(bytes([line] * 48)).decode() for line in range(4))
    return f"{dashes}BEGIN PRIVATE KEY{dashes}\n{body}\n{dashes}END PRIVATE KEY{dashes}"
