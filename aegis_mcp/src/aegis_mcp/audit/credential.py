"""What looks like a credential: the forms that issuers give to theirs, and the places where secrets stand.

Every pattern is a fixed prefix and a class of characters: the time to look through a text grows with its length alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Final

# Each begins with one certain character: only where one of these stands is anything tried.
_FORMS: Final = (
    r"A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{16}",  # Amazon access key ids
    r"gh[oprsu]_[0-9A-Za-z]{16,}",
    r"github_pat_[0-9A-Za-z_]{16,}",
    r"gl(?:pat|dt|ptt|rt|cbt|soat|ft)-[\w-]{16,}",
    r"xox[a-z]-[\w-]{8,}",
    r"xapp-[\w-]{8,}",
    *(rf"{kind}_(?:live|test)_[0-9A-Za-z]{{8,}}" for kind in ("sk", "rk", "pk")),
    r"whsec_[0-9A-Za-z+/=]{8,}",
    r"sk-[\w-]{16,}",  # OpenAI, Anthropic and who followed them
    r"AIza[\w-]{30,}",
    r"ya29\.[\w-]{16,}",
    r"GOCSPX-[\w-]{16,}",
    r"eyJ(?<![\w-]eyJ)[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)*",  # a JWT, signed or encrypted
    r"SG\.[\w-]{16,}\.[\w-]{16,}",
    *(rf"{kind}(?<!\w{kind})[0-9a-f]{{32}}\b" for kind in ("SK", "AC")),
    *(rf"{digit}(?<!\w{digit})[0-9]{{7,9}}:[\w-]{{35}}\b" for digit in range(10)),
    r"npm_[0-9A-Za-z]{30,}",
    r"pypi-[\w-]{16,}",
    r"hf_[0-9A-Za-z]{20,}",
    r"do[oprt]_v1_[0-9a-f]{32,}",
    r"dckr_(?:pat|oat)_[\w-]{16,}",
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"lin_(?:api|oauth)_[0-9A-Za-z]{16,}",
    *(rf"{kind}_[0-9A-Za-z]{{32,}}" for kind in ("ntn", "secret")),
    r"PMAK-[0-9a-f-]{24,}",
    r"ATATT3[\w=-]{16,}",
    r"hv[bs]\.[\w-]{16,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{32,}",
    r"xkeysib-[0-9a-f]{32,}",
    r"key-[0-9a-f]{32}",
    r"NRAK-[0-9A-Z]{16,}",
    r"sq0(?:atp|csp)-[\w-]{16,}",
    r"EAA[0-9A-Za-z]{32,}",
    r"glsa_[0-9A-Za-z_]{32,}",
    r"dapi[0-9a-f]{32}",
    r"sbp_[0-9a-f]{32,}",
    r"gsk_[0-9A-Za-z]{20,}",
    r"r8_[0-9A-Za-z]{20,}",
    r"tskey-[\w-]{16,}",
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[^-]*(?:-----END [A-Z ]{0,40}-----)?",
)
_NAMES: Final = (
    r"pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|shared[_-]?access"
    r"[_-]?key|secret[_-]?access[_-]?key|client[_-]?secret|credentials?|auth|authorization|cookie|session[_-]?id|sig|signature"
)
# Every credential has one of these; most text has none of them, and one pass over one class of characters says so.
_WORTH_A_LOOK: Final = re.compile(r"[\w.-]{12}|[=:@]|--|(?i:bearer|basic|token|digest)")
_AUTHORIZATION: Final = re.compile(r"(?i)\b(bearer|basic|token|digest)([ \t]{1,4})([\w.~+/=-]{6,})")
# A value that begins with one of these stands for another, as in `--token $TOKEN` and `--token <token>`.
_AFTER_OPTION: Final = r"(?<![\w-])(--([A-Za-z][\w-]{0,60})[ \t]{1,4}[\"']?)([^\s\"'$<{\[-][^\s\"']*)"
_OPTION: Final = re.compile(r"--?([A-Za-z][\w-]{0,60})")
_IN_URL: Final = r"(://[^\s/@:]{0,256}:)([^\s/@]{1,256})(@)"


# The two are long, and compiling them takes a good part of a start: the first text that is worth a look pays for it.
@cache
def _issued() -> re.Pattern[str]:
    return re.compile("|".join(_FORMS))


@cache
def _assigned() -> re.Pattern[str]:
    quote = r"(?:\\{0,7}[\"'])"  # JSON inside JSON escapes its quotes, once more for each level
    after = rf"{quote}?\s{{0,4}}[:=]\s{{0,4}}{quote}?"
    value = rf"((?:(?!{quote})[^\s&;,]){{3,}})"
    return re.compile(rf"(?i)((?:{_NAMES}){after})(?!(?:bearer|basic|token|digest)\s){value}")


def replace(text: str, stand_in: Callable[[str], str]) -> str:
    """Return the text with every credential in it replaced by what `stand_in` makes of it."""
    if not _WORTH_A_LOOK.search(text):
        return text
    text = _issued().sub(lambda found: stand_in(found[0]), text)
    if "://" in text:
        text = re.sub(_IN_URL, lambda found: found[1] + _once(found[2], stand_in) + found[3], text)
    text = _AUTHORIZATION.sub(lambda found: found[1] + found[2] + _once(found[3], stand_in), text)
    if "--" in text:
        text = re.sub(_AFTER_OPTION, lambda found: _after_option(found, stand_in), text)
    if "=" in text or ":" in text:
        text = _assigned().sub(lambda found: found[1] + _once(found[2], stand_in), text)
    return text


def may_be_in(encoded: bytes) -> bool:
    """Tell whether a JSON text could hold a credential or the name of a secret: False only if it certainly does not."""
    # What is escaped is not looked at here, nor what stands before an @ in a URL, nor what only looks like a letter.
    if _BACKSLASH in encoded or _AT in encoded or not encoded.isascii():
        return True
    if _telltale().search(encoded.translate(_LOWER, _SEPARATORS)):
        return True
    return _LONG_WORD in encoded.translate(_KINDS) and bool(_issued().search(encoded.decode("ascii")))


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a key names a secret, whatever its style: `api_key`, `apiKey`, `X-Api-Key`, `DB_PASSWORD`."""
    words = [word.lower() for word in _WORDS.findall(name[:200])]
    return any("".join(words[i:j]) in _SECRET_WORDS for i in range(len(words)) for j in range(i + 1, i + 4))


def is_secret_option(word: object) -> bool:
    """Tell whether a word of a command is an option whose value, the next word, is a secret: `--password`."""
    option = _OPTION.fullmatch(word) if isinstance(word, str) else None
    return option is not None and is_secret_name(option[1])


def secret_names(members: Mapping[str, object]) -> set[str]:
    """Return which members of an object hold a secret: by their names, or `value` beside the name of one.

    The latter is how lists of headers and of variables are written.
    """
    found = {name for name in members if is_secret_name(name)}
    if "value" in members and any(
        isinstance(beside := members.get(key), str) and is_secret_name(beside) for key in ("name", "key")
    ):
        found.add("value")
    return found


@cache
def _telltale() -> re.Pattern[bytes]:
    shortest = sorted(word for word in _TELLTALES if not any(other in word for other in _TELLTALES - {word}))
    # One branch for each first letter: most are left at once.
    branches = (f"{first}(?:{'|'.join(w[1:] for w in words)})" for first, words in groupby(shortest, itemgetter(0)))
    return re.compile("|".join(branches).encode())


def _after_option(found: re.Match[str], stand_in: Callable[[str], str]) -> str:
    return found[1] + (_once(found[3], stand_in) if is_secret_name(found[2]) else found[3])


def _once(text: str, stand_in: Callable[[str], str]) -> str:
    return text if _STAND_IN.match(text) else stand_in(text)


_BACKSLASH, _AT = b"\\@"
_STAND_IN: Final = re.compile(r"hmac-sha256:|\[redacted\]")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {
        *("password", "passwd", "passphrase", "passcode", "pass", "pwd", "pw", "pin", "otp", "totp"),
        *("secret", "secrets", "token", "credential", "credentials", "cred", "creds", "cookie", "cookies"),
        *("authorization", "auth", "bearer", "jwt", "dsn", "signature", "sig", "sid"),
        *("apikey", "accesskey", "accountkey", "privatekey", "secretkey", "signingkey", "encryptionkey", "sshkey"),
        *("passwords", "passphrases", "apikeys", "accesskeys", "privatekeys", "secretkeys", "sshkeys"),
        *("accesstoken", "refreshtoken", "authtoken", "idtoken", "userpassword", "dbpassword"),
        *("masterkey", "sharedkey", "sharedaccesskey", "sessionid", "sessionkey", "connectionstring", "keypair"),
    }
)

# However a name is divided into words, or put before a value, one of these is in its letters and digits.
_TELLTALES: Final = _SECRET_WORDS | {"bearer", "basic", "token", "digest"}
_LOWER: Final = bytes(range(256)).lower()
_SEPARATORS: Final = bytes(code for code in range(128) if not chr(code).isalnum())
# Every form that issuers have has a word of eleven characters, but for private keys, which say that they are some.
_LONG_WORD: Final = b"w" * 11
_KINDS: Final = bytes(b"w"[0] if chr(code).isalnum() or code in b"_-" else code for code in range(128)) + bytes(128)
