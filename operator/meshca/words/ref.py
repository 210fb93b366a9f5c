"""What names an object in the cluster."""

from typing import NamedTuple

SECRETS = "secrets"
CONFIG_MAPS = "configmaps"
DEPLOYMENTS = "deployments"

_KINDS = {SECRETS: "Secret", CONFIG_MAPS: "ConfigMap", DEPLOYMENTS: "Deployment"}


class Ref(NamedTuple):
    """One object by name; its resource as in a path. No namespace: the operator's own."""

    namespace: str
    name: str
    resource: str = SECRETS

    def within(self, home: str) -> "Ref":
        """Return the same with the operator's namespace filled in."""
        return self if self.namespace else self._replace(namespace=home)

    @property
    def kind(self) -> str:
        """As in a manifest."""
        return _KINDS[self.resource]

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
