"""What the contract itself promises."""

import importlib
import inspect
import pkgutil

import pytest

import imagesvc.interface
from imagesvc.interface import base, errors, identity, image_source, operation, storage

MODULES = [
    importlib.import_module(f"imagesvc.interface.{item.name}")
    for item in pkgutil.iter_modules(imagesvc.interface.__path__)
]
CLASSES = [
    found
    for module in MODULES
    for _, found in inspect.getmembers(module, inspect.isclass)
    if found.__module__ == module.__name__
]


@pytest.mark.parametrize("key", ["a", "a/b", "A.b_c-1", "...", ".part", "k" * 255])
def test_a_good_key_is_given_back(key):
    assert storage.check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/..", "a b", "a\n", "é", "k" * 256]
)
def test_a_bad_key_is_refused(key):
    with pytest.raises(errors.InvalidArgument):
        storage.check_key(key)


@pytest.mark.parametrize("found", CLASSES, ids=lambda found: found.__name__)
def test_every_class_and_method_is_explained(found):
    assert inspect.getdoc(found)
    for name, method in vars(found).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            assert method.__doc__, f"{found.__name__}.{name}"


def test_an_error_has_two_texts():
    error = errors.Unavailable("for the user", "for the operator")
    assert (str(error), error.user_message) == ("for the user", "for the user")
    assert error.operator_message == "for the operator"
    assert errors.NotFound("one").operator_message == "one"


def test_only_passing_faults_are_retryable_unless_said():
    retryable = {
        found for found in CLASSES if issubclass(found, errors.DriverError) and found.retryable
    }
    assert retryable == {errors.Unavailable, errors.Timeout, errors.Discarded}
    assert errors.AccessDenied("x", retryable=True).retryable
    assert not errors.Timeout("x", retryable=False).retryable


@pytest.mark.parametrize("state", list(operation.ProgressState))
def test_work_is_done_in_every_state_but_running(state):
    assert operation.Progress(state).done is (state is not operation.ProgressState.RUNNING)


def test_secrets_are_not_shown():
    who = identity.Identity("u", "u", None, None, None, frozenset(), False)
    shown = [
        identity.Login("hunter2", who, None),
        identity.AccessKey("ak", "hunter2", "u"),
        identity.AuthRequest("GET", "/", {"x-auth-token": "hunter2"}),
        image_source.ImageSource("i", 0, "raw", 1, 1, "", "http://x/hunter2"),
    ]
    for item in shown:
        assert "hunter2" not in repr(item)


def test_optional_methods_say_not_supported():
    class Bare(identity.IdentityDriver):
        contract = base.Version(1, 0)

        def info(self):
            return base.DriverInfo("bare", "test", "1")

        def health(self):
            return base.Health(base.HealthState.OK)

        def authenticate(self, request):
            raise NotImplementedError

        def challenge(self):
            return "Bare"

    driver = Bare(None, backend_id="x")
    driver.open()
    driver.close()
    for call in (driver.list_projects, lambda: driver.revoke("t"), lambda: driver.access_key("k")):
        with pytest.raises(errors.NotSupported):
            call()


def test_a_version_reads_as_a_number():
    assert str(base.Version(1, 2)) == "1.2"
