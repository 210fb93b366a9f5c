"""Private keys must be nowhere but in Secrets."""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from testkit.client import Json

KEYS = ("ca-key.pem", "tls.key")
SHORTEST = 21
"""Characters that a form of a key has at least: what is shorter may be something else."""
_LONG_WORD = re.compile(rf"[A-Za-z0-9+/=]{{{SHORTEST},}}")


def needles(secrets: Iterable[Json]) -> set[str]:
    """Return what a private key of these Secrets would look like in a text: its PEM, the Secret's data, its number."""
    found: set[str] = set()
    for pem in {
        b64decode(secret["data"][name]) for secret in secrets for name in KEYS if name in secret.get("data", {})
    }:
        found |= _forms(pem)
    return found


def _forms(pem: bytes) -> set[str]:
    lines = [line for line in pem.decode(errors="replace").splitlines() if "-----" not in line]
    data = b64encode(pem).decode()
    # Of the data, a part behind the header that all keys have in common.
    return {word for form in (*lines, data[72:136], *_numbers(pem)) for word in _LONG_WORD.findall(form)}


def _numbers(pem: bytes) -> set[str]:
    try:
        key = load_pem_private_key(pem, None)
    except ValueError:
        return set()  # a defective one that a test gave
    match key:
        case ec.EllipticCurvePrivateKey():
            number = key.private_numbers().private_value
        case rsa.RSAPrivateKey():
            number = key.private_numbers().p
        case _:
            return set()
    return {f"{number:x}", f"{number:X}", str(number)}


def leaks(secrets: Iterable[Json], texts: dict[str, str]) -> list[str]:
    """Return the names of the texts that hold any part of a private key of these Secrets.

    Every form of a key is in base64's alphabet, so it can only be inside of a long word of it. Thousands of texts have
    the same words, and thousands of keys are looked for at once: by the beginnings of their forms.
    """
    forms: dict[str, set[str]] = {}
    for form in needles(secrets):
        forms.setdefault(form[:SHORTEST], set()).add(form)
    words = {name: set(_LONG_WORD.findall(text)) for name, text in texts.items()}
    bad = {word for word in set().union(*words.values()) if _holds(word, forms)}
    return [name for name, found in words.items() if found & bad]


def _holds(word: str, forms: dict[str, set[str]]) -> bool:
    places = range(len(word) - SHORTEST + 1)
    return any(word.startswith(form, at) for at in places for form in forms.get(word[at : at + SHORTEST], ()))
