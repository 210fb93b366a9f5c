"""Roots by what they are made of: our verdict on each layout, and what Go and Envoy make of it.

The same table was measured with Go 1.21.13, 1.22.12, 1.23.12, 1.24.13, 1.25.10 and 1.26.8, Envoy 1.40.0 and
rustls-webpki 0.103; here it is asked of the Go and the Envoy that are there.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from meshca.errors import PKIError
from meshca.pki import certs, issue, keys, rehearsal, root, trust
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.reasons import Unfit
from testkit.programs import required
from tests.pki import validators
from tests.pki.factories import LEAF_USAGES, PEER_PURPOSES, WORKLOAD, armored, key_usage, p256, pkcs8
from tests.pki.root_layouts import KEY, P384_KEY, REFUSE, ROOTS, RSA, WARN

WHERE = "Secret meshca-system/my-root"
NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  # Envoy knows no other time
P256 = KeySpec(Algorithm.ECDSA, 256)
KEYS = {key.public_key().public_numbers(): pkcs8(key) for key in (KEY, RSA, P384_KEY)}


def key_of(der: bytes) -> bytes:
    """The key that belongs to a layout; any, where its public key is not one of ours or cannot be read."""
    try:
        return KEYS.get(certs.load(certs.parse(armored("CERTIFICATE", der))).public_key().public_numbers(), pkcs8(KEY))
    except PKIError:
        return pkcs8(KEY)


def judge(der: bytes) -> certs.KeyPair:
    pair = root.check_root(armored("CERTIFICATE", der), key_of(der), now=NOW, where=WHERE)
    rehearsal.rehearse(pair, [], servers=trust.ISTIOD_NAMES, trust_domain="cluster.local", now=NOW, where=WHERE)
    return pair


@pytest.mark.parametrize(("der", "verdict"), ROOTS.values(), ids=ROOTS.keys())
def test_a_root_is_judged_by_what_it_is_made_of(der, verdict):
    if verdict == REFUSE:
        with pytest.raises(PKIError, match=f"^{WHERE}.*; "):  # and a remedy
            judge(der)
    else:
        assert bool(root.warnings(judge(der).certificate, WHERE)) == (verdict == WARN)


TAKEN = {sentence: der for sentence, (der, verdict) in ROOTS.items() if verdict != REFUSE}


def under(pair: certs.KeyPair, folder: Path) -> Path:
    """A whole chain under a root as istiod would sign it, as files."""
    made = issue.make_intermediate(
        pair, meshca="m", target="t", organization="o", key=P256, now=NOW, duration=timedelta(hours=1)
    )
    key, signer = p256(), certs.load(made.certificate)
    names = [x509.UniformResourceIdentifier(WORKLOAD), *map(x509.DNSName, trust.ISTIOD_NAMES)]
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(minutes=2))
        .not_valid_after(NOW + timedelta(minutes=50))
        .add_extension(key_usage(*LEAF_USAGES), critical=True)
        .add_extension(x509.ExtendedKeyUsage(PEER_PURPOSES), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(keys.load(made.key_pem), hashes.SHA256())
    )
    folder.mkdir()
    (folder / "root.der").write_bytes(certs.octets_of(pair.certificate))
    (folder / "root.pem").write_bytes(pair.certificate.pem)
    (folder / "int.der").write_bytes(certs.octets_of(made.certificate))
    (folder / "leaf.der").write_bytes(leaf.public_bytes(Encoding.DER))
    (folder / "chain.pem").write_bytes(leaf.public_bytes(Encoding.PEM) + made.certificate.pem)
    (folder / "leaf.key").write_bytes(pkcs8(key))
    return folder


@pytest.fixture(scope="module")
def chains(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("chains")
    return {sentence: under(judge(der), folder / str(at)) for at, (sentence, der) in enumerate(TAKEN.items())}


def test_go_takes_what_is_under_every_root_that_is_taken(chains):
    verdicts = required(lambda: validators.go_verdicts(list(chains.values())))

    refused = {sentence: verdict for sentence, verdict in zip(chains, verdicts, strict=True) if verdict != "ok"}
    assert refused == {}


def test_envoy_takes_what_is_under_every_root_that_is_taken(chains):
    required(validators.envoy)

    verdicts = validators.envoy_verdicts(list(chains.values()))

    refused = {sentence: verdict for sentence, verdict in zip(chains, verdicts, strict=True) if verdict != "ok"}
    assert refused == {}


READ_BY_ALL = {
    "an empty subject",  # istiod's and Envoy's peers could not name their issuer
    "a negative serial number",  # read by Go below 1.23, and where GODEBUG says so
    "version 1",  # not a CA
    "an RSA exponent of 3",  # these five: not the key of the signature; the sizes are refused when they are used
    "an RSA exponent of 1",
    "an even RSA exponent",
    "an RSA exponent of 33 bits",
    "an RSA modulus of 60,000 bits",
    "basicConstraints without cA",
    "an empty list of extensions",
    "name constraints that permit another domain",
    "name constraints with a minimum",
    "name constraints with a minimum of 0, written out",
    "UTCTime with a zone",  # these six: read, and refused by Envoy in the handshake
    "name constraints on a URI with an underscore",
    "name constraints on a whole URI",
    "a CRL distribution point with a damaged name",
    "a CRL distribution point for reasons without octets",
    "another name with something behind it",
    "a critical subjectAltName of which Go reads nothing",  # read, and refused by Go when it verifies
    "RSASSA-PSS without the parameters that it must have",  # its hash is SHA-1 then, or unknown
    "a policy by a UUID",  # read by Go since 1.22
}
"""Layouts that Go and Envoy can load, and that are refused for another reason than that one of them cannot."""


def test_whatever_else_is_refused_cannot_be_read_by_go_or_by_envoy(tmp_path):
    refused = [(sentence, der) for sentence, (der, verdict) in ROOTS.items() if verdict == REFUSE]
    folders = [tmp_path / str(at) for at, _ in enumerate(refused)]
    for folder, (_, der) in zip(folders, refused, strict=True):
        folder.mkdir()
        (folder / "root.der").write_bytes(der)
        (folder / "root.pem").write_bytes(armored("CERTIFICATE", der))
    verdicts = required(lambda: validators.go_verdicts(folders))

    unexplained = {
        name: folders[at] for at, (name, _) in enumerate(refused) if verdicts[at] == "ok" and name not in READ_BY_ALL
    }
    required(validators.envoy)

    assert [name for name, folder in unexplained.items() if validators.envoy_reads(folder / "root.pem", folder)] == []


def test_the_name_of_a_root_is_copied_byte_for_byte():
    for sentence in ("& and * in a PrintableString", "Latin-1 in a TeletexString", "a BMPString that ends in NUL"):
        pair = judge(TAKEN[sentence])

        made = issue.make_intermediate(
            pair, meshca="m", target="t", organization="o", key=P256, now=NOW, duration=timedelta(hours=1)
        )

        assert certs.raw_subject(pair.certificate) in certs.octets_of(made.certificate)
        assert certs.issued_by(made.certificate, pair.certificate)
        assert made.certificate.issuer == pair.certificate.subject


WORDS = {
    "a VisibleString": "VisibleString in a name, which Go does not read; use UTF8String",
    "U+FFFF in a UTF8String": "U+FFFF in a name, which is no character: Envoy then refuses the whole file",
    "an attribute by a UUID": "an arc of 2^31 or more",
    "an extension by a UUID": "an arc of 2^31 or more",
    "an access method by a UUID": "authorityInfoAccess that not every validator reads: it has an object identifier",
    "a policy twice": "one policy twice",
    "an extension twice": "extension 2.5.29.14 twice",
    "name constraints that permit another domain": "do not permit cluster.local",
    "a compressed point": "not in uncompressed form",
    "an RSA modulus of 60,000 bits": "RSA key of 60001 bits",
    "UTCTime without seconds": "use UTCTime or GeneralizedTime in UTC, with seconds",
}


@pytest.mark.parametrize(("sentence", "words"), WORDS.items(), ids=WORDS.keys())
def test_a_refusal_says_why(sentence, words):
    with pytest.raises(PKIError) as caught:
        judge(ROOTS[sentence][0])

    assert words in caught.value.message
    assert caught.value.reason in {Unfit.ROOT_UNFIT, Unfit.ROOT_KEY_UNSUPPORTED, Unfit.ROOT_UNREADABLE}
