"""The errors of this package. Each carries the Reason that people see and a sentence that says what to do.

A message never holds a private key or any part of one: errors end in logs,
Events and status.
"""

from meshca.names import Reason


class MeshCAError(Exception):
    """Something that a person, or the next pass, must deal with.

    Attributes:
        reason: the constant for conditions, Events and metrics.
        message: one sentence, naming the object and the remedy.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SpecError(MeshCAError):
    """A spec that cannot be carried out; the message begins with the field's path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(Reason.INVALID_SPEC, f"{field}: {message}")
        self.field = field


class PKIError(MeshCAError):
    """A certificate, key or bundle that cannot be used."""


class StoreError(MeshCAError):
    """The API server refused, failed or could not be reached."""

    def __init__(self, reason: Reason, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(reason, message)
        self.status = status
        self.retry_after = retry_after


class ConflictError(StoreError):
    """The object changed since it was read: observe again and re-plan."""
