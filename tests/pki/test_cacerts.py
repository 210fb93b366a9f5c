import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.pki import cacerts, certs, issue, lenient
from meshca.pki.cacerts import Cacerts, Content
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import CA_CERT, CA_KEY, CACERTS_KEYS, CERT_CHAIN, ROOT_CERT
from tests.pki import layouts
from tests.pki.factories import NOW, rsa_key
from tests.pki.factories import intermediate as make_foreign
from tests.pki.factories import root as make_foreign_root

P256 = KeySpec(Algorithm.ECDSA, 256)
OLD, NEW = (
    issue.make_root(meshca="mesh", revision=n, organization="acme", key=P256, now=NOW, duration=timedelta(days=3650))
    for n in (1, 2)
)
SIGNER, OTHER = (
    issue.make_intermediate(
        OLD,
        meshca="mesh",
        target="istio",
        organization="acme",
        key=P256,
        now=NOW,
        duration=timedelta(days=90),
    )
    for _ in range(2)
)
BOTH = Cacerts(SIGNER, (NEW.certificate, OLD.certificate))
SOUND = cacerts.encode(BOTH)
NOTHING = Content(None, key_matches=False, bundle=(), canonical=False)


def test_encode_writes_istios_four_files():
    assert {
        "ca-cert.pem": SIGNER.certificate.pem,
        "ca-key.pem": SIGNER.key_pem,
        "cert-chain.pem": SIGNER.certificate.pem,
        "root-cert.pem": NEW.certificate.pem + OLD.certificate.pem,
    } == SOUND


def test_every_file_ends_with_one_newline_and_has_no_windows_line_end():
    for content in SOUND.values():
        assert content.endswith(b"-----\n")
        assert b"\r" not in content
        assert b"\n\n" not in content


def test_equal_content_gives_equal_bytes():
    again = Cacerts(
        certs.KeyPair(certs.parse(SIGNER.certificate.pem), SIGNER.key_pem),
        tuple(certs.parse(root.pem) for root in BOTH.bundle),
    )

    assert cacerts.encode(again) == SOUND


def test_adding_a_root_keeps_the_old_file_as_part_of_the_new_one():
    # Istio 1.20 to 1.29 takes a changed root-cert.pem only then (bytes.Contains, either way round).
    alone = cacerts.encode(Cacerts(SIGNER, (OLD.certificate,)))

    assert alone[ROOT_CERT] in SOUND[ROOT_CERT]


def test_decode_gives_back_what_encode_wrote():
    expected = Content(SIGNER.certificate, key_matches=True, bundle=BOTH.bundle, canonical=True)

    assert cacerts.decode(SOUND) == expected


def test_decode_gives_back_what_encode_wrote_for_an_rsa_key():
    made = make_foreign(make_foreign_root(), key=rsa_key(2048))
    written = cacerts.encode(Cacerts(certs.KeyPair(certs.parse(made.pem), made.key_pem), BOTH.bundle))

    assert cacerts.decode(written) == Content(
        certs.parse(made.pem), key_matches=True, bundle=BOTH.bundle, canonical=True
    )


CERTIFICATE, ROOTS = SIGNER.certificate, BOTH.bundle
EDITED = {
    "nothing in it": ({}, NOTHING),
    "other files only": ({"tls.crt": CERTIFICATE.pem}, NOTHING),
    "only the roots, the old way to add trust": (
        {ROOT_CERT: SOUND[ROOT_CERT]},
        Content(None, key_matches=False, bundle=ROOTS, canonical=False),
    ),
    "one more file": (
        {**SOUND, "ca-crl.pem": b""},
        Content(CERTIFICATE, key_matches=True, bundle=ROOTS, canonical=True),
    ),
    "another signer's key": (
        {**SOUND, CA_KEY: OTHER.key_pem},
        Content(CERTIFICATE, key_matches=False, bundle=ROOTS, canonical=True),
    ),
    "another signer's chain": (
        {**SOUND, CERT_CHAIN: OTHER.certificate.pem},
        Content(CERTIFICATE, key_matches=True, bundle=ROOTS, canonical=False),
    ),
    "the root in the chain, as Istio's own Makefile writes it": (
        {**SOUND, CERT_CHAIN: SOUND[CERT_CHAIN] + OLD.certificate.pem},
        Content(CERTIFICATE, key_matches=True, bundle=ROOTS, canonical=False),
    ),
    "a damaged second root": (
        {**SOUND, ROOT_CERT: SOUND[ROOT_CERT][:-100]},
        Content(CERTIFICATE, key_matches=True, bundle=(), canonical=False),
    ),
    "no roots": (
        {**SOUND, ROOT_CERT: b""},
        Content(CERTIFICATE, key_matches=True, bundle=(), canonical=False),
    ),
    "no newline at the end": (
        {**SOUND, ROOT_CERT: SOUND[ROOT_CERT].rstrip()},
        Content(CERTIFICATE, key_matches=True, bundle=ROOTS, canonical=False),
    ),
    "a private key among the roots": (
        {**SOUND, ROOT_CERT: SOUND[ROOT_CERT] + SIGNER.key_pem},
        Content(CERTIFICATE, key_matches=True, bundle=(), canonical=False),
    ),
    "no key": (
        {key: value for key, value in SOUND.items() if key != CA_KEY},
        Content(CERTIFICATE, key_matches=False, bundle=ROOTS, canonical=False),
    ),
    "two certificates as signer": (
        {**SOUND, CA_CERT: CERTIFICATE.pem * 2},
        Content(None, key_matches=False, bundle=ROOTS, canonical=False),
    ),
}


@pytest.mark.parametrize(("data", "expected"), EDITED.values(), ids=EDITED.keys())
def test_decode_states_what_is_there_when_someone_left(data, expected):
    assert cacerts.decode(data) == expected


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # one that turned negative
@given(data=st.data(), name=st.sampled_from(CACERTS_KEYS))
def test_a_flipped_bit_is_noticed(data, name):
    damaged = bytearray(SOUND[name])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert cacerts.decode({**SOUND, name: bytes(damaged)}) != cacerts.decode(SOUND)


HUGE = {
    "a key of 60,000 bits": {CA_KEY: layouts.huge_rsa_key(60_000)},
    "a key of 60,000 bits in PKCS#8": {CA_KEY: layouts.huge_rsa_key(60_000, pkcs8=True)},
    "a key that a megabyte of text hides": {CA_KEY: b"\n" * 1_000_000 + SIGNER.key_pem},
    "a root with a key of 60,000 bits": {ROOT_CERT: layouts.huge_certificate(60_000)},
    "a signer with a key of 60,000 bits": {CA_CERT: layouts.huge_certificate(60_000)},
}


@pytest.mark.parametrize("files", HUGE.values(), ids=HUGE.keys())
def test_what_would_take_a_library_long_is_not_read(files):
    found = cacerts.decode({**SOUND, **files})

    assert not found.canonical
    assert not found.bundle or not found.key_matches
    assert [lenient.has_huge_number(text) for text in files.values()] == [
        b"BEGIN" in text[:100] for text in files.values()
    ]


markers = st.sampled_from(
    [b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"-----BEGIN PRIVATE KEY-----\n"]
)
hostile = st.binary() | st.lists(markers | st.binary(max_size=60).map(base64.encodebytes)).map(b"".join)


@given(data=st.dictionaries(st.sampled_from(CACERTS_KEYS), hostile | st.sampled_from(list(SOUND.values()))))
def test_decode_never_raises(data):
    found = cacerts.decode(data)

    assert not found.canonical or data[CA_CERT] == data[CERT_CHAIN] == found.intermediate.pem
    assert found.key_matches == (data.get(CA_CERT) == SOUND[CA_CERT] and data.get(CA_KEY) == SOUND[CA_KEY])


def test_nothing_shows_the_private_key():
    secret = SIGNER.key_pem.splitlines()[1].decode()

    assert secret not in repr(BOTH)
    assert secret not in repr(cacerts.decode(SOUND))
