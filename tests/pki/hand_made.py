"""CAs as people make them for Istio by hand or with its own tools, in every layout that istiod loads."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from meshca.pki import certs
from tests.pki.factories import Made, intermediate, root, rsa_key

BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
Files = dict[str, bytes]


def ca(above: Made | None = None, **changes: Any) -> Made:
    dates = {"not_before": BEGIN, "not_after": END} | changes
    return root(**dates) if above is None else intermediate(above, **dates)


def files(signer: Made, chain: bytes, roots: bytes) -> Files:
    return {"ca-cert.pem": signer.pem, "ca-key.pem": signer.key_pem, "cert-chain.pem": chain, "root-cert.pem": roots}


def simple(top: Made) -> Files:
    signer = ca(top, subject="Acme CA")
    return files(signer, signer.pem, top.pem)


def by_istios_tools(top: Made) -> Files:
    signer = ca(top, subject="Acme CA", key=rsa_key(2048))
    return files(signer, signer.pem + top.pem, top.pem)


def like_istios_samples(top: Made) -> Files:
    """As samples/certs of Istio were for years: no key identifiers, nothing critical, a host's name, an address.

    Envoy and Go take it; pyca's verifier, which judges elsewhere, asks for more.
    """
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Istio"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Istio CA"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "testca@istio.io"),
        ]
    )
    bare = {"skid": False, "akid": False, "basic_constraints_critical": False, "path_length": None}
    signer = ca(top, names=name, key=rsa_key(2048), san=[x509.DNSName("ca.istio.io")], **bare)
    return files(signer, signer.pem, top.pem)


def two_levels(top: Made) -> Files:
    region = ca(top, subject="Acme Region", path_length=1)
    signer = ca(region, subject="Acme CA")
    return files(signer, b"# region\n" + region.pem + signer.pem, b"# Acme, made in 2021\r\n" + top.pem + b"\n")


def three_levels(top: Made) -> Files:
    region = ca(top, subject="Acme Region", path_length=2)
    team = ca(region, subject="Acme Team", path_length=1)
    signer = ca(team, subject="Acme CA")
    return files(signer, top.pem + region.pem + team.pem + signer.pem, top.pem)


def several_roots(top: Made) -> Files:
    signer, partner = ca(top, subject="Acme CA"), ca(subject="Partner Root")
    return files(signer, signer.pem, b"partner:\n" + partner.pem + b"ours:\n" + top.pem)


STARTS: dict[str, Callable[[Made], Files]] = {
    "directly under its root": simple,
    "made by Istio's own tools: RSA, and the root in the chain": by_istios_tools,
    "two levels, with comments and Windows' line ends": two_levels,
    "three levels, the chain upside down": three_levels,
    "several roots": several_roots,
}


def encoded(content: Mapping[str, bytes]) -> dict[str, str]:
    return {name: b64encode(each).decode() for name, each in content.items()}


def fingerprint(made: Made) -> str:
    return certs.parse(made.pem).fingerprint
