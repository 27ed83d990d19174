"""Identity drivers that each break one promise; all else is as in the embedded one."""

import dataclasses
import datetime

from imagesvc.interface import errors, identity
from imagesvc_drivers.identity.local import LocalIdentity

Capability = identity.IdentityCapability


class Guest(LocalIdentity):
    def authenticate(self, request):
        if not request.headers.get("x-auth-token"):
            return identity.Identity("guest", "guest", None, None, None, frozenset(), False)
        return super().authenticate(request)


class TwoLines(LocalIdentity):
    def challenge(self):
        return 'Basic realm="a"\r\nX-More: b'


class Unclaimed(LocalIdentity):
    """Does what it does not promise."""

    def info(self):
        return dataclasses.replace(super().info(), capabilities=frozenset({Capability.LOGIN}))


class Boastful(LocalIdentity):
    """Promises access keys, and has none."""

    def info(self):
        return dataclasses.replace(super().info(), capabilities=frozenset(Capability))


class Administrator(LocalIdentity):
    """Everybody is one."""

    def login(self, *args, **options):
        login = super().login(*args, **options)
        return dataclasses.replace(
            login, identity=dataclasses.replace(login.identity, is_admin=True)
        )


class IdsOnly(LocalIdentity):
    def login(self, user, password, scope, *, domain=""):
        if domain:
            raise identity.Unauthenticated("Names are not known here.")
        return super().login(user, password, scope, domain=domain)


class Telling(LocalIdentity):
    """Tells users from strangers."""

    def login(self, user, password, scope, *, domain=""):
        with self._file.read() as conn:
            known = conn.execute("SELECT 1 FROM user WHERE ? IN (id, name)", (user,)).fetchone()
        if not known:
            raise identity.Unauthenticated("There is no such user.")
        return super().login(user, password, scope, domain=domain)


class Shown(LocalIdentity):
    @dataclasses.dataclass(frozen=True)
    class Login(identity.Login):
        def __repr__(self):
            return f"Login({self.token})"

    def login(self, *args, **options):
        made = super().login(*args, **options)
        return self.Login(made.token, made.identity, made.issued_at)


class OwnList(LocalIdentity):
    """Keeps its revocations to itself."""

    def revoke(self, token):
        self.__dict__.setdefault("ended", set()).add(token)

    def authenticate(self, request):
        if request.headers.get("x-auth-token") in self.__dict__.get("ended", ()):
            raise identity.Unauthenticated("It has ended.")
        return super().authenticate(request)


class RevokeOnce(LocalIdentity):
    def revoke(self, token):
        self.describe(token)
        super().revoke(token)


class Prolonging(LocalIdentity):
    def rescope(self, token, scope):
        made = super().rescope(token, scope)
        later = made.identity.expires_at + datetime.timedelta(hours=1)
        return dataclasses.replace(
            made, identity=dataclasses.replace(made.identity, expires_at=later)
        )


class Unsorted(LocalIdentity):
    def list_projects(self, user_id=None):
        return super().list_projects(user_id)[::-1]


class EveryProject(LocalIdentity):
    def list_projects(self, user_id=None):
        return super().list_projects()


class Inventive(LocalIdentity):
    """Has a key for whoever asks."""

    def info(self):
        return dataclasses.replace(super().info(), capabilities=frozenset(Capability))

    def access_key(self, access_key_id):
        return identity.AccessKey(access_key_id, "secret", "user")


class Keys(Inventive):
    """Sound: knows one key."""

    def access_key(self, access_key_id):
        if access_key_id != "known":
            raise errors.NotFound("There is no such key.")
        return identity.AccessKey("known", "secret", "user")


class Everywhere(LocalIdentity):
    """Has an image service in every region, for everybody."""

    def info(self):
        return dataclasses.replace(super().info(), capabilities=frozenset({Capability.CATALOG}))

    def endpoint(self, token, service_type, *, region, interface):
        return "http://image.example"


class Catalog(Everywhere):
    """Sound: has one, for one token."""

    def endpoint(self, token, service_type, *, region, interface):
        if token != "known":
            raise identity.Unauthenticated("The token is not valid.")
        if (service_type, region, interface) != ("image", "near", "public"):
            raise errors.NotFound("There is no such endpoint.")
        return super().endpoint(token, service_type, region=region, interface=interface)
