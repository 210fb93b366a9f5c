"""Whatever stands in a Secret: nothing but PKIErrors comes of it, and no library sees numbers of any size."""

import base64
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.errors import PKIError
from meshca.pki import certs, der, keys, profile, root
from meshca.pki.der import DERError, Element
from meshca.words.reasons import Unfit
from tests.pki.factories import NOW, armored, pkcs8, rsa_key
from tests.pki.root_layouts import KEY, ROOTS, number
from tests.pki.root_layouts import root as layout

WHERE = "Secret meshca-system/my-root"
CERTIFICATES = [octets for octets, _ in ROOTS.values()]


def decoded(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


PRIVATE_KEYS = [decoded(pkcs8(KEY)), decoded(pkcs8(rsa_key(2048)))]


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of these with octets changed, left out, put in or doubled, or grown with all its lengths right."""
    octets = bytearray(draw(st.sampled_from(originals)))
    if draw(st.booleans()):
        return regrown(draw, bytes(octets))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(octets) - 1))
        octets[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
        if not octets:
            break
    return bytes(octets)


def regrown(draw: st.DrawFn, octets: bytes) -> bytes:
    """Change one value somewhere within, and write every length around it anew."""
    try:
        found = list(der.elements(octets))
    except DERError:
        return octets
    if not found:
        return draw(st.binary(max_size=20))
    at = draw(st.integers(0, len(found) - 1))
    found[at] = Element(found[at].tag, found[at].content, changed(draw, found[at]))
    return b"".join(each.raw for each in found)


def changed(draw: st.DrawFn, element: Element) -> bytes:
    if element.tag & 0x20 and draw(st.integers(0, 9)):
        return der.encode(element.tag, regrown(draw, element.content))
    tag = draw(st.sampled_from([element.tag, element.tag, *range(0x01, 0x1F), 0x30, 0x31, 0x80, 0xA0]))
    content = draw(st.one_of(st.just(element.content), st.binary(max_size=30), st.just(b"\x7f" * 9000)))
    return der.encode(tag, content)


def only_pki_errors(call: Callable[[], object]) -> None:
    with suppress(PKIError):
        call()


@given(mutated(CERTIFICATES))
def test_any_certificate_is_judged(octets):
    only_pki_errors(lambda: root.check_root(armored("CERTIFICATE", octets), pkcs8(KEY), now=NOW, where=WHERE))


@given(mutated(CERTIFICATES))
def test_what_the_profile_takes_is_read_and_carried(octets):
    if profile.refusal(octets) is not None:
        return
    try:
        found = certs.parse(armored("CERTIFICATE", octets))
    except PKIError:
        return
    certs.load(found)
    certs.raw_subject(found)
    certs.is_self_signed(found)
    assert certs.octets_of(found) == octets


@given(mutated(PRIVATE_KEYS), st.sampled_from(["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]), st.booleans())
def test_any_key_is_judged(octets, label, written_by_us):
    only_pki_errors(lambda: keys.load(armored(label, octets), written_by_us=written_by_us))


PEM = armored("CERTIFICATE", layout()) + b"# a comment\n" + pkcs8(KEY)


@given(mutated([PEM]))
def test_any_file_is_judged(pem):
    only_pki_errors(lambda: certs.parse_bundle(pem))
    only_pki_errors(lambda: keys.load(pem))


def rsa_key_file(*bits: int) -> bytes:
    values = [0, *(1 << (count - 1) | 1 for count in bits)]
    return armored("RSA PRIVATE KEY", der.sequence(*map(number, values)))


OVERSIZED = {
    "every number of 60,000 bits": rsa_key_file(*[60_000] * 8),
    "a modulus of 8,200 bits": rsa_key_file(8200, 17, *[4096] * 6),
    "a private exponent of 60,000 bits": rsa_key_file(2048, 17, 60_000, *[1024] * 5),
    "a prime of 60,000 bits": rsa_key_file(2048, 17, 2048, 60_000, *[1024] * 4),
    "a public exponent of 60,000 bits": rsa_key_file(2048, 60_000, 2048, *[1024] * 5),
    "three primes": rsa_key_file(2048, 17, 2048, *[1024] * 6),
    "more than any key": rsa_key_file(*[60_000] * 8) * 4,
}


@pytest.mark.parametrize("pem", OVERSIZED.values(), ids=OVERSIZED.keys())
@pytest.mark.parametrize("written_by_us", [False, True], ids=["checked", "unchecked"])
def test_no_library_sees_the_numbers_of(pem, written_by_us, monkeypatch):
    monkeypatch.setattr(keys.serialization, "load_der_private_key", None)  # would be a TypeError, and so "damaged"

    with pytest.raises(PKIError) as caught:
        keys.load(pem, written_by_us=written_by_us)

    assert caught.value.reason is Unfit.ROOT_KEY_UNSUPPORTED
