"""The errors of this package. Each carries the Reason that people see and a sentence that says what to do.

A message never holds a private key or any part of one: errors end in logs,
Events and status.
"""

from meshca.words.reasons import Found, Reason


class MeshCAError(Exception):
    """Something that a person, or the next pass, must deal with.

    Attributes:
        reason: the constant for conditions, Events and metrics.
        message: one sentence, naming the object and the remedy.
        look_again: in how many seconds something else is due, however long the pause before the next try.
    """

    look_again: float | None = None

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class InternalError(MeshCAError):
    """A fault of this program. Names where it is and its kind, never what it choked on: that may be a key."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__(Found.INTERNAL_ERROR, f"an unexpected {_kind(fault)}; please report it, with the log")


def _kind(fault: BaseException) -> str:
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" in {trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno}" if trace is not None else ""
    return f"{type(fault).__name__}{where}"


class SpecError(MeshCAError):
    """A spec that cannot be carried out; the message begins with the field's path.

    Attributes:
        field: its path, such as `spec.targets[1].name`.
        is_unknown: True when the field is none of this version's.
    """

    def __init__(self, field: str, message: str, *, is_unknown: bool = False) -> None:
        super().__init__(Found.INVALID_SPEC, f"{field}: {message}")
        self.field = field
        self.is_unknown = is_unknown


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
