"""An identity driver whose tokens say whom they stand for: `user/project/role,role`.

The door's tests need many callers with exact roles; the embedded identity has its own tests.
"""

from imagesvc.interface import base, identity


class TokenIdentity(identity.IdentityDriver):
    """Believes every token of the right form."""

    contract = identity.VERSION

    def info(self):
        """No capabilities."""
        return base.DriverInfo("token", "test", "1")

    def health(self):
        """Always there."""
        return base.Health(base.HealthState.OK)

    def challenge(self):
        """As Keystone's middleware has it."""
        return 'Keystone uri="http://identity.example/v3"'

    def authenticate(self, request):
        """Read the token."""
        parts = request.headers.get("x-auth-token", "").split("/")
        if len(parts) != 3:
            raise identity.Unauthenticated("The request needs a valid token.")
        user, project, roles = parts
        held = frozenset(filter(None, roles.split(",")))
        return identity.Identity(
            user, user, project or None, project or None, "default", held, "admin" in held
        )
