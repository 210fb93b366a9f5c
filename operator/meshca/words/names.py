"""The words that other programs and people see: API names, labels, annotations, Secret keys.

Every name here is part of the published interface: change one and something
outside this package stops working.
"""

from enum import StrEnum
from hashlib import sha256

GROUP = "meshca.io"
VERSION = "v1alpha1"
PLURAL = "meshcas"
KIND = "MeshCA"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "meshca"
"""Server-side apply field manager of every write; also how a Secret is known to be ours."""

DEFAULT_NAMESPACE = "meshca-system"
LEASE_NAME = "meshca"

LABEL_MESHCA = f"{GROUP}/meshca"
"""On every Secret and ConfigMap of a MeshCA: the MeshCA's name."""
ANNOTATION_HOME = f"{GROUP}/namespace"
"""On `cacerts`: the namespace of the operator that writes it, which is where its roots are."""
LABEL_REVISION = f"{GROUP}/revision"
"""On a root's Secret: its revision, a positive integer that is never reused."""
LABEL_STATE = f"{GROUP}/state"
"""On a root's Secret: its RootState, the persisted progress of a rotation."""
LABEL_SOURCE = f"{GROUP}/source"
"""On a root's Secret: `generated` by the operator or given in a `secret`."""
ANNOTATION_MADE_FOR = f"{GROUP}/made-for"
"""On a root's Secret: the uid of the MeshCA that it was made for; another one's means that it was copied."""
ANNOTATION_REPLACES = f"{GROUP}/replaces"
"""On a root's Secret: the SHA-256 of the roots before it; an old `cacerts` from a backup is known by them."""
LABEL_REQUEST = f"{GROUP}/request"
"""On the Secret of a request for an intermediate: the name of the target that it is for."""
ANNOTATION_SIGNER = f"{GROUP}/signer"
"""On the Secret of a request: the revision of the root that is asked to sign."""
LABEL_ORIGINAL = f"{GROUP}/original"
"""On the Secret that keeps a CA that was taken over: the namespace that it is from."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"

ANNOTATION_INTERMEDIATE = f"{GROUP}/intermediate-sha256"
"""On `cacerts`: fingerprint of the intermediate that we wrote; tells a damaged Secret from a replaced one."""
ANNOTATION_REVISIONS = f"{GROUP}/revisions"
"""On `cacerts`: the revisions of the roots in `root-cert.pem`, in its order, such as `2,1`."""
ANNOTATION_BUNDLE_SINCE = f"{GROUP}/bundle-since"
"""On `cacerts`: when its trust bundle last changed, RFC 3339. Absent: at our last write."""
ANNOTATION_SIGNER_SINCE = f"{GROUP}/signer-since"
"""On `cacerts`: when its signing root last changed, RFC 3339. Absent: at our last write."""

CA_ROOT_CERT = "istio-ca-root-cert"
"""The ConfigMap by which istiod tells the proxies of a namespace what to trust (istio namespacecontroller.go)."""
INJECTOR = "istio-sidecar-injector"
"""The ConfigMap that says what istiod puts into pods; an istiod of a revision has another, with its name behind."""
CACERTS = "cacerts"
"""The Secret that istiod reads unless it is told otherwise."""
ANNOTATION_STANDS_FOR = f"{GROUP}/stands-for"
"""On a CA that was kept: the Secret that it was in, where that is not the target's."""
ISTIOD = "istiod"
"""The Deployment of istiod, where it is not one of a revision."""
CA_CERT = "ca-cert.pem"
CA_KEY = "ca-key.pem"
CERT_CHAIN = "cert-chain.pem"
ROOT_CERT = "root-cert.pem"
CACERTS_KEYS = (CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT)
"""The four files istiod reads (istio pilot/pkg/bootstrap/istio_ca.go)."""
CA_CRL = "ca-crl.pem"
ISTIO_GENERATED = "istio-generated"
"""istiod owns a `cacerts` that has this key (USE_CACERTS_FOR_SELF_SIGNED_CA)."""

TLS_CERT = "tls.crt"
TLS_KEY = "tls.key"
TLS_CSR = "tls.csr"
"""A request for a certificate (PKCS #10, PEM)."""
TLS_SECRET_TYPE = "kubernetes.io/tls"


def root_secret_name(meshca: str, revision: int) -> str:
    """Name the Secret of a root."""
    return f"{meshca}-root-{revision}"


def request_secret_name(meshca: str, target: str, signer: int) -> str:
    """Name the Secret of a request. A target's name has no dot, so no two requests have one name."""
    return f"{meshca}.{target}.request-{signer}"


LONGEST_NAME = 253
"""Of any object (RFC 1123 subdomain)."""
_ORIGINAL = ".original"


def original_secret_name(meshca: str, namespace: str, name: str) -> str:
    """Name the Secret that keeps a CA as it was before it was taken over: by the object that it was in.

    Not by its target, which may be given another name or another object on the way.
    """
    whole = f"{meshca}.{namespace}.{name}"
    if len(whole) > LONGEST_NAME - len(_ORIGINAL):
        whole = f"{meshca}.{namespace}.{sha256(whole.encode()).hexdigest()}"
    return f"{whole}{_ORIGINAL}"


class RootState(StrEnum):
    """How far the newest root has come. Stored as LABEL_STATE on its Secret, before anything acts on it."""

    PREPARED = "prepared"
    """It joins the bundle; the root before it goes on signing."""
    ACTIVE = "active"
    """It signs; the roots before it stay in the bundle."""
    SOLE = "sole"
    """It signs and is the only root; the ones before it leave the bundle, then their keys are destroyed."""
    ABANDONED = "abandoned"
    """It never signed and never will: the root before it is the newest again, until there is another."""


RETIRING = "retiring"
"""What every root before the newest is called. No label says so: that there is a newer one does."""


ADOPTED = "adopted"
"""What a root of somebody else's is called, whose mesh is taken over."""


class Phase(StrEnum):
    """The phase a MeshCA shows, in the order a rotation runs through them."""

    PENDING = "Pending"
    STEADY = "Steady"
    PREPARE = "Prepare"
    TRUST = "Trust"
    SWITCH = "Switch"
    DRAIN = "Drain"
    RETIRE = "Retire"


class Condition(StrEnum):
    """Condition types, as kstatus reads them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
