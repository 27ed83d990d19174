"""Laws of identity drivers; see `imagesvc.interface.identity`."""

import dataclasses
import datetime
import uuid

import pytest

from imagesvc.interface import errors, identity
from imagesvc.interface.identity import (
    AccessKey,
    AuthRequest,
    IdentityCapability,
    IdentityDriver,
    LoginScope,
    Unauthenticated,
)
from imagesvc.testing.conformance.base import DriverConformance


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """A user whom the backend knows, with a member role on `project_id` and no other."""

    user_id: str
    user_name: str
    password: str = dataclasses.field(repr=False)
    project_id: str
    project_name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL in the catalogue of whoever holds `token`."""

    token: str = dataclasses.field(repr=False)
    service_type: str
    region: str
    interface: str
    url: str


class IdentityConformance(DriverConformance):
    """Derive, give `driver`; with LOGIN or LOOKUP `person` and `foreign_project`, with
    ACCESS_KEYS `known_key`, with CATALOG `known_endpoint`.
    """

    VERSION = identity.VERSION
    CAPABILITY = IdentityCapability

    @pytest.fixture
    def person(self, driver: IdentityDriver) -> Person | None:
        """A user of the backend; None if the driver has neither LOGIN nor LOOKUP."""
        return None

    @pytest.fixture
    def foreign_project(self, driver: IdentityDriver) -> str | None:
        """Id of a project where `person` has no role."""
        return None

    @pytest.fixture
    def known_key(self, driver: IdentityDriver) -> AccessKey | None:
        """An access key that the backend knows; None if the driver has no ACCESS_KEYS."""
        return None

    @pytest.fixture
    def known_endpoint(self, driver: IdentityDriver) -> Endpoint | None:
        """An endpoint of the catalogue; None if the driver has no CATALOG."""
        return None

    def request(self, **headers: str) -> AuthRequest:
        """A request with these headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return AuthRequest("GET", "/v2/images", named, "192.0.2.1")

    def login_of(self, driver: IdentityDriver, person: Person) -> identity.Login:
        """Log in to the person's project."""
        scope = LoginScope(project_id=person.project_id)
        return driver.login(person.user_id, person.password, scope)

    @pytest.mark.parametrize(
        "headers",
        [{}, {"x_auth_token": ""}, {"x_auth_token": "x" * 5000}, {"x_auth_token": "é\0'; --"}],
    )
    def test_a_request_without_valid_credentials_is_nobody(
        self, driver: IdentityDriver, headers: dict[str, str]
    ) -> None:
        """`authenticate` raises Unauthenticated."""
        with pytest.raises(Unauthenticated):
            driver.authenticate(self.request(**headers))

    def test_the_challenge_is_one_header_value(self, driver: IdentityDriver) -> None:
        """`challenge` names a scheme and breaks no header."""
        assert driver.challenge().strip()
        assert not {"\r", "\n"} & set(driver.challenge())

    def test_what_is_not_promised_is_not_supported(self, driver: IdentityDriver) -> None:
        """NotSupported from the methods of each capability that is missing."""
        calls = {
            IdentityCapability.LOOKUP: (
                lambda: driver.find_project("x"),
                driver.list_projects,
            ),
            IdentityCapability.ACCESS_KEYS: (lambda: driver.access_key("x"),),
            IdentityCapability.CATALOG: (
                lambda: driver.endpoint("x", "image", region="x", interface="public"),
            ),
            IdentityCapability.LOGIN: (
                lambda: driver.login("x", "y", LoginScope()),
                lambda: driver.describe("x"),
                lambda: driver.rescope("x", LoginScope()),
                lambda: driver.revoke("x"),
            ),
        }
        for capability, methods in calls.items():
            if not self.has(driver, capability):
                for method in methods:
                    with pytest.raises(errors.NotSupported):
                        method()

    def test_an_access_key_is_found(
        self, driver: IdentityDriver, known_key: AccessKey | None
    ) -> None:
        """ACCESS_KEYS: in every process; NotFound for an unknown one; the secret is not shown."""
        if not self.has(driver, IdentityCapability.ACCESS_KEYS):
            return
        assert known_key is not None, "a driver with ACCESS_KEYS needs the fixture `known_key`"
        found = self.again(driver).access_key(known_key.access_key_id)
        assert found == known_key
        assert found.secret not in repr(found)
        for unknown in (f"{known_key.access_key_id}x", "", "x" * 5000, "é\0'; --"):
            with pytest.raises(errors.NotFound):
                driver.access_key(unknown)

    def test_an_endpoint_is_found(
        self, driver: IdentityDriver, known_endpoint: Endpoint | None
    ) -> None:
        """CATALOG: by type, region and interface; Unauthenticated for whoever is nobody."""
        if not self.has(driver, IdentityCapability.CATALOG):
            return
        assert known_endpoint is not None, "a driver with CATALOG needs `known_endpoint`"
        token, kind = known_endpoint.token, known_endpoint.service_type
        where = {"region": known_endpoint.region, "interface": known_endpoint.interface}
        assert driver.endpoint(token, kind, **where) == known_endpoint.url
        for wrong in ({"region": f"{where['region']}x"}, {"region": ""}, {"interface": "x"}):
            with pytest.raises(errors.NotFound):
                driver.endpoint(token, kind, **{**where, **wrong})
        with pytest.raises(errors.NotFound):
            driver.endpoint(token, f"{kind}-x", **where)
        for nobody in ("", "nonsense", "x" * 5000, "é\0'; --"):
            with pytest.raises(Unauthenticated):
                driver.endpoint(nobody, kind, **where)

    # -------------------------------------------------------------- LOGIN

    def test_a_login_gives_a_token_that_names_the_user(
        self, driver: IdentityDriver, person: Person | None
    ) -> None:
        """The token stands for user, project and roles, in every process, until it expires."""
        if not self.has(driver, IdentityCapability.LOGIN):
            return
        assert person is not None, "a driver with LOGIN needs the fixture `person`"
        login = self.login_of(driver, person)
        assert login.identity.user_id == person.user_id
        assert login.identity.project_id == person.project_id
        assert "member" in login.identity.roles
        assert not login.identity.is_admin
        now = datetime.datetime.now(datetime.UTC)
        assert login.identity.expires_at is not None
        assert login.issued_at <= now < login.identity.expires_at
        other = self.again(driver)
        assert other.authenticate(self.request(x_auth_token=login.token)) == login.identity
        assert other.describe(login.token).identity == login.identity

    def test_a_token_is_never_shown(self, driver: IdentityDriver, person: Person | None) -> None:
        """`repr` holds no secret."""
        if self.has(driver, IdentityCapability.LOGIN) and person is not None:
            login = self.login_of(driver, person)
            assert login.token not in repr(login)

    def test_names_log_in_as_ids_do(self, driver: IdentityDriver, person: Person | None) -> None:
        """User and project by name, in the default domain."""
        if not self.has(driver, IdentityCapability.LOGIN) or person is None:
            return
        scope = LoginScope(project_name=person.project_name, domain="Default")
        login = driver.login(person.user_name, person.password, scope, domain="Default")
        assert (login.identity.user_id, login.identity.project_id) == (
            person.user_id,
            person.project_id,
        )

    def test_a_login_without_scope_has_no_project(
        self, driver: IdentityDriver, person: Person | None
    ) -> None:
        """All of LoginScope None: unscoped, without roles."""
        if self.has(driver, IdentityCapability.LOGIN) and person is not None:
            login = driver.login(person.user_id, person.password, LoginScope())
            assert login.identity.project_id is None
            assert not login.identity.is_admin

    def test_every_refused_login_has_one_text(
        self, driver: IdentityDriver, person: Person | None, foreign_project: str | None
    ) -> None:
        """Unauthenticated, the same whether user, password, domain or project is wrong."""
        if not self.has(driver, IdentityCapability.LOGIN) or person is None:
            return
        own = LoginScope(project_id=person.project_id)
        tries = [
            (person.user_id, person.password + "x", own, ""),
            (person.user_id, "", own, ""),
            (person.user_id, "x" * 100_000, own, ""),
            (person.user_id, "\ud800", own, ""),
            (uuid.uuid4().hex, person.password, own, ""),
            (person.user_id, person.password, LoginScope(project_id=uuid.uuid4().hex), ""),
            (person.user_name, person.password, own, "another"),
        ]
        if foreign_project is not None:
            tries.append((person.user_id, person.password, LoginScope(foreign_project), ""))
        texts = set()
        for user, password, scope, domain in tries:
            with pytest.raises(Unauthenticated) as refused:
                driver.login(user, password, scope, domain=domain)
            texts.add((refused.value.user_message, refused.value.operator_message))
        assert len(texts) == 1

    def test_a_revoked_token_ends_at_once_everywhere(
        self, driver: IdentityDriver, person: Person | None
    ) -> None:
        """`revoke` can be repeated; other processes refuse the token at the next request."""
        if not self.has(driver, IdentityCapability.LOGIN) or person is None:
            return
        other = self.again(driver)
        login, kept = self.login_of(driver, person), self.login_of(driver, person)
        request = self.request(x_auth_token=login.token)
        other.authenticate(request)
        driver.revoke(login.token)
        driver.revoke(login.token)
        for one in (driver, other):
            with pytest.raises(Unauthenticated):
                one.authenticate(request)
            with pytest.raises(errors.NotFound):
                one.describe(login.token)
            with pytest.raises(Unauthenticated):
                one.rescope(login.token, LoginScope())
        other.authenticate(self.request(x_auth_token=kept.token))

    def test_a_rescoped_token_lives_no_longer(
        self, driver: IdentityDriver, person: Person | None, foreign_project: str | None
    ) -> None:
        """`rescope` makes another token, for a project of the user's, with the old expiry."""
        if not self.has(driver, IdentityCapability.LOGIN) or person is None:
            return
        old = driver.login(person.user_id, person.password, LoginScope())
        new = driver.rescope(old.token, LoginScope(project_id=person.project_id))
        assert new.token != old.token
        assert new.identity.project_id == person.project_id
        assert new.identity.expires_at == old.identity.expires_at
        if foreign_project is not None:
            with pytest.raises(Unauthenticated):
                driver.rescope(old.token, LoginScope(project_id=foreign_project))

    # ------------------------------------------------------------- LOOKUP

    def test_projects_are_found(
        self, driver: IdentityDriver, person: Person | None, foreign_project: str | None
    ) -> None:
        """By id and by name; a user's own; NotFound for what is unknown."""
        if not self.has(driver, IdentityCapability.LOOKUP):
            return
        assert person is not None, "a driver with LOOKUP needs the fixture `person`"
        found = driver.find_project(person.project_id)
        assert (found.project_id, found.name) == (person.project_id, person.project_name)
        assert driver.find_project(person.project_name) == found
        assert driver.list_projects(person.user_id) == [found]
        everything = driver.list_projects()
        assert found in everything
        assert [item.name for item in everything] == sorted(item.name for item in everything)
        assert foreign_project is None or foreign_project in [
            item.project_id for item in everything
        ]
        with pytest.raises(errors.NotFound):
            driver.find_project(uuid.uuid4().hex)
        assert driver.list_projects(uuid.uuid4().hex) == []
