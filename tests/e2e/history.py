"""What must hold of every version of every Secret that the operator ever wrote.

The numbers are those of the project's list of invariants. D is `propagationDelay`, T the longest life
of a workload's certificate. Time is told by two clocks that must both agree: the API server's stamps
of the writes, exact to the second, and the moments at which a watch showed them, with SLACK.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from tests.e2e.recorder import Version

SLACK = timedelta(seconds=0.7)
"""By how much a busy machine may show a version too late."""
SKEW = timedelta(minutes=1)
"""How far behind a workload's clock may be."""
FILES = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}


@dataclass(frozen=True)
class Waits:
    """D and T of a MeshCA."""

    propagation: timedelta
    leaf: timedelta

    @property
    def overlap(self) -> timedelta:
        return self.propagation + self.leaf


@dataclass(frozen=True)
class Published:
    """One version of a `cacerts` by the operator, or one that it took over."""

    target: str
    version: Version

    @property
    def written(self) -> datetime:
        """By the server's stamp: at this second, or less than one later."""
        return self.version.applied or self.version.edited

    @property
    def seen(self) -> datetime:
        return self.version.seen_at

    @property
    def written_by(self) -> datetime:
        """The latest moment that it can have been written at: a busy machine may show it much later."""
        return min(self.seen, self.written + timedelta(seconds=1))

    @cached_property
    def files(self) -> dict[str, bytes]:
        return {name: b64decode(value) for name, value in self.version.obj["data"].items()}

    @cached_property
    def signer(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.files["ca-cert.pem"])

    @cached_property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return tuple(x509.load_pem_x509_certificates(self.files["root-cert.pem"]))

    @cached_property
    def chain(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.files["cert-chain.pem"])

    @cached_property
    def issuer(self) -> x509.Certificate:
        """The root that the signer is under."""
        for below in (self.signer, *self.chain):
            for root in self.roots:
                if _is_signed(below, root):
                    return root
        raise AssertionError(f"{self}: its signer is under none of its own roots")

    @cached_property
    def leaf(self) -> x509.Certificate:
        """A workload's certificate, made with the key in this version."""
        key = load_pem_private_key(self.files["ca-key.pem"], None)
        assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        uri = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/default")
        identifier = self.signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.signer.subject)
            .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.signer.not_valid_before_utc)
            .not_valid_after(self.signer.not_valid_after_utc)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(aki, critical=False)
            .sign(key, SHA256())
        )

    def accepts(self, peer: "Published", at: datetime) -> bool:
        """Tell whether a workload that trusts this bundle accepts a peer whose certificate comes from that signer."""
        ca_policy = ExtensionPolicy.webpki_defaults_ca()
        leaf_policy = ExtensionPolicy.webpki_defaults_ee()
        policies = PolicyBuilder().extension_policies(ca_policy=ca_policy, ee_policy=leaf_policy)
        verifier = policies.store(Store(list(self.roots))).time(at).build_client_verifier()
        try:
            verifier.verify(peer.leaf, peer.chain)
        except VerificationError:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.target} version {self.version.number} written {self.written:%H:%M:%S}"


@dataclass(frozen=True)
class History:
    """All that was recorded of one MeshCA.

    Attributes:
        waits: its D and T.
        targets: for each target the versions of its Secret, foreign ones left out.
        roots: every version of every root's Secret.
        edited: resourceVersions that the test itself wrote.
        apart: targets that were meshes of their own.
    """

    waits: Waits
    targets: dict[str, Sequence[Published]]
    roots: Sequence[Version]
    edited: frozenset[str]
    apart: frozenset[str] = frozenset()

    def violations(self) -> list[str]:
        """Return every broken invariant, as a sentence."""
        return [
            sentence
            for rule in (
                self._each_is_whole,
                self._one_step_at_a_time,
                self._published_before_use,
                self._kept_until_unused,
                self._every_pair_shakes_hands,
                self._lifetimes_nest,
                self._nothing_repeats,
                self._no_key_is_destroyed_early,
            )
            for sentence in rule()
        ]

    @property
    def _all(self) -> list[Published]:
        return sorted((each for target in self.targets.values() for each in target), key=lambda each: each.seen)

    def _each_is_whole(self) -> Iterator[str]:
        """4: the four files of one version match each other, in Istio's form. 8: they begin in the past."""
        for each in self._all:
            if set(each.files) != FILES:
                yield f"4: {each} has the files {sorted(each.files)}"
                continue
            key = load_pem_private_key(each.files["ca-key.pem"], None)
            if key.public_key() != each.signer.public_key():
                yield f"4: {each}: ca-key.pem is not the key of ca-cert.pem"
            elif not each.accepts(each, each.seen):
                yield f"4: {each}: a leaf made with its key does not validate against its own bundle"
            for certificate in (each.signer, *each.roots):
                if certificate.not_valid_before_utc > each.seen - SKEW and not _is_given(certificate):
                    yield f"8: {each}: {certificate.subject.rfc4514_string()} begins {certificate.not_valid_before_utc}"

    def _one_step_at_a_time(self) -> Iterator[str]:
        """2: a bundle only grows or shrinks, in one piece, and never together with a change of the signer.

        But where somebody overwrote both: then what was lost is made anew, under the root that signed before.
        """
        for before, after in self._steps():
            old, new = before.files["root-cert.pem"], after.files["root-cert.pem"]
            if old not in new and new not in old:
                yield f"2: from {before} to {after}: neither root-cert.pem is a piece of the other"
            is_put_back = self._is_edited_between(before, after) and before.issuer == after.issuer
            if old != new and before.signer != after.signer and not is_put_back:
                yield f"2: from {before} to {after}: the bundle and the signer changed in one write"

    def _is_edited_between(self, before: Published, after: Published) -> bool:
        return any(int(before.version.number) < int(edit) < int(after.version.number) for edit in self.edited)

    def _published_before_use(self) -> Iterator[str]:
        """5: before a root signs anywhere, every bundle has held it for D + T."""
        for first in self._first_under_each_root():
            for target, versions in self.targets.items():
                earlier = [each for each in versions if each.seen < first.seen]
                since = _held_since(earlier, first.issuer)
                if not earlier or not self._meet(target, first.target):
                    continue  # a target that came later has no workloads yet
                if since is None or self._is_sooner(since, first, self.waits.overlap):
                    yield f"5: {first} signs under a root that {target} holds since {since or 'never'}"

    def _kept_until_unused(self) -> Iterator[str]:
        """6: a root leaves a bundle only D + T after the last version that signed under it, anywhere, was replaced."""
        for before, after in self._steps():
            for root in set(before.roots) - set(after.roots):
                if root.not_valid_after_utc < after.seen:
                    continue
                for last, successor in self._steps():
                    was_signing = last.issuer == root != successor.issuer and last.seen < after.seen
                    if was_signing and self._is_sooner(successor, after, self.waits.overlap):
                        yield f"6: {after} dropped the root that signed until {successor}"

    def _every_pair_shakes_hands(self) -> Iterator[str]:
        """1: whatever certificate and whatever bundle two workloads may hold at one time, they accept one another."""
        lives = [(each, each.written, self._outlived(each)) for each in self._all]
        for holder, born, gone in lives:
            for peer, made, ended in lives:
                at = max(born, made) + timedelta(seconds=1)
                if not self._meet(holder.target, peer.target):
                    continue
                if at <= min(gone, ended) and at < peer.signer.not_valid_after_utc and not holder.accepts(peer, at):
                    yield f"1: a workload with the bundle of {holder} refuses one with a certificate of {peer}"

    def _outlived(self, each: Published) -> datetime:
        """When no workload has anything of this version any more: D + T after the next one was written."""
        later = [other for other in self.targets[each.target] if other.seen > each.seen]
        return later[0].written + self.waits.overlap if later else datetime.max.replace(tzinfo=UTC)

    def _lifetimes_nest(self) -> Iterator[str]:
        """7: a signer lies within its root's life, and is replaced while no leaf of it can have outlived it."""
        for each in self._all:
            root = each.issuer
            if each.signer.not_valid_after_utc > root.not_valid_after_utc:
                yield f"7: {each}: its signer outlives its root"
            if each.signer.not_valid_before_utc < root.not_valid_before_utc:
                yield f"7: {each}: its signer is older than its root"
        for before, after in self._steps():
            if (
                before.signer != after.signer
                and after.written_by + self.waits.overlap > before.signer.not_valid_after_utc
            ):
                yield f"7: {after} came too late: the signer before it ends {before.signer.not_valid_after_utc}"

    def _nothing_repeats(self) -> Iterator[str]:
        """9: no name and no serial number with two keys; revisions only rise."""
        seen: dict[object, object] = {}
        for each in self._all:
            for certificate in (each.signer, *each.roots):
                key = certificate.public_key()
                for name in (certificate.subject, (certificate.issuer, certificate.serial_number)):
                    if seen.setdefault(name, key) != key:
                        yield f"9: {each}: {name} was used with another key before"
        revisions = [int(root.labels["meshca.io/revision"]) for root in self.created_roots]
        if revisions != sorted(set(revisions)):
            yield f"9: the revisions of the roots, as they were made: {revisions}"

    def _no_key_is_destroyed_early(self) -> Iterator[str]:
        """10: a root's key is destroyed D after the last bundle dropped it, and never while something is under it."""
        for version in self.roots:
            if not version.is_deleted or version.number in self.edited:
                continue
            root = x509.load_pem_x509_certificate(b64decode(version.obj["data"]["tls.crt"]))
            for target, versions in self.targets.items():
                earlier = [each for each in versions if each.seen < version.seen_at]
                if earlier and root in earlier[-1].roots:
                    yield f"10: {version.key[2]} was destroyed while {target} still held it"
                elif earlier and version.seen_at + SLACK < earlier[-1].written_by + self.waits.propagation:
                    yield f"10: {version.key[2]} was destroyed before the istiod of {target} had loaded {earlier[-1]}"

    # --- What the rules are made of -------------------------------------------

    @property
    def created_roots(self) -> list[Version]:
        """The first version of every root's Secret, in order; what a person restored was not made."""
        firsts: dict[str, Version] = {}
        restored = {each.obj["metadata"]["uid"] for each in self.roots if self._is_restored(each)}
        for version in self.roots:
            if not version.is_deleted and version.obj["metadata"]["uid"] not in restored:
                firsts.setdefault(version.obj["metadata"]["uid"], version)
        return list(firsts.values())

    def _is_restored(self, version: Version) -> bool:
        meta = version.obj["metadata"]
        return version.number in self.edited and any(e.get("manager") == "backup" for e in meta["managedFields"])

    def _steps(self) -> Iterator[tuple[Published, Published]]:
        for versions in self.targets.values():
            yield from pairwise(versions)

    def _first_under_each_root(self) -> Iterator[Published]:
        """The first version under each root but the first."""
        roots: list[x509.Certificate] = []
        for each in self._all:
            if each.issuer not in roots:
                if roots:
                    yield each
                roots.append(each.issuer)

    def _meet(self, target: str, other: str) -> bool:
        """Tell whether workloads of two targets met from the beginning."""
        return target == other or not {target, other} & self.apart

    def _is_sooner(self, before: Published, after: Published, wait: timedelta) -> bool:
        is_sooner_by_stamps = after.written - before.written < wait
        return is_sooner_by_stamps or after.seen - before.written_by + SLACK < wait


def _held_since(versions: Sequence[Published], root: x509.Certificate) -> Published | None:
    """The version from which on a root was held without a break; None: it is not held."""
    since = None
    for each in reversed(versions):
        if root not in each.roots:
            break
        since = each
    return since


def _is_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_given(certificate: x509.Certificate) -> bool:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return any(str(name.value).startswith("given") for name in names)
