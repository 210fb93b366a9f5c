"""Mesh: kubelets, istiods and workloads together, fed with versions of Secret `cacerts`."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from demo.background import alongside
from demo.mesh.certificates import find_root, fingerprint, now
from demo.mesh.istiod import Istiod, KeyCertBundle, RefusedError
from demo.mesh.kubelet import Files, Kubelet
from demo.mesh.ledger import Ledger
from demo.mesh.report import Holder, Report
from demo.mesh.workload import RENEWAL_RATIO, Workload

SECRET = "Secret"


@dataclass(frozen=True)
class Settings:
    """How large and how slow the mesh is."""

    istiods: int = 2
    workloads: int = 6
    leaf_ttl: timedelta = timedelta(seconds=6)
    """What each workload asks for; the MeshCA's workload.maxCertificateDuration must not be less."""
    kubelet_delay: tuple[float, float] = (0.5, 1.5)
    """Seconds from a Secret's change to its mount; the MeshCA's rotation.propagationDelay must not be less."""
    handshakes_per_second: float = 300.0
    """The most that all workloads together attempt."""
    multi_root: bool = True
    """ISTIO_MULTIROOT_MESH on every istiod."""


class Mesh:
    """Give it every version of the Secret by `secret_changed`; read `ledger`, `istiods` or `report()` at any time."""

    def __init__(self, settings: Settings | None = None, own_ca: KeyCertBundle | None = None) -> None:
        self.settings = settings or Settings()
        self.ledger = Ledger()
        self.istiods = [
            Istiod(f"istiod-{n}", multi_root=self.settings.multi_root, own_ca=own_ca)
            for n in range(1, self.settings.istiods + 1)
        ]
        self.workloads = [
            Workload(f"app-{n}", self.istiods, self.ledger, self.settings.leaf_ttl)
            for n in range(1, self.settings.workloads + 1)
        ]
        self._kubelets = [Kubelet(istiod.files_changed, self.settings.kubelet_delay) for istiod in self.istiods]
        self._secret = Holder(SECRET)

    def secret_changed(self, files: Files) -> None:
        """Hand a version of the Secret (decoded data; empty when it is deleted) to every kubelet."""
        self._secret = _secret_holder(files)
        for kubelet in self._kubelets:
            kubelet.secret_changed(files)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Mesh"]:
        """Run until the block ends; an error in any part of the mesh comes up then."""
        try:
            async with alongside(*self._lives()):
                yield self
        finally:
            for kubelet in self._kubelets:
                kubelet.stop()
            for workload in self.workloads:
                workload.close()

    def _lives(self) -> Iterator[Coroutine[Any, Any, None]]:
        renewals_apart = self.settings.leaf_ttl.total_seconds() * RENEWAL_RATIO / len(self.workloads)
        for index, workload in enumerate(self.workloads):
            yield workload.renew_forever(start_after=index * renewals_apart)
            yield workload.serve_forever()
            yield self._call_forever(workload)

    async def _call_forever(self, workload: Workload) -> None:
        others = [other for other in self.workloads if other is not workload]
        interval = len(self.workloads) / self.settings.handshakes_per_second
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            await workload.call(random.choice(others))
            await asyncio.sleep(max(0.0, started + interval - clock()))

    def report(self) -> Report:
        """What everyone holds at this moment, and all handshakes so far."""
        return Report(
            at=now().timestamp(),
            secret=self._secret,
            istiods=[_istiod_holder(istiod) for istiod in self.istiods],
            workloads=[_workload_holder(workload) for workload in self.workloads],
            refusals=[f"{istiod.name}: {refusal}" for istiod in self.istiods for refusal in istiod.refusals],
            made=self.ledger.made,
            failed=self.ledger.failed,
            failures=list(self.ledger.failures),
            meetings=[(root, bundle, count) for (root, bundle), count in self.ledger.meetings.items()],
        )


def _secret_holder(files: Files) -> Holder:
    try:
        return _bundle_holder(SECRET, KeyCertBundle.load(files, now()))
    except RefusedError:
        return Holder(SECRET)


def _istiod_holder(istiod: Istiod) -> Holder:
    return _bundle_holder(istiod.name, istiod.loaded) if istiod.loaded else Holder(istiod.name)


def _bundle_holder(name: str, bundle: KeyCertBundle) -> Holder:
    root = find_root(bundle.signer, bundle.chain, bundle.roots, now())
    return Holder(
        name,
        root=fingerprint(root) if root else "",
        intermediate=fingerprint(bundle.signer),
        bundle=tuple(map(fingerprint, bundle.roots)),
    )


def _workload_holder(workload: Workload) -> Holder:
    credentials = workload.credentials
    return (
        Holder(workload.name, root=credentials.root, bundle=credentials.bundle)
        if credentials
        else Holder(workload.name)
    )
