"""A given root is proven before it is imported, for every target and every bundle on the way."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshca.errors import PKIError
from meshca.pki import certs, rehearsal, root, trust
from meshca.pki.der import sequence
from meshca.words.reasons import Unfit
from tests.pki import factories
from tests.pki.factories import NOW, Made, armored, p256, pkcs8
from tests.pki.root_layouts import Layout, oid

WHERE = "Secret meshca-system/my-root"
OLD = factories.root(subject="Old")


def pair(made: Made) -> certs.KeyPair:
    return root.check_root(made.pem, made.key_pem, now=NOW, where=WHERE)


def rehearse(made: Made, *others: Made, **mesh: object) -> None:
    usual = {"servers": trust.istiod_names("istio-system"), "trust_domain": "cluster.local", "now": NOW, "where": WHERE}
    rehearsal.rehearse(pair(made), [certs.parse(other.pem) for other in others], **{**usual, **mesh})


def constrained(*permitted: x509.GeneralName) -> Made:
    return factories.root(constraints=x509.NameConstraints(permitted, None))


URI, DNS = x509.UniformResourceIdentifier, x509.DNSName
SOUND = {
    "alone": (factories.root(), [], {}),
    "after another": (factories.root(subject="New"), [OLD], {}),
    "after one of its name, told apart by its key identifier": (factories.root(subject="Old"), [OLD], {}),
    "after itself, renewed": (factories.root(subject="Old", key=OLD.key, not_after=NOW + timedelta(days=9)), [OLD], {}),
    "constrained to the mesh": (constrained(URI("cluster.local"), DNS("svc")), [OLD], {}),
    "constrained to the namespaces there are": (
        constrained(DNS("one.svc"), DNS("two.svc")),
        [],
        {"servers": [*trust.istiod_names("one"), *trust.istiod_names("two")]},
    ),
    "without an end": (factories.root(not_after=NOW.replace(year=9999, month=12, day=31)), [OLD], {}),
    "in its last second": (factories.root(not_after=NOW + timedelta(seconds=1)), [], {}),
}


@pytest.mark.parametrize(("made", "others", "mesh"), SOUND.values(), ids=SOUND.keys())
def test_a_root_passes(made, others, mesh):
    rehearse(made, *others, **mesh)


NAMELESS, NAMELESS_CASED, NAMELESS_BLANK = (
    factories.root(subject=subject, skid=False, akid=False) for subject in ("Old", "OLD", " Old\t")
)
UNFIT = {
    "constrained to another trust domain": (constrained(URI("other.example")), [], {}, "do not permit cluster.local"),
    "constrained to another namespace than one target's": (
        constrained(DNS("one.svc")),
        [],
        {"servers": [*trust.istiod_names("one"), *trust.istiod_names("two")]},
        "do not permit istiod.two.svc",
    ),
    "constrained to one of istiod's names": (
        constrained(DNS("istiod.istio-system.svc")),
        [],
        {},
        "do not permit istiod-remote.istio-system.svc",
    ),
    "of another's name, and without a key identifier": (NAMELESS, [OLD], {}, "name of another one with another key"),
    "of another's name but for its case": (NAMELESS_CASED, [OLD], {}, "name of another one with another key"),
    "of another's name but for blanks": (NAMELESS_BLANK, [OLD], {}, "name of another one with another key"),
    "too large beside the ones there are": (
        factories.root(extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"x" * 18_000), False)]),
        [
            factories.root(
                subject=f"Old {at}",
                extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"x" * 18_000), False)],
            )
            for at in range(4)
        ],
        {},
        "that fit into a handshake; issue a smaller root",
    ),
}


@pytest.mark.parametrize(("made", "others", "mesh", "words"), UNFIT.values(), ids=UNFIT.keys())
def test_a_root_fails(made, others, mesh, words):
    with pytest.raises(PKIError) as caught:
        rehearse(made, *others, **mesh)

    assert caught.value.reason is Unfit.ROOT_UNFIT
    assert caught.value.message.startswith(WHERE)
    assert words in caught.value.message


def test_a_signature_by_sha1_counts_on_a_root_only():
    key = p256()
    under = Layout(
        key=OLD.key,
        public_key=key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        issuer=OLD.certificate.subject.public_bytes(),
        algorithm=sequence(oid("1.2.840.10045.4.1")),
        hash=hashes.SHA1(),
    )
    signer = certs.KeyPair(certs.parse(armored("CERTIFICATE", under.der())), pkcs8(key))

    with pytest.raises(PKIError, match="signed with SHA1"):
        trust.prove(signer, signer.certificate.pem, [[certs.parse(OLD.pem)]], trust_domain="cluster.local", now=NOW)
