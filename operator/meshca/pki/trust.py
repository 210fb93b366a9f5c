"""Proof, before anything is written, that peers will accept what a signer is about to sign.

"istiod loaded it" proves nothing, and neither does any one library: Go, BoringSSL and pyca disagree on a third of all
CA layouts. So the path is built as BoringSSL builds it, which neither looks back nor prefers valid certificates; each
certificate on it is judged by the rules that Go and BoringSSL agree on (`requirements`); and pyca's verifier has to
agree with the result.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshca.errors import PKIError
from meshca.pki import certs, keys, requirements
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.reasons import Found


def istiod_names(namespace: str) -> tuple[str, ...]:
    """Return the DNS names in istiod's own certificate, which comes from the same signer as the workloads' do.

    They are those of istio pilot/pkg/bootstrap/server.go, getDNSNames, without revisions' and custom ones.
    """
    return tuple(f"{service}.{namespace}.svc" for service in ("istiod", "istiod-remote", "istio-pilot"))


ISTIOD_NAMES = istiod_names("istio-system")


def prove(  # noqa: PLR0913  # the parts of a handshake
    signer: KeyPair,
    chain_pem: bytes,
    bundles: Sequence[Sequence[Certificate]],
    *,
    trust_domain: str,
    now: datetime,
    dns_names: Sequence[str] = ISTIOD_NAMES,
) -> None:
    """Sign a throwaway leaf with the signer's key, and validate it against every bundle that a peer may hold.

    Args:
        signer: the CA that istiod is to sign with.
        chain_pem: what workloads will send behind their leaf: the signer first, then upward.
        bundles: each a list of trusted roots, in the order of the file. At least one.
        trust_domain: of the leaf's SPIFFE ID.
        now: the time of validation.
        dns_names: of istiod, whose own certificate the signer signs too.

    Raises:
        PKIError: CHAIN_NOT_PROVEN, with the certificate at fault and the rule it breaks.
    """
    chain = _read_chain(signer, chain_pem)
    paths = dict.fromkeys(_build_path(chain, _read_bundle(bundle)) for bundle in bundles)  # most share one root
    if not paths:
        raise _not_proven("there is no trust bundle to prove the chain against")
    for path in paths:
        for certificate, clause in _faults(path, trust_domain, dns_names, now):
            raise _not_proven(f"{certificate.subject} {clause}")
    signing_key = keys.load(signer.key_pem, written_by_us=True)
    if signing_key.public_key() != certs.load(chain[0]).public_key():
        raise _not_proven(f"the private key is not that of {signer.certificate.subject}")
    leaf = _sign_leaf(certs.load(chain[0]), signing_key, trust_domain, dns_names, now)
    for path in paths:
        _verify_with_pyca(leaf, path, now)


Path = tuple[Certificate, ...]
"""From the signer upward; the last one is the trusted root."""


def _not_proven(sentence: str) -> PKIError:
    return PKIError(Found.CHAIN_NOT_PROVEN, sentence)


def _read_chain(signer: KeyPair, chain_pem: bytes) -> Path:
    try:
        found = certs.parse_bundle(chain_pem)
    except PKIError as error:
        raise _not_proven(f"the certificate chain cannot be read: {error.message}") from error
    if found[0] != signer.certificate:
        raise _not_proven(f"the certificate chain begins with {found[0].subject}, not with the signer")
    # Two certificates of one key, as from cross-signing: Envoy takes the first and does not try the second.
    if len({certificate.authority_id for certificate in found}) < len(found):
        raise _not_proven("the certificate chain holds two certificates of the same key")
    return found


def _read_bundle(bundle: Sequence[Certificate]) -> Path:
    if not bundle:
        raise _not_proven("the trust bundle is empty")
    if len({root.fingerprint for root in bundle}) < len(bundle):
        raise _not_proven("the trust bundle holds a certificate twice")
    return tuple(bundle)


def _build_path(chain: Path, bundle: Path) -> Path:
    """Go upward from the signer as BoringSSL does: trusted certificates first, the first match taken for good."""
    if chain[0] in bundle and certs.is_self_signed(chain[0]):
        return chain[:1]
    for length, certificate in enumerate(chain, 1):
        anchor = next((root for root in bundle if _looks_like_issuer(root, certificate)), None)
        if anchor is not None:
            _refuse_ambiguity(certificate, bundle)
            return (*chain[:length], anchor)
    top = chain[-1]
    raise _not_proven(f"{top.subject} is issued by {top.issuer}, which is not in the trust bundle")


def _looks_like_issuer(issuer: Certificate, certificate: Certificate) -> bool:
    """Compare names, and key identifiers where both have one: X509_check_issued, before any signature is checked."""
    if certs.folded_subject(issuer) != certs.folded_issuer(certificate):
        return False
    wanted, offered = certificate.issuer_id, certs.subject_key_id(certs.load(issuer))
    return wanted is None or offered is None or wanted == offered


def _refuse_ambiguity(certificate: Certificate, bundle: Path) -> None:
    name = certs.folded_issuer(certificate)
    namesakes = sum(certs.folded_subject(root) == name for root in bundle)
    if namesakes > 1 and certificate.issuer_id is None:
        raise _not_proven(
            f"{certificate.subject} has no authorityKeyIdentifier to tell {namesakes} roots of the same name apart"
        )


def _faults(
    path: Path, trust_domain: str, dns_names: Sequence[str], now: datetime
) -> Iterator[tuple[Certificate, str]]:
    """Give every rule that a certificate of the path breaks, from the root down."""
    for below, certificate in reversed(list(enumerate(path))):
        found = certs.load(certificate)
        for clause in (
            requirements.not_yet_valid(found, now),
            requirements.expired(found, now),
            *(rule(found) for rule in _RULES),
            requirements.path_too_short(found, below),
            requirements.excluded_names(found, trust_domain=trust_domain, dns_names=dns_names),
            _unsigned(path, below),
        ):
            if clause is not None:
                yield certificate, clause


_RULES: tuple[Callable[[x509.Certificate], str | None], ...] = (
    requirements.unsupported_key,
    requirements.weakness,
    requirements.not_a_ca,
    requirements.unfit,
)


def _unsigned(path: Path, at: int) -> str | None:
    certificate, issuer = path[at], path[min(at + 1, len(path) - 1)]
    if certificate is issuer:
        # OpenSSL and GnuTLS want it so; BoringSSL does not care
        return None if certs.is_self_signed(certificate) else "is trusted as a root, but not self-signed"
    return None if certs.issued_by(certificate, issuer) else f"does not carry a signature of {issuer.subject}"


def _sign_leaf(
    signer: x509.Certificate,
    signing_key: keys.PrivateKey,
    trust_domain: str,
    dns_names: Sequence[str],
    now: datetime,
) -> x509.Certificate:
    """Sign as istiod does (istio security/pkg/pki/util/generate_cert.go): no subject, a critical SPIFFE ID.

    A new P-256 key each time: at 0.01 ms there is nothing to save, and no key to keep.
    """
    spiffe_id = x509.UniformResourceIdentifier(f"spiffe://{trust_domain}/ns/default/sa/default")
    signer_id = bytes.fromhex(certs.authority_id(signer))
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(signer.not_valid_before_utc, now - timedelta(minutes=2)))
        .not_valid_after(min(signer.not_valid_after_utc, now + timedelta(hours=1)))
        .add_extension(_LEAF_KEY_USAGE, critical=True)
        .add_extension(_LEAF_PURPOSES, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier(signer_id, None, None), critical=False)
        .add_extension(x509.SubjectAlternativeName([spiffe_id, *map(x509.DNSName, dns_names)]), critical=True)
        .sign(signing_key, keys.signature_hash(signing_key))
    )


_LEAF_PURPOSES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_LEAF_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _verify_with_pyca(leaf: x509.Certificate, path: Path, now: datetime) -> None:
    """Have the second opinion, as a server sees a client.

    What a client sees of a server differs by the DNS name and the purpose, both of our own making; the names and
    purposes that CAs allow are judged by `requirements`.
    """
    loaded, root = [certs.load(certificate) for certificate in path], path[-1]
    if any(requirements.constrains_peer_names(certificate) for certificate in loaded):
        return  # pyca refuses all URI constraints, and DNS ones that begin with a dot
    anchor = _stand_in(loaded[-1])
    if anchor.subject.public_bytes() != certs.raw_subject(root):
        return  # pyca writes this name in other letters than the root does, and would compare the two
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([anchor]))
        .time(now)
        .extension_policies(ca_policy=_CA_POLICY, ee_policy=verification.ExtensionPolicy.webpki_defaults_ee())
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, loaded[:-1])
    except verification.VerificationError as error:
        raise _not_proven(f"a leaf of {path[0].subject} does not validate: {error}") from error


_EARLIEST = datetime(1950, 1, 1, tzinfo=UTC)
"""Before it, pyca writes no dates."""


def _stand_in(root: x509.Certificate) -> x509.Certificate:
    """Put a root's name, key, dates and pathLen into a certificate that is beyond reproach.

    Nothing else of a trusted root is looked at when a chain is verified. pyca judges its serial number and the form
    of its dates by the web's rules all the same, where everyone in a mesh takes 40 octets and GeneralizedTime.
    """
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    return (
        x509.CertificateBuilder()
        .subject_name(root.subject)
        .issuer_name(root.subject)
        .public_key(root.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(root.not_valid_before_utc, _EARLIEST))
        .not_valid_after(root.not_valid_after_utc)
        .add_extension(constraints, critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )


# Of the web's rules for CAs, which ask more than Go or BoringSSL, only basicConstraints: the library insists on them.
# It still checks signatures, validity, CA:TRUE, pathLen, critical extensions and key sizes by itself.
_AGNOSTIC = verification.Criticality.AGNOSTIC
_CA_POLICY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _AGNOSTIC, None)
    .may_be_present(x509.CertificatePolicies, _AGNOSTIC, None)  # `permit_all` permits the ones it knows
    .may_be_present(x509.CRLDistributionPoints, _AGNOSTIC, None)
)
