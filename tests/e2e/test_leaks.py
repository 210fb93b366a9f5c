"""The check that every scenario ends with finds a key in whatever form it is told."""

from base64 import b64encode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from meshca.pki.keys import dump
from tests.e2e.leaks import leaks

KEY = generate_private_key(SECP256R1())


FORMS: dict[str, Callable[[EllipticCurvePrivateKey], str]] = {
    "its PEM": lambda key: dump(key).decode(),
    "its PEM on one line": lambda key: repr(dump(key)),
    "a line of its PEM": lambda key: dump(key).decode().splitlines()[1],
    "the Secret's data": lambda key: f'{{"ca-key.pem":"{b64encode(dump(key)).decode()}"}}',
    "its number": lambda key: f"EllipticCurvePrivateNumbers({key.private_numbers().private_value})",
    "its number in hex": lambda key: f"{key.private_numbers().private_value:X}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_key_is_found_among_many_words_in(form: Callable[[EllipticCurvePrivateKey], str]) -> None:
    secrets = [{"data": {"ca-key.pem": b64encode(dump(KEY)).decode()}}]
    other = form(generate_private_key(SECP256R1()))
    assert leaks(secrets, {"bad": f"{other} is told with {form(KEY)}, all the same", "good": f"a pass of {other}"}) == [
        "bad"
    ]
