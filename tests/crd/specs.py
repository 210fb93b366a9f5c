"""Specs and the answers they must get, as plain data.

One table for both judges: the API server with deploy/crd.yaml, and the
operator's own reader of specs, which guards where no CEL runs.
"""

from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """A good spec.

    Attributes:
        spec: what the mesh owner writes.
        stored: parts of what the API server stores, its defaults filled in.
        name: of the MeshCA.
    """

    spec: Any
    stored: Spec = field(default_factory=dict)
    name: str = "mesh"


@dataclass(frozen=True)
class Refused:
    """A nonsense spec.

    Attributes:
        spec: what the mesh owner writes.
        field: path of the field that the answer must name.
        remedy: words of the API server's answer that say what to do.
        name: of the MeshCA.
    """

    spec: Spec
    field: str
    remedy: str
    name: str = "mesh"


def root(**fields: Any) -> Spec:
    """Return a spec with these fields of spec.root."""
    return {"root": fields}


def intermediate(**fields: Any) -> Spec:
    """Return a spec with these fields of spec.intermediate."""
    return {"intermediate": fields}


def targets(*entries: Any) -> Spec:
    """Return a spec with these targets."""
    return {"targets": list(entries)}


def istio(name: str = "istio", **fields: Any) -> Spec:
    """Return a target that an istiod reads."""
    return {"name": name, "istio": fields}


LAB: Spec = {
    "root": {"duration": "60s", "renewBefore": "20s"},
    "intermediate": {"duration": "20s", "renewBefore": "8s"},
    "workload": {"maxCertificateDuration": "6s"},
    "rotation": {"propagationDelay": "1s"},
}

DEFAULTS: Spec = {
    "trustDomain": "cluster.local",
    "root": {
        "privateKey": {"algorithm": "ECDSA"},
        "subject": {},
        "duration": "87600h",
        "renewBefore": "17520h",
    },
    "intermediate": {"privateKey": {"algorithm": "ECDSA"}, "duration": "2160h", "renewBefore": "720h"},
    "workload": {"maxCertificateDuration": "24h"},
    "rotation": {"propagationDelay": "5m", "approval": "None"},
    "trustBundle": {"additionalRoots": []},
    "targets": [istio(namespace="istio-system", secretName="cacerts", rootReload="Detect")],
    "suspend": False,
    "deletionPolicy": "Retain",
}
"""All that `spec: {}` becomes in the API server."""

ACCEPTED: dict[str, Accepted] = {
    "an empty spec gets every default": Accepted({}, DEFAULTS),
    "a null spec gets every default": Accepted(None, DEFAULTS),
    "empty objects get the defaults inside them": Accepted(
        {"root": {}, "intermediate": {}, "workload": {}, "rotation": {}, "trustBundle": {}}, DEFAULTS
    ),
    "null fields get the defaults too": Accepted(
        {"trustDomain": None, "root": None, "intermediate": {"duration": None}, "targets": None}, DEFAULTS
    ),
    "a null time is no time": Accepted(root(issuedAfter=None), DEFAULTS),
    "a name of 40 characters": Accepted({}, name="m" * 40),
    "a trust domain of another kind": Accepted({"trustDomain": "prod_1.example.com"}),
    "a trust domain of 64 characters is an organization too": Accepted({"trustDomain": "d" * 64}),
    "a longer trust domain with an organization beside it": Accepted(
        {"trustDomain": "d" * 255} | root(subject={"organization": "Example"})
    ),
    "an organization in any script": Accepted(root(subject={"organization": "Пример, s.r.o. & Söhne"})),
    "an organization of 64 characters": Accepted(root(subject={"organization": "o" * 64})),
    "durations of seconds, for a lab": Accepted(LAB, LAB),
    "a duration in several units": Accepted(root(duration="43800h30m15s", renewBefore="1000h0m0s")),
    "a duration in minutes only": Accepted(root(duration="5256000m")),
    "a duration of a hundred years": Accepted(root(duration="876000h")),
    "an intermediate that lives as long as its root": Accepted(intermediate(duration="87600h")),
    "renewal one second after issuance": Accepted(intermediate(duration="2160h", renewBefore="2159h59m59s")),
    "a time to rotate": Accepted(root(issuedAfter="2026-01-31T12:00:00Z")),
    "a time in another zone, with a fraction": Accepted(intermediate(issuedAfter="2026-01-31T12:00:00.5+02:00")),
    "P-384": Accepted(root(privateKey={"algorithm": "ECDSA", "size": 384})),
    "a size alone is of an ECDSA key": Accepted(
        intermediate(privateKey={"size": 384}), {"intermediate": {"privateKey": {"algorithm": "ECDSA", "size": 384}}}
    ),
    "RSA without a size": Accepted(root(privateKey={"algorithm": "RSA"}), root(privateKey={"algorithm": "RSA"})),
    "RSA 2048": Accepted(intermediate(privateKey={"algorithm": "RSA", "size": 2048})),
    "RSA 8192": Accepted(root(privateKey={"algorithm": "RSA", "size": 8192})),
    "a generated root, said aloud": Accepted(root(source={"generated": {}})),
    "a root of one's own": Accepted(
        root(source={"secret": {"name": "mesh-root"}}), root(source={"secret": {"name": "mesh-root"}})
    ),
    "a root of one's own beside a null member": Accepted(root(source={"generated": None, "secret": {"name": "mine"}})),
    "a root Secret whose name only begins like a stored root's": Accepted(
        root(source={"secret": {"name": "mesh-root-ca"}})
    ),
    "another MeshCA's stored root": Accepted(root(source={"secret": {"name": "other-root-1"}})),
    "a target with nothing but a name gets Istio's defaults": Accepted(
        targets(istio("east")),
        targets(istio("east", namespace="istio-system", secretName="cacerts", rootReload="Detect")),
    ),
    "targets in two namespaces": Accepted(
        targets(istio("east", namespace="istio-east"), istio("west", namespace="istio-west", rootReload="Live"))
    ),
    "a CA that is to be taken over": Accepted(targets(istio(adopt={"rootFingerprint": "3f" * 32}))),
    "a CA that is to be taken over, as openssl prints its root": Accepted(
        targets(istio(adopt={"rootFingerprint": ":".join(["3F"] * 32)}))
    ),
    "two Secrets in one namespace": Accepted(targets(istio("one"), istio("two", secretName="cacerts-canary"))),
    "32 targets": Accepted(targets(*(istio(f"t{i}", namespace=f"istio-{i}") for i in range(32)))),
    "a published trust bundle": Accepted({"trustBundle": {"configMap": {}}}, {"trustBundle": {"configMap": {}}}),
    "a published trust bundle with a name": Accepted({"trustBundle": {"configMap": {"name": "mesh.bundle"}}}),
    "suspended, and deleted with its Secrets": Accepted({"suspend": True, "deletionPolicy": "Delete"}),
}

DURATION = "must be a Go duration in whole hours, minutes and seconds, from 1s to 876000h (100 years), such as"
TIME = 'must be a time in RFC 3339 with its zone, such as "2026-01-31T12:00:00Z"'

REFUSED: dict[str, Refused] = {
    # What no schema has
    "an unknown field": Refused({"rooot": {}}, "spec.rooot", "unknown field"),
    "an unknown field further in": Refused(root(durration="1h"), "spec.root.durration", "unknown field"),
    "an unknown field of a target": Refused(
        targets({"name": "a", "istio": {"secret": "x"}}), "spec.targets[0].istio.secret", "unknown field"
    ),
    "a root that is a word": Refused({"root": "generated"}, "spec.root", "must be of type object"),
    "targets that are no list": Refused({"targets": "istio-system"}, "spec.targets", "must be of type array"),
    "suspend as a word": Refused({"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    # Names
    "a name of 41 characters": Refused({}, "metadata.name", "choose a shorter name", name="m" * 41),
    "a trust domain with a scheme": Refused(
        {"trustDomain": "spiffe://cluster.local"}, "spec.trustDomain", "without scheme and path, such as"
    ),
    "a trust domain in capitals": Refused({"trustDomain": "Cluster.Local"}, "spec.trustDomain", "lower-case letters"),
    "a trust domain with an empty label": Refused({"trustDomain": "a..b"}, "spec.trustDomain", "single dots between"),
    "a trust domain that begins with a dot": Refused({"trustDomain": ".a"}, "spec.trustDomain", "single dots between"),
    "a trust domain that ends with a dot": Refused({"trustDomain": "a."}, "spec.trustDomain", "single dots between"),
    "a trust domain of one dot": Refused({"trustDomain": "."}, "spec.trustDomain", "single dots between"),
    "an empty trust domain": Refused({"trustDomain": ""}, "spec.trustDomain", "must be a SPIFFE trust domain"),
    "a trust domain of 256 characters": Refused({"trustDomain": "d" * 256}, "spec.trustDomain", "255"),
    "a trust domain too long to be the organization": Refused(
        {"trustDomain": "d" * 65}, "spec.root.subject.organization", "set root.subject.organization"
    ),
    "an empty organization": Refused(
        root(subject={"organization": ""}), "spec.root.subject.organization", "at least 1 chars"
    ),
    "an organization of 65 characters": Refused(
        root(subject={"organization": "o" * 65}), "spec.root.subject.organization", "64"
    ),
    "an organization with a line break": Refused(
        root(subject={"organization": "Example\nCorp"}), "spec.root.subject.organization", "neither control characters"
    ),
    "an organization of blanks": Refused(
        root(subject={"organization": "  "}), "spec.root.subject.organization", "nor blanks at its ends"
    ),
    # Durations
    "a duration in years": Refused(root(duration="10y"), "spec.root.duration", DURATION),
    "a duration in days": Refused(intermediate(renewBefore="3d"), "spec.intermediate.renewBefore", "a day is 24h"),
    "a duration without a unit": Refused(root(duration="87600"), "spec.root.duration", DURATION),
    "a duration as a number": Refused(root(duration=87600), "spec.root.duration", "must be of type string"),
    "a negative duration": Refused(root(renewBefore="-1h"), "spec.root.renewBefore", DURATION),
    "an empty duration": Refused(
        {"workload": {"maxCertificateDuration": ""}}, "spec.workload.maxCertificateDuration", DURATION
    ),
    "a duration of nothing": Refused(
        {"rotation": {"propagationDelay": "0s"}}, "spec.rotation.propagationDelay", DURATION
    ),
    "a duration of milliseconds": Refused(
        {"rotation": {"propagationDelay": "500ms"}}, "spec.rotation.propagationDelay", DURATION
    ),
    "a duration with a fraction": Refused(intermediate(duration="1.5h"), "spec.intermediate.duration", '"1h30m"'),
    "a duration with blanks": Refused(root(duration="1h 30m"), "spec.root.duration", DURATION),
    "a duration beyond a hundred years": Refused(root(duration="876001h"), "spec.root.duration", "(100 years)"),
    "an absurd duration": Refused(root(duration="99999999h"), "spec.root.duration", DURATION),
    "a duration as ISO 8601 writes it": Refused(root(duration="P10Y"), "spec.root.duration", DURATION),
    # Lifetimes that do not fit together
    "a root renewed as long before its end as it lives": Refused(
        root(duration="8760h", renewBefore="8760h"), "spec.root.renewBefore", "must be shorter than"
    ),
    "a root shorter than the default renewBefore": Refused(
        root(duration="8760h"), "spec.root.renewBefore", "(17520h) must be shorter than root.duration (8760h)"
    ),
    "an intermediate renewed before it begins": Refused(
        intermediate(duration="240h"), "spec.intermediate.renewBefore", "set intermediate.renewBefore to about a third"
    ),
    "an intermediate that outlives its root": Refused(
        root(duration="8760h", renewBefore="720h") | intermediate(duration="8761h"),
        "spec.intermediate.duration",
        "shorten intermediate.duration or lengthen root.duration",
    ),
    "leaves that outlive their intermediate": Refused(
        {"workload": {"maxCertificateDuration": "2160h"}},
        "spec.workload.maxCertificateDuration",
        "lengthen intermediate.duration or shorten those two",
    ),
    "leaves that outlive their intermediate by the time it takes to arrive": Refused(
        {"workload": {"maxCertificateDuration": "2159h"}, "rotation": {"propagationDelay": "1h"}},
        "spec.workload.maxCertificateDuration",
        "1h + 4s) must not exceed intermediate.duration (2160h)",
    ),
    "leaves that outlive their intermediate by the last seconds": Refused(
        {"workload": {"maxCertificateDuration": "2159h"}, "rotation": {"propagationDelay": "20m"}},
        "spec.workload.maxCertificateDuration",
        "20m + 4s) must not exceed intermediate.duration (2160h)",
    ),
    "a root too short for two whole rotations": Refused(
        LAB | root(duration="40s", renewBefore="5s") | {"rotation": {"propagationDelay": "2s"}},
        "spec.root.duration",
        "lengthen root.duration or shorten those two",
    ),
    # Times
    "a time in words": Refused(root(issuedAfter="tomorrow"), "spec.root.issuedAfter", TIME),
    "a date without a time": Refused(intermediate(issuedAfter="2026-01-31"), "spec.intermediate.issuedAfter", TIME),
    "a time without a zone": Refused(root(issuedAfter="2026-01-31T12:00:00"), "spec.root.issuedAfter", TIME),
    "a day that no calendar has": Refused(root(issuedAfter="2026-02-30T12:00:00Z"), "spec.root.issuedAfter", TIME),
    # Keys
    "Ed25519, which istiod cannot sign with": Refused(
        root(privateKey={"algorithm": "Ed25519"}), "spec.root.privateKey.algorithm", '"ECDSA", "RSA"'
    ),
    "an ECDSA key of an RSA size": Refused(
        root(privateKey={"algorithm": "ECDSA", "size": 2048}), "spec.root.privateKey.size", "size 256 or 384"
    ),
    "P-521": Refused(intermediate(privateKey={"size": 521}), "spec.intermediate.privateKey.size", "size 256 or 384"),
    "an RSA key of an ECDSA size": Refused(
        root(privateKey={"algorithm": "RSA", "size": 256}), "spec.root.privateKey.size", "2048 to 8192 bits"
    ),
    "RSA 1024": Refused(
        intermediate(privateKey={"algorithm": "RSA", "size": 1024}),
        "spec.intermediate.privateKey.size",
        "set 2048, 3072 or 4096, or leave size out",
    ),
    "RSA 16384": Refused(
        root(privateKey={"algorithm": "RSA", "size": 16384}), "spec.root.privateKey.size", "2048 to 8192 bits"
    ),
    "RSA of a crooked size": Refused(
        root(privateKey={"algorithm": "RSA", "size": 3000}), "spec.root.privateKey.size", "in steps of 256"
    ),
    "a negative size": Refused(root(privateKey={"size": -256}), "spec.root.privateKey.size", "size 256 or 384"),
    # Unions
    "a root from two sources": Refused(
        root(source={"generated": {}, "secret": {"name": "mine"}}),
        "spec.root.source",
        "keep either generated or",
    ),
    "a root from none": Refused(root(source={}), "spec.root.source", "exactly one"),
    "a root from a Secret without a name": Refused(
        root(source={"secret": {}}), "spec.root.source.secret.name", "equire"
    ),
    "a root from a Secret with an impossible name": Refused(
        root(source={"secret": {"name": "My_Root"}}), "spec.root.source.secret.name", 'such as "mesh-root"'
    ),
    "a root from a Secret with an empty label in its name": Refused(
        root(source={"secret": {"name": "my..root"}}), "spec.root.source.secret.name", 'such as "mesh-root"'
    ),
    "a root from a Secret that the operator writes itself": Refused(
        root(source={"secret": {"name": "mesh-root-1"}}), "spec.root.source.secret.name", "of another name"
    ),
    **{
        f"a root from {source}, which comes later": Refused(
            root(source={source: {"address": "anything"}}), f"spec.root.source.{source}", "use generated or secret"
        )
        for source in ("parent", "external", "vault", "pkcs11")
    },
    "a target of no kind": Refused(targets({"name": "east"}), "spec.targets[0]", "exactly one"),
    "a target of two kinds": Refused(
        targets(istio("east") | {"tls": {}}), "spec.targets[0]", "target east must be of exactly one kind"
    ),
    **{
        f"a target of kind {kind}, which comes later": Refused(
            targets({"name": "east", kind: {"anything": "goes"}}), f"spec.targets[0].{kind}", "use istio"
        )
        for kind in ("tls", "linkerd", "clusterTrustBundle")
    },
    # Targets
    "no targets": Refused(targets(), "spec.targets", "at least 1 items"),
    "33 targets": Refused(
        targets(*(istio(f"t{i}", namespace=f"istio-{i}") for i in range(33))), "spec.targets", "at most 32 items"
    ),
    "a target without a name": Refused(targets({"istio": {}}), "spec.targets[0].name", "equired"),
    "a target with an impossible name": Refused(
        targets(istio("East")), "spec.targets[0].name", "must be a DNS label of at most 40"
    ),
    "a target with a name of 41 characters": Refused(targets(istio("t" * 41)), "spec.targets[0].name", "40"),
    "an impossible namespace": Refused(
        targets(istio(namespace="istio.system")), "spec.targets[0].istio.namespace", 'such as "istio-system"'
    ),
    "an impossible name of a Secret": Refused(
        targets(istio(secretName="CACERTS")), "spec.targets[0].istio.secretName", "must be the name of"
    ),
    "two targets with one name": Refused(
        targets(istio("east"), istio("east", namespace="other")), "spec.targets", "give each its own"
    ),
    "two targets that write one Secret": Refused(
        targets(istio("east"), istio("west")), "spec.targets", "two targets write the same Secret"
    ),
    "two targets that write one Secret, once by default": Refused(
        targets(istio("east", namespace="istio-system"), istio("mid", namespace="m"), istio("west")),
        "spec.targets",
        "two targets write the same Secret",
    ),
    "an unknown way to reload": Refused(
        targets(istio(rootReload="Always")), "spec.targets[0].istio.rootReload", '"Detect", "Live"'
    ),
    "a CA that is to be taken over from no root": Refused(
        targets(istio(adopt={})), "spec.targets[0].istio.adopt.rootFingerprint", "equired"
    ),
    "a CA that is to be taken over from a root by its SHA-1": Refused(
        targets(istio(adopt={"rootFingerprint": "3f" * 20})),
        "spec.targets[0].istio.adopt.rootFingerprint",
        "64 hexadecimal digits",
    ),
    "a CA that is to be taken over from a root by its name": Refused(
        targets(istio(adopt={"rootFingerprint": "CN=Acme"})),
        "spec.targets[0].istio.adopt.rootFingerprint",
        "64 hexadecimal digits",
    ),
    # What comes later, and the rest
    "approval of each phase, which comes later": Refused(
        {"rotation": {"approval": "EachPhase"}}, "spec.rotation.approval", "use None"
    ),
    "an unknown approval": Refused({"rotation": {"approval": "Always"}}, "spec.rotation.approval", '"None"'),
    "additional roots, which come later": Refused(
        {"trustBundle": {"additionalRoots": [{"name": "partner", "pem": "x", "until": "2027-01-01T00:00:00Z"}]}},
        "spec.trustBundle.additionalRoots",
        "leave the list empty",
    ),
    "an impossible name of a ConfigMap": Refused(
        {"trustBundle": {"configMap": {"name": "A b"}}},
        "spec.trustBundle.configMap.name",
        "must be the name of",
    ),
    "an unknown deletion policy": Refused({"deletionPolicy": "Orphan"}, "spec.deletionPolicy", '"Retain", "Delete"'),
}


@dataclass(frozen=True)
class Unwise:
    """A legal spec that deserves a warning.

    Attributes:
        spec: what the mesh owner writes.
        warnings: words of each warning it gets; no others.
    """

    spec: Spec
    warnings: tuple[str, ...]


UNWISE: dict[str, Unwise] = {
    "the defaults deserve none": Unwise({}, ()),
    "a root shorter than a year": Unwise(
        root(duration="8759h", renewBefore="1000h"), ("spec.root.duration (8759h) is less than a year",)
    ),
    "a root of a year": Unwise(root(duration="8760h", renewBefore="1752h"), ()),
    "a short root of one's own is somebody else's choice": Unwise(
        root(source={"secret": {"name": "mine"}}, duration="4000h", renewBefore="3000h"), ()
    ),
    "a root that is replaced most of the time": Unwise(
        root(renewBefore="60000h"),
        ("spec.root.renewBefore (60000h) is more than two thirds of root.duration",),
    ),
    "a root replaced too late for a whole rotation": Unwise(
        root(renewBefore="48h"), ("spec.root.renewBefore (48h) is shorter than a whole rotation",)
    ),
    "an intermediate that renews most of the time": Unwise(
        intermediate(renewBefore="1441h"), ("spec.intermediate.renewBefore (1441h) is more than two thirds",)
    ),
    "an intermediate renewed too late for its leaves": Unwise(
        intermediate(renewBefore="24h"), ("spec.intermediate.renewBefore (24h) is shorter than workload.max",)
    ),
    "leaves said to be shorter than Istio makes them": Unwise(
        {"workload": {"maxCertificateDuration": "12h"}},
        ("spec.workload.maxCertificateDuration (12h) is below",),
    ),
    "a delay that a kubelet may exceed": Unwise(
        {"rotation": {"propagationDelay": "119s"}}, ("spec.rotation.propagationDelay (119s) is less than 2m",)
    ),
    "a slow root": Unwise(
        root(privateKey={"algorithm": "RSA", "size": 8192}), ("spec.root.privateKey.size is beyond RSA 4096",)
    ),
    "a slow intermediate": Unwise(
        intermediate(privateKey={"algorithm": "RSA", "size": 4352}),
        ("spec.intermediate.privateKey.size is beyond RSA 4096",),
    ),
    "RSA 4096": Unwise(intermediate(privateKey={"algorithm": "RSA", "size": 4096}), ()),
    "RSA without a size": Unwise(root(privateKey={"algorithm": "RSA"}), ()),
    "times that have passed": Unwise(
        root(issuedAfter="2026-01-31T12:00:00Z") | intermediate(issuedAfter="2026-01-31T12:00:00Z"), ()
    ),
    "times to come": Unwise(
        root(issuedAfter="2999-01-31T12:00:00Z") | intermediate(issuedAfter="2999-01-31T12:00:00Z"),
        ("spec.root.issuedAfter is in the future", "spec.intermediate.issuedAfter is in the future"),
    ),
    "a lab": Unwise(
        LAB,
        (
            "spec.root.duration (60s) is less than a year",
            "spec.workload.maxCertificateDuration (6s) is below the 24h",
            "spec.rotation.propagationDelay (1s) is less than 2m",
        ),
    ),
}
