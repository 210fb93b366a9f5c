"""What `prove` accepts is what Go and Envoy accept, refusing a few of their common laxities.

Each layout below was also given to Envoy 1.40.0 (a TLS handshake) and to Go 1.26's crypto/x509: whatever either
of the two refuses stands in the second table.
"""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshca.errors import PKIError
from meshca.pki import certs, trust
from meshca.pki.certs import KeyPair
from meshca.words.reasons import Found
from tests.pki import factories
from tests.pki.factories import NOW, Made, intermediate, name, p256, rsa_key

URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


@dataclass(frozen=True)
class Layout:
    """What a peer sees: trusted roots, and the chain behind the leaf, the signer first."""

    bundle: tuple[Made, ...]
    chain: tuple[Made, ...]
    trust_domain: str = "cluster.local"

    def prove(self) -> None:
        signer = KeyPair(certs.parse(self.chain[0].pem), self.chain[0].key_pem)
        chain_pem = b"".join(each.pem for each in self.chain)
        bundle = tuple(certs.parse(root.pem) for root in self.bundle)
        trust.prove(signer, chain_pem, [bundle], trust_domain=self.trust_domain, now=NOW)


def under(root: Made, **changes: object) -> Layout:
    return Layout((root,), (intermediate(root, **changes),))


def root_with(**changes: object) -> Layout:
    return under(factories.root(**changes))


def permitted(*names: x509.GeneralName) -> Layout:
    return root_with(constraints=x509.NameConstraints(names, None))


def excluded(*names: x509.GeneralName) -> Layout:
    return root_with(constraints=x509.NameConstraints(None, names))


def extension(oid: str, *, critical: bool) -> dict[str, object]:
    return {"extra": [(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00"), critical)]}


A, B = factories.root(), factories.root()  # the same name, two keys
KEY = p256()
RENEWED = factories.root(key=KEY)
LAPSED = factories.root(key=KEY, not_after=NOW - timedelta(hours=1))
COMING = factories.root(key=KEY, not_before=NOW + timedelta(hours=1))
STRANGER = factories.root(subject="Stranger", not_after=NOW - timedelta(hours=1))
WITHOUT_SKI = factories.root(skid=False, akid=False)
MIDDLE = intermediate(A, subject="Middle", path_length=1)
MIDDLE_AGAIN = intermediate(B, subject="Middle", path_length=1, key=MIDDLE.key)
LOW = intermediate(MIDDLE)
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])
CRL_PLACE = x509.CRLDistributionPoints([x509.DistributionPoint([URI("http://crl.example")], None, None, None)])
SERIAL = x509.AuthorityKeyIdentifier(
    x509.SubjectKeyIdentifier.from_public_key(A.key.public_key()).digest,
    [x509.DirectoryName(A.certificate.subject)],
    A.certificate.serial_number,
)
ANY, SERVER = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.SERVER_AUTH

PROVEN = {
    "root -> intermediate": under(A),
    "an RSA root": root_with(key=rsa_key(2048)),
    "root -> middle -> intermediate": Layout((A,), (LOW, MIDDLE)),
    "the root at the end of the chain": Layout((A,), (LOW, MIDDLE, A)),
    "an unrelated expired root first": Layout((STRANGER, A), (intermediate(A),)),
    "an unrelated Ed25519 root first": Layout(
        (factories.root(subject="Ed", key=ed25519.Ed25519PrivateKey.generate()), A), (intermediate(A),)
    ),
    "two roots of one name, told apart by key identifier": Layout((B, A), (intermediate(A),)),
    "a renewed root before its expired copy": Layout((RENEWED, LAPSED), (intermediate(RENEWED),)),
    "a root without keyUsage": root_with(usages=None),
    "a root whose basicConstraints are not critical": root_with(basic_constraints_critical=False),
    "a root without key identifiers": root_with(skid=False, akid=False),
    "a root with a critical policy": root_with(extra=[(POLICIES, True)]),
    "a root with a critical place to get its CRL": root_with(extra=[(CRL_PLACE, True)]),
    "a root with an unknown extension": root_with(**extension("1.2.3.4", critical=False)),
    "a root for any purpose": root_with(purposes=[ANY]),
    "an intermediate for both purposes": under(A, purposes=factories.PEER_PURPOSES),
    "an intermediate without keyUsage": under(A, usages=None),
    "URIs permitted: the trust domain": permitted(URI("cluster.local")),
    "URIs permitted: the trust domain in capitals": permitted(URI("CLUSTER.LOCAL")),
    "URIs permitted: the trust domain among others": permitted(URI("example.com"), URI("cluster.local")),
    "URIs permitted: all below its parent": permitted(URI(".local")),
    "URIs excluded: another": excluded(URI("example.com")),
    "URIs permitted in the intermediate": under(A, constraints=x509.NameConstraints([URI("cluster.local")], None)),
    "DNS permitted: svc": permitted(DNS("svc")),
    "DNS permitted: all below svc": permitted(DNS(".svc")),
    "DNS permitted: everything": permitted(DNS("")),
    "DNS excluded: another": excluded(DNS("example.com")),
    "IP addresses excluded: all": excluded(x509.IPAddress(ipaddress.ip_network("0.0.0.0/0"))),
    "mail addresses permitted": permitted(x509.RFC822Name("example.com")),
}


@pytest.mark.parametrize("layout", PROVEN.values(), ids=PROVEN.keys())
def test_prove_accepts(layout):
    layout.prove()


REFUSED = {
    "no roots": (Layout((), (intermediate(A),)), "the trust bundle is empty"),
    "another root": (Layout((STRANGER,), (intermediate(A),)), "issued by CN=Root, which is not in the trust bundle"),
    "another root of the same name": (Layout((B,), (intermediate(A),)), "which is not in the trust bundle"),
    "a root twice": (Layout((A, A), (intermediate(A),)), "holds a certificate twice"),
    "an expired root": (Layout((LAPSED,), (intermediate(LAPSED),)), "CN=Root expired at 2024-12-31T23:00:00Z"),
    "an expired copy before the renewed root": (Layout((LAPSED, RENEWED), (intermediate(RENEWED),)), "CN=Root expired"),
    "a coming copy before the valid root": (
        Layout((COMING, RENEWED), (intermediate(RENEWED),)),
        "CN=Root is not valid",
    ),
    "an expired intermediate": (under(A, not_after=NOW - timedelta(seconds=1)), "CN=Intermediate expired at"),
    "two roots of one name and no key identifier, the wrong one first": (
        Layout((B, A), (intermediate(A, akid=False),)),
        "no authorityKeyIdentifier to tell 2 roots",
    ),
    "two roots of one name and no key identifier, the right one first": (
        Layout((A, B), (intermediate(A, akid=False),)),
        "no authorityKeyIdentifier to tell 2 roots",
    ),
    "a namesake without key identifier first": (
        Layout((WITHOUT_SKI, A), (intermediate(A),)),
        "CN=Intermediate does not carry a signature of CN=Root",
    ),
    "issuer and serial in the authorityKeyIdentifier": (under(A, akid=SERIAL), "names its issuer by serial number"),
    "both copies of a cross-signed intermediate": (
        Layout((A,), (LOW, MIDDLE, MIDDLE_AGAIN)),
        "two certificates of the same key",
    ),
    "the middle missing": (Layout((A,), (LOW,)), "issued by CN=Middle, which is not in the trust bundle"),
    "a chain in the wrong order": (Layout((A,), (LOW, A, MIDDLE)), "CN=Intermediate does not carry a signature"),
    "the middle as a trusted root": (Layout((MIDDLE,), (LOW,)), "CN=Middle is trusted as a root, but not self-signed"),
    "the signer as a trusted root": (Layout((LOW,), (LOW,)), "not in the trust bundle"),
    "a root that is no CA": (root_with(ca=False, usages=None), "CN=Root is not a CA"),
    "a root without basicConstraints": (root_with(ca=None), "CN=Root is not a CA"),
    "a root without keyCertSign": (root_with(usages=["crl_sign"]), "no keyCertSign"),
    "a root with pathLen 0": (root_with(path_length=0), "CN=Root allows 0 CAs below it"),
    "a middle with pathLen 0": (
        Layout((A,), (intermediate(middle := intermediate(A, subject="Middle")), middle)),
        "CN=Middle allows 0 CAs below it",
    ),
    "an intermediate that is no CA": (under(A, ca=False, path_length=None, usages=None), "CN=Intermediate is not a CA"),
    "an intermediate without keyCertSign": (under(A, usages=["digital_signature"]), "no keyCertSign"),
    "a root for servers only": (root_with(purposes=[SERVER]), "extendedKeyUsage"),
    "an intermediate for any purpose": (under(A, purposes=[ANY]), "CN=Intermediate has an extendedKeyUsage"),
    "a root with an unknown critical extension": (
        root_with(**extension("1.2.3.4", critical=True)),
        "1.2.3.4 as critical",
    ),
    "an RSA 1024 root": (root_with(key=rsa_key(1024)), "shorter than 2048"),
    "an Ed25519 root": (root_with(key=ed25519.Ed25519PrivateKey.generate()), "neither RSA nor ECDSA"),
    "URIs permitted: only below the trust domain": (permitted(URI(".cluster.local")), "do not permit cluster.local"),
    "URIs permitted: its parent": (permitted(URI("local")), "do not permit cluster.local"),
    "URIs permitted: a whole URI": (permitted(URI("spiffe://cluster.local")), "do not permit cluster.local"),
    "URIs permitted: the empty one": (permitted(URI("")), "do not permit cluster.local"),
    "URIs excluded: the trust domain": (excluded(URI("cluster.local")), "exclude cluster.local"),
    "URIs excluded: its parent": (excluded(URI("local")), "exclude cluster.local"),
    "URIs excluded: all below its parent": (excluded(URI(".local")), "exclude cluster.local"),
    "URIs excluded: all": (excluded(URI("")), "exclude cluster.local"),
    "DNS permitted: another": (permitted(DNS("example.com")), "do not permit istiod.istio-system.svc"),
    "DNS excluded: svc": (excluded(DNS("svc")), "exclude istiod.istio-system.svc"),
    "directory names permitted": (permitted(x509.DirectoryName(name("Intermediate"))), "which Go does not take"),
    "registered IDs permitted": (
        permitted(x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))),
        "which Go does not take",
    ),
}


@pytest.mark.parametrize(("layout", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_prove_refuses(layout, words):
    with pytest.raises(PKIError) as caught:
        layout.prove()

    assert caught.value.reason is Found.CHAIN_NOT_PROVEN
    assert words in caught.value.message


SIGNER = intermediate(A)
PAIR = KeyPair(certs.parse(SIGNER.pem), SIGNER.key_pem)
BUNDLE = (certs.parse(A.pem),)


def refusal(signer: KeyPair, chain_pem: bytes, *bundles: tuple[certs.Certificate, ...]) -> str:
    with pytest.raises(PKIError) as caught:
        trust.prove(signer, chain_pem, bundles, trust_domain="cluster.local", now=NOW)
    assert caught.value.reason is Found.CHAIN_NOT_PROVEN
    return caught.value.message


def test_every_bundle_must_hold_the_root():
    other = (certs.parse(factories.root(subject="Other").pem),)

    trust.prove(PAIR, SIGNER.pem, [BUNDLE, (*other, *BUNDLE)], trust_domain="cluster.local", now=NOW)
    assert "not in the trust bundle" in refusal(PAIR, SIGNER.pem, BUNDLE, other)


def test_without_a_bundle_nothing_is_proven():
    assert "no trust bundle" in refusal(PAIR, SIGNER.pem)


def test_a_key_of_another_certificate_is_noticed():
    pair = KeyPair(PAIR.certificate, intermediate(A).key_pem)

    assert "private key is not that of CN=Intermediate" in refusal(pair, SIGNER.pem, BUNDLE)


def test_a_chain_that_begins_with_something_else_is_noticed():
    assert "begins with CN=Root, not with the signer" in refusal(PAIR, A.pem + SIGNER.pem, BUNDLE)


@pytest.mark.parametrize(
    "chain_pem", [b"", SIGNER.key_pem, SIGNER.pem + b"-----BEGIN"], ids=["empty", "a key", "damaged"]
)
def test_a_chain_that_cannot_be_read_is_noticed(chain_pem):
    message = refusal(PAIR, chain_pem, BUNDLE)

    assert "the certificate chain cannot be read" in message
    assert SIGNER.key_pem.splitlines()[1].decode() not in message


def test_the_trust_domain_is_that_of_the_leaf():
    layout = permitted(URI("cluster.local"))

    with pytest.raises(PKIError, match=r"do not permit other\.example"):
        Layout(layout.bundle, layout.chain, trust_domain="other.example").prove()


def test_a_signer_in_the_last_second_of_its_life_still_signs():
    under(factories.root(not_after=NOW), not_after=NOW).prove()


def test_pyca_has_the_last_word():
    chain = [A]
    for depth in range(10):  # no rule of ours counts them; pyca stops at eight
        chain.append(intermediate(chain[-1], subject=f"Level {depth}", path_length=None))

    with pytest.raises(PKIError, match="a leaf of CN=Level 9 does not validate"):
        Layout((A,), tuple(reversed(chain[1:]))).prove()
