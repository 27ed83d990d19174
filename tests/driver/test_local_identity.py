"""The embedded identity: the laws of identity, and what is its own."""

import stat
import threading
import time

import pytest

from imagesvc.interface import base, errors
from imagesvc.interface.identity import LoginScope, Unauthenticated
from imagesvc.testing.conformance.identity import IdentityConformance, Person
from imagesvc_drivers.identity import password as passwords
from imagesvc_drivers.identity.local import LocalIdentity

PASSWORD = "correct horse, é"


class TestLocalIdentity(IdentityConformance):
    @pytest.fixture
    def driver(self, tmp_path):
        return self.make(LocalIdentity, path=str(tmp_path / "identity.sqlite"), failures_max=6)

    @pytest.fixture
    def person(self, driver):
        project_id = driver.create_project("demo")
        user_id = driver.create_user("alice", PASSWORD)
        driver.grant("alice", "demo", "member")
        return Person(user_id, "alice", PASSWORD, project_id, "demo")

    @pytest.fixture
    def foreign_project(self, driver):
        return driver.create_project("foreign")

    def whoami(self, driver, login):
        return driver.authenticate(self.request(x_auth_token=login.token))

    def test_ids_are_32_hex_digits(self, person):
        for one in (person.user_id, person.project_id):
            assert len(one) == 32
            assert int(one, 16) >= 0

    def test_the_file_is_for_the_service_alone_and_holds_no_secret(self, driver, person, tmp_path):
        login = self.login_of(driver, person)
        driver.close()
        for path in tmp_path.glob("identity.sqlite*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            content = path.read_bytes()
            assert PASSWORD.encode() not in content
            assert login.token.encode() not in content

    @pytest.mark.parametrize(
        ("role", "roles", "is_admin"),
        [
            ("admin", {"admin", "member", "reader"}, True),
            ("member", {"member", "reader"}, False),
            ("reader", {"reader"}, False),
            ("service", {"service"}, False),
        ],
    )
    def test_a_role_holds_the_lower_ones(self, driver, role, roles, is_admin):
        driver.create_project("p")
        driver.create_user("u", PASSWORD)
        driver.grant("u", "p", role)
        found = driver.login("u", PASSWORD, LoginScope(project_name="p")).identity
        assert (found.roles, found.is_admin) == (roles, is_admin)

    def test_an_unknown_role_user_or_project_is_refused(self, driver, person):
        with pytest.raises(errors.InvalidArgument, match="roles are"):
            driver.grant("alice", "demo", "owner")
        with pytest.raises(errors.NotFound):
            driver.grant("bob", "demo", "member")
        with pytest.raises(errors.NotFound):
            driver.grant("alice", "nowhere", "member")

    def test_a_name_is_taken_once(self, driver, person):
        with pytest.raises(errors.AlreadyExists):
            driver.create_project("demo")
        with pytest.raises(errors.AlreadyExists):
            driver.create_user("alice", "another")
        driver.grant("alice", "demo", "member")
        self.login_of(driver, person)

    @pytest.mark.parametrize("bad", ["", "x" * 1025])
    def test_an_empty_or_overlong_password_is_refused(self, driver, bad):
        with pytest.raises(errors.InvalidArgument):
            driver.create_user("u", bad)

    def test_a_withdrawn_role_ends_a_token_at_once(self, driver, person):
        login = self.login_of(driver, person)
        self.again(driver).withdraw("alice", "demo", "member")
        with pytest.raises(Unauthenticated):
            self.whoami(driver, login)

    def test_a_new_password_ends_all_tokens(self, driver, person):
        login = self.login_of(driver, person)
        self.again(driver).set_password("alice", "another")
        with pytest.raises(Unauthenticated):
            self.whoami(driver, login)
        with pytest.raises(Unauthenticated):
            self.login_of(driver, person)
        driver.login("alice", "another", LoginScope())

    def test_a_disabled_user_is_out_at_once(self, driver, person):
        login = self.login_of(driver, person)
        driver.set_user_enabled("alice", False)
        with pytest.raises(Unauthenticated):
            self.whoami(driver, login)
        with pytest.raises(Unauthenticated):
            self.login_of(driver, person)
        driver.set_user_enabled("alice", True)
        self.login_of(driver, person)

    def test_an_expired_token_is_nobody(self, driver, person, monkeypatch):
        """A mock of the clock, since a token lives a minute at least."""
        login = self.login_of(driver, person)
        moment = login.identity.expires_at.timestamp() + 1
        monkeypatch.setattr("imagesvc_drivers.identity.local.time.time", lambda: moment)
        with pytest.raises(Unauthenticated):
            self.whoami(driver, login)
        with pytest.raises(Unauthenticated):
            driver.rescope(login.token, LoginScope())

    def test_guessing_ends_after_the_allowed_failures(self, driver, person, monkeypatch):
        for _ in range(6):
            with pytest.raises(Unauthenticated):
                driver.login("alice", "guess", LoginScope())
        with pytest.raises(Unauthenticated):
            self.login_of(driver, person)
        now = time.time()
        monkeypatch.setattr("imagesvc_drivers.identity.local.time.time", lambda: now + 901)
        self.login_of(driver, person)

    def test_failures_of_one_user_do_not_touch_another(self, driver, person):
        driver.create_user("bob", PASSWORD)
        for _ in range(8):
            with pytest.raises(Unauthenticated):
                driver.login("nobody", "guess", LoginScope())
            with pytest.raises(Unauthenticated):
                driver.login("bob", "guess", LoginScope())
        self.login_of(driver, person)

    def test_an_unknown_user_costs_a_whole_hash(self, driver, person, monkeypatch):
        asked = []
        real = passwords.hashlib.scrypt

        def count(*args, **named):
            asked.append(named["n"])
            return real(*args, **named)

        monkeypatch.setattr(passwords.hashlib, "scrypt", count)
        for user in ("alice", "nobody"):
            with pytest.raises(Unauthenticated):
                driver.login(user, "guess", LoginScope())
        assert len(asked) == 2
        assert asked[0] == asked[1]

    def test_hashes_at_once_are_bounded(self, driver, person, monkeypatch):
        """More logins at once than slots: all are answered, never more than four hash."""
        lock, running, most = threading.Lock(), 0, 0
        real = passwords.hashlib.scrypt

        def watch(*args, **named):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            found = real(*args, **named)
            with lock:
                running -= 1
            return found

        monkeypatch.setattr(passwords.hashlib, "scrypt", watch)
        threads = [threading.Thread(target=self.login_of, args=(driver, person)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= most <= 4

    def test_a_file_without_users_is_degraded(self, driver, tmp_path):
        assert driver.health().state is base.HealthState.DEGRADED

    def test_a_relative_path_is_refused(self):
        with pytest.raises(errors.InvalidConfiguration, match="path"):
            self.construct(LocalIdentity, path="identity.sqlite")

    def test_a_broken_file_is_unavailable(self, tmp_path):
        path = tmp_path / "broken"
        path.write_bytes(b"no database" * 1000)
        with pytest.raises(errors.Unavailable):
            self.make(LocalIdentity, path=str(path))
