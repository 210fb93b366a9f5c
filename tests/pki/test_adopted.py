"""A CA that somebody made is read in whatever form it works in istiod; what is no CA is refused with its own reason."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization

from meshca.errors import PKIError
from meshca.pki import adopted, cacerts, certs
from meshca.pki.adopted import AdoptedCA
from meshca.pki.cacerts import Cacerts
from meshca.pki.trust import prove
from meshca.words.names import CA_CERT, CA_KEY, CACERTS_KEYS, CERT_CHAIN, ROOT_CERT
from meshca.words.reasons import Unadoptable
from tests.pki.factories import NOW, Made, intermediate, root, rsa_key

Files = dict[str, bytes]
ROOT, STRANGER = root(subject="Acme Root"), root(subject="Stranger")
REGION = intermediate(ROOT, subject="Region", path_length=2)
TEAM = intermediate(REGION, subject="Team", path_length=1)
SIGNER = intermediate(TEAM, subject="Signer")
DIRECT = intermediate(ROOT, subject="Direct")
RSA = intermediate(ROOT, subject="RSA", key=rsa_key(2048))
NO_KEY_IDS = intermediate(ROOT, subject="Old", akid=False)


def files(signer: Made, chain: bytes, roots: bytes = ROOT.pem, **changes: bytes) -> Files:
    whole = {CA_CERT: signer.pem, CA_KEY: signer.key_pem, CERT_CHAIN: chain, ROOT_CERT: roots}
    return whole | {name.replace("_", "-") + ".pem": content for name, content in changes.items()}


def traditional(made: Made) -> bytes:
    """The key as PKCS#1 or SEC1, as `openssl genrsa` and `openssl ecparam` write it."""
    form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return made.key.private_bytes(serialization.Encoding.PEM, form, plain)


THREE_DEEP = SIGNER.pem + TEAM.pem + REGION.pem
SOUND: dict[str, tuple[Files, int]] = {
    "directly under its root, as ours are": (files(DIRECT, DIRECT.pem), 0),
    "with the root in its chain, as Istio's own tools make it": (files(DIRECT, DIRECT.pem + ROOT.pem), 0),
    "an empty chain": (files(DIRECT, b""), 0),
    "the root itself signs": (files(ROOT, ROOT.pem), 0),
    "the root itself signs, with an empty chain": (files(ROOT, b""), 0),
    "three levels, upward": (files(SIGNER, THREE_DEEP), 2),
    "three levels, in the wrong order": (files(SIGNER, ROOT.pem + REGION.pem + TEAM.pem + SIGNER.pem), 2),
    "three levels, the signer not in its chain": (files(SIGNER, TEAM.pem + REGION.pem), 2),
    "the chain in the file of the signer": (files(SIGNER, SIGNER.pem, ca_cert=THREE_DEEP), 2),
    "comments, and Windows' line ends": (
        files(DIRECT, b"# made in 2019\r\n" + DIRECT.pem.replace(b"\n", b"\r\n"), b"Acme\n" + ROOT.pem + b"\n\n"),
        0,
    ),
    "several roots, one of them twice": (files(DIRECT, DIRECT.pem, STRANGER.pem + ROOT.pem + ROOT.pem), 0),
    "an RSA key as PKCS#8": (files(RSA, RSA.pem), 0),
    "an RSA key as PKCS#1": (files(RSA, RSA.pem, ca_key=traditional(RSA)), 0),
    "an elliptic key as SEC1": (files(DIRECT, DIRECT.pem, ca_key=traditional(DIRECT)), 0),
    "without key identifiers": (files(NO_KEY_IDS, NO_KEY_IDS.pem), 0),
}


def read(data: Files) -> AdoptedCA:
    return adopted.read(data, "Secret istio-system/cacerts")


@pytest.mark.parametrize(("data", "levels"), SOUND.values(), ids=SOUND.keys())
def test_what_works_in_istiod_is_read_and_proven(data: Files, levels: int) -> None:
    found = read(data)
    assert found.root == certs.parse(ROOT.pem)
    assert len(found.signer.above) == levels
    assert found.root_file == data[ROOT_CERT]
    prove(found.signer, found.signer.chain_pem, [found.bundle], trust_domain="cluster.local", now=NOW)


@pytest.mark.parametrize(("data", "levels"), SOUND.values(), ids=SOUND.keys())
def test_it_is_written_whole_with_their_roots_byte_by_byte_and_read_back(data: Files, levels: int) -> None:
    found, ours = read(data), certs.parse(root(subject="ours").pem)
    written = cacerts.encode(Cacerts(found.signer, (ours, *found.bundle), found.root_file))
    assert written[ROOT_CERT] == ours.pem + data[ROOT_CERT], "what istiod has is a piece of what it gets"
    assert written[CERT_CHAIN].startswith(written[CA_CERT])
    again = cacerts.decode(written, cacerts.tail_of(written))
    assert (again.canonical, again.key_matches, again.intermediate) == (True, True, found.signer.certificate)
    assert (again.above, len(again.above)) == (found.signer.above, levels)


def test_their_file_is_dropped_as_a_whole_when_one_of_its_roots_is() -> None:
    found = read(files(DIRECT, DIRECT.pem, b"# two\n" + STRANGER.pem + ROOT.pem))
    ours, theirs = certs.parse(root(subject="ours").pem), certs.parse(ROOT.pem)
    written = cacerts.encode(Cacerts(found.signer, (ours, theirs), found.root_file))
    assert written[ROOT_CERT] == ours.pem + theirs.pem


def without(name: str) -> Files:
    return {key: value for key, value in files(DIRECT, DIRECT.pem).items() if key != name}


UNFIT: dict[str, tuple[Files, Unadoptable, str]] = {
    **{f"no {name}": (without(name), Unadoptable.ADOPTED_CA_INCOMPLETE, name) for name in CACERTS_KEYS},
    "no certificate in the file of the signer": (
        files(DIRECT, DIRECT.pem, ca_cert=b"nothing"),
        Unadoptable.ADOPTED_CA_UNREADABLE,
        CA_CERT,
    ),
    "a private key among the roots": (
        files(DIRECT, DIRECT.pem, ROOT.pem + ROOT.key_pem),
        Unadoptable.ADOPTED_CA_UNREADABLE,
        "PRIVATE KEY, not a CERTIFICATE",
    ),
    "an encrypted key": (
        files(
            DIRECT,
            DIRECT.pem,
            ca_key=b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
        Unadoptable.ADOPTED_CA_UNREADABLE,
        "encrypted",
    ),
    "the key of another": (
        files(DIRECT, DIRECT.pem, ca_key=SIGNER.key_pem),
        Unadoptable.ADOPTED_KEY_MISMATCH,
        "is not the key of CN=Direct",
    ),
    "a chain with a gap": (
        files(SIGNER, SIGNER.pem + REGION.pem),
        Unadoptable.ADOPTED_CHAIN_BROKEN,
        "leads to no root",
    ),
    "under a root that is not trusted": (
        files(DIRECT, DIRECT.pem, STRANGER.pem),
        Unadoptable.ADOPTED_CHAIN_BROKEN,
        "leads to no root",
    ),
}


@pytest.mark.parametrize(("data", "reason", "words"), UNFIT.values(), ids=UNFIT.keys())
def test_what_is_no_ca_is_refused(data: Files, reason: Unadoptable, words: str) -> None:
    with pytest.raises(PKIError) as caught:
        read(data)
    assert caught.value.reason is reason
    assert words in caught.value.message
    assert "PRIVATE KEY-----" not in caught.value.message


def test_what_has_expired_is_not_taken_over() -> None:
    ended = intermediate(ROOT, not_after=NOW - timedelta(days=0, seconds=2))
    found = read(files(ended, ended.pem))
    with pytest.raises(PKIError) as caught:
        adopted.check_dates(found, NOW, "Secret istio-system/cacerts")
    assert caught.value.reason is Unadoptable.ADOPTED_CA_EXPIRED
    assert "expired at 2024-12-31T23:59:58Z" in caught.value.message
    adopted.check_dates(found, NOW - timedelta(seconds=2), "")
