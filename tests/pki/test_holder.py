"""Whose CA is in a Secret, and whether istiod would start with it: one table, judged by Go too."""

import base64
from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.pki import cacerts, go_pem, holder, lenient
from meshca.words.names import CA_CERT, CA_KEY, CACERTS_KEYS, CERT_CHAIN, ROOT_CERT
from testkit.istiodload import istiodload, refusals
from testkit.programs import required
from tests.pki import layouts
from tests.pki.factories import NOW, armored, pkcs8, rsa_key
from tests.pki.layouts import DAMAGED, OUR_FILES, OUR_ROOT, OURS, THEIRS, Files, ca, huge_rsa_key

ALL = {f"theirs: {name}": each for name, each in THEIRS.items()} | {
    f"damaged: {name}": each for name, each in DAMAGED.items()
}
TLS = {
    "tls.crt": ca(layouts.BELOW)[CA_CERT] + layouts.SIGNER.pem,
    "tls.key": layouts.BELOW.key_pem,
    "ca.crt": layouts.ROOT.pem,
}
TLS_LAYOUTS = {
    "the TLS format": layouts.start(TLS),
    "the TLS format is preferred": layouts.refuse(ca() | TLS | {"tls.key": b"x"}),
    "the TLS format without ca.crt": layouts.refuse(ca() | {"tls.crt": TLS["tls.crt"], "tls.key": TLS["tls.key"]}),
}


def is_somebodys(files: Files, written: Iterable[str] = ()) -> bool:
    return holder.is_somebodys(files, noted=OURS.certificate.fingerprint, roots=[OUR_ROOT.certificate], written=written)


@pytest.mark.parametrize("layout", THEIRS.values(), ids=THEIRS.keys())
def test_somebodys(layout):
    assert is_somebodys(layout.files)


@pytest.mark.parametrize("layout", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage(layout):
    assert not is_somebodys(layout.files)


@pytest.mark.parametrize("layout", (ALL | TLS_LAYOUTS).values(), ids=(ALL | TLS_LAYOUTS).keys())
def test_would_load(layout):
    assert holder.would_load(layout.files, NOW) == (layout.loads or layout.inexact)


def test_go_says_the_same():
    program = required(istiodload)
    table = ALL | TLS_LAYOUTS
    answers = refusals(program, (layout.files for layout in table.values()), NOW)

    said = dict(zip(table, answers, strict=True))
    assert len(table) > 100
    assert {name: why for name, why in said.items() if (why == "") != table[name].loads} == {}


# --- Whose key is it? ----------------------------------------------------------

KEY_ALONE = layouts.ours(cert=None, chain=None, roots=None)


def test_a_key_alone_is_ours_if_the_api_server_says_that_we_wrote_it():
    assert is_somebodys(KEY_ALONE)
    assert not is_somebodys(KEY_ALONE, written=(CA_KEY,))


def test_a_key_with_a_certificate_of_theirs_is_theirs_whoever_wrote_it():
    assert is_somebodys(ca(), written=CACERTS_KEYS)


def test_a_key_is_somebodys_wherever_it_stands():
    files = OUR_FILES | {CA_CERT: layouts.SIGNER.pem + layouts.SIGNER.key_pem}

    assert is_somebodys(files, written=(CA_KEY, CERT_CHAIN, ROOT_CERT))


def test_our_intermediate_is_known_by_what_was_noted_when_its_root_is_lost():
    files = OUR_FILES | {CERT_CHAIN: b"", CA_CERT: OURS.certificate.pem * 2}

    assert not holder.is_somebodys(files, noted=OURS.certificate.fingerprint, roots=[], written=())
    assert holder.is_somebodys(files, noted=None, roots=[], written=())


def test_our_intermediate_is_known_by_its_root_when_nothing_was_noted():
    files = OUR_FILES | {CA_CERT: OURS.certificate.pem * 2}

    assert not holder.is_somebodys(files, noted=None, roots=[OUR_ROOT.certificate], written=())


def test_a_name_like_our_roots_is_not_enough():
    forged = layouts.root(names=layouts.x509.load_pem_x509_certificate(OUR_ROOT.certificate.pem).subject)

    assert is_somebodys(ca(layouts.intermediate(forged), forged))


# --- Whatever is in it ---------------------------------------------------------

HOSTILE = {
    "more than a Secret can hold": {CA_KEY: b"x" * (holder.MAX_BYTES + 1)},
    "a megabyte of BEGIN lines": {CA_KEY: b"-----BEGIN PRIVATE KEY-----\n" * 37_000},
    "a megabyte of END lines": {CA_KEY: b"\n-----END PRIVATE KEY-----" * 40_000},
    "a megabyte of headers": {CA_KEY: b"-----BEGIN PRIVATE KEY-----\n" + b"a:b\n" * 250_000},
    "a megabyte of empty blocks": {
        CA_KEY: b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n" * 19_000,
    },
    "a megabyte of certificates": {CA_CERT: layouts.SIGNER.pem * 1_400},
    "thousands of keys": {CA_KEY: layouts.SIGNER.key_pem + layouts.RSA.key_pem * 550},
    "keys in numbers": {
        CA_KEY: b"".join(
            armored(
                "EC PRIVATE KEY",
                bytes.fromhex("301302010104")
                + b"\x02"
                + n.to_bytes(2)
                + b"\xa0\x0a"
                + bytes.fromhex("06082a8648ce3d030107"),
            )
            for n in range(1, 2_000)
        ),
    },
    "an RSA key of two million bits": {CA_CERT: layouts.SIGNER.pem, CA_KEY: huge_rsa_key(200_000)},
    "DER nested as deep as it goes": {CA_KEY: armored("PRIVATE KEY", b"\x30\x80" * 100_000)},
    "DER that says it is longer than anything": {CA_KEY: armored("PRIVATE KEY", b"\x30\x84\xff\xff\xff\xff")},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_worst_is_read_in_bounded_work(files):
    assert isinstance(is_somebodys(files), bool)
    assert not holder.would_load(files, NOW)
    assert not cacerts.decode(files).canonical


real = st.sampled_from([text for layout in ALL.values() for text in layout.files.values()])
markers = st.sampled_from(
    [f"-----{word} {label}-----\n".encode() for word in ("BEGIN", "END") for label in ("CERTIFICATE", "PRIVATE KEY")]
)
mixed = st.lists(markers | real | st.binary(max_size=60).map(base64.encodebytes), max_size=5).map(b"".join)
anything = st.dictionaries(st.sampled_from([*CACERTS_KEYS, "tls.crt", "tls.key"]), st.binary() | mixed)


@given(files=anything)
def test_nothing_raises(files):
    assert is_somebodys(files) in {True, False}
    assert holder.would_load(files, NOW) in {True, False}
    cacerts.decode(files)


@given(files=st.lists(anything, max_size=20))
def test_what_go_loads_is_never_denied(files):
    answers = refusals(required(istiodload), files, NOW)

    assert all(holder.would_load(each, NOW) for each, why in zip(files, answers, strict=True) if not why)


@given(data=st.data(), name=st.sampled_from(CACERTS_KEYS))
def test_a_bit_of_theirs_may_flip_and_what_go_loads_is_still_theirs(data, name):
    files = ca()
    damaged = bytearray(files[name])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    files[name] = bytes(damaged)
    (why,) = refusals(required(istiodload), [files], NOW)

    assert why or holder.would_load(files, NOW)
    assert why or is_somebodys(files)


@given(pem=st.binary() | mixed)
def test_der_is_split_from_its_beginning(pem):
    found = lenient.items(pem)

    assert pem.startswith(b"".join(each.raw for each in found))


def test_an_rsa_key_is_told_by_its_numbers_alone():
    key = layouts.encoded(pkcs8(rsa_key(2048)), layouts.PRIVATE.TraditionalOpenSSL)
    block = next(go_pem.blocks(key))
    certificate = lenient.certificate(next(go_pem.blocks(layouts.RSA.pem)).der)

    assert certificate is not None
    assert lenient.public_bits(block.der) == certificate.key


def test_dates_are_read():
    certificate = lenient.certificate(next(go_pem.blocks(layouts.SIGNER.pem)).der)

    assert certificate is not None
    assert (certificate.not_before, certificate.not_after) == (NOW - timedelta(days=1), NOW + timedelta(days=365))
