"""Errors that a driver may raise; anything else that escapes is a bug of the driver."""


class DriverError(Exception):
    """A driver could not do what was asked.

    `user_message` may be read by the caller of the API; `operator_message` goes to the log.
    Neither holds a secret. `retryable` says that the same call may go through later.
    """

    retryable = False

    def __init__(
        self,
        user_message: str,
        operator_message: str = "",
        *,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(user_message)
        self.user_message = user_message
        self.operator_message = operator_message or user_message
        if retryable is not None:
            self.retryable = retryable


class NotFound(DriverError):
    """The thing named does not exist, or not for this project."""


class AlreadyExists(DriverError):
    """The name is taken by something else."""


class AccessDenied(DriverError):
    """The backend refuses the service's or the caller's credentials."""


class NoSpace(DriverError):
    """The backend is full."""


class Busy(DriverError):
    """The thing is in use; the call would disturb it."""


class Unavailable(DriverError):
    """The backend cannot be reached or does not answer rightly just now."""

    retryable = True


class Timeout(DriverError):
    """The backend did not answer in time; the effect is unknown."""

    retryable = True


class Discarded(DriverError):
    """What was written so far was removed before its commit; write it anew, under another key."""

    retryable = True


class IntegrityError(DriverError):
    """Bytes or a sealed value are not what they were."""


class KeyUnavailable(DriverError):
    """The key of the KMS is disabled or pending deletion: it opens and wraps nothing."""


class NotSupported(DriverError):
    """The driver does not have this capability."""


class InvalidConfiguration(DriverError):
    """An option of the backend's section is missing or wrong."""


class InvalidArgument(DriverError):
    """An argument is out of the documented range."""
