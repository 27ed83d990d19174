"""Encryption drivers that each break one promise; all else is as in `local`."""

import base64
import dataclasses
import json
import logging
import time
import uuid

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import base, errors
from imagesvc.interface.encryption import DataKey, EncryptionCapability
from imagesvc_drivers.client import key_name
from imagesvc_drivers.encryption import local_file
from imagesvc_drivers.encryption.local import LocalEncryption

LOG = logging.getLogger(__name__)


class Nameless(LocalEncryption):
    def describe_key(self, key_id):
        return dataclasses.replace(super().describe_key(key_id), name="")


class FreshIds(LocalEncryption):
    """Forgets the token."""

    def create_key(self, project_id, name, *, request_token):
        return super().create_key(project_id, name, request_token=uuid.uuid4().hex)


class OneTokenForAll(LocalEncryption):
    """Gives a project the key of another one that used the same token."""

    def create_key(self, project_id, name, *, request_token):
        key_id = key_name.id_of("", request_token)
        with self._file.changing() as keys:
            keys.setdefault(key_id, local_file.new(project_id, name))
        return self.describe_key(key_id)


class OneProject(LocalEncryption):
    """Shows everybody all keys."""

    def list_keys(self, project_id):
        found = (key.info for key in self._file.read().values())
        return tuple(sorted(found, key=lambda one: one.id))


class Unsorted(LocalEncryption):
    def list_keys(self, project_id):
        return super().list_keys(project_id)[::-1]


class Obliging(LocalEncryption):
    """Makes a key where it is asked for one that is not there."""

    def wrap_data_key(self, key_id, plain, *, context):
        with self._file.changing() as keys:
            keys.setdefault(key_id, local_file.new("conformance", ""))
        return super().wrap_data_key(key_id, plain, context=context)


class OpensDisabled(LocalEncryption):
    def decrypt_data_key(self, key_id, wrapped, *, context):
        return self._unwrap(self._find(key_id), wrapped, context)


class WrapsDisabled(LocalEncryption):
    def wrap_data_key(self, key_id, plain, *, context):
        return self._wrap(self._find(key_id), plain, context)


class Remembers(LocalEncryption):
    """Reads the file again after its own changes alone."""

    def open(self):
        super().open()
        self._read_again()

    def create_key(self, project_id, name, *, request_token):
        key_id = key_name.id_of(project_id, request_token)
        with self._file.changing() as keys:
            keys.setdefault(key_id, local_file.new(project_id, name))
        self._read_again()
        return self.describe_key(key_id)

    def _read_again(self):
        known = local_file.KeyFile.read(self._file)
        self._file.read = lambda: known


class RemembersKeys(LocalEncryption):
    """Looks a key up once before it is used."""

    def _usable(self, key_id):
        known = self.__dict__.setdefault("_known", {})
        if key_id not in known:
            known[key_id] = super()._usable(key_id)
        return known[key_id]


class Forgets(LocalEncryption):
    """A new version takes the place of the older ones."""

    def rotate_key(self, key_id):
        with self._file.changing() as keys:
            versions = keys[key_id]["versions"]
            keys[key_id]["versions"] = [local_file.fresh_version() for _ in (*versions, 0)]
        return self.describe_key(key_id)


class LastWriter(LocalEncryption):
    """Writes back what it has read a moment ago, without a lock."""

    def create_key(self, project_id, name, *, request_token):
        key_id = key_name.id_of(project_id, request_token)
        keys = json.loads(self._file._path.read_text())["keys"]
        if key_id not in keys:
            time.sleep(0.5)
            self._file._write(keys | {key_id: local_file.new(project_id, name)})
        return self.describe_key(key_id)


class MadeOnce(LocalEncryption):
    def create_key(self, project_id, name, *, request_token):
        if key_name.id_of(project_id, request_token) in self._file.read():
            raise errors.AlreadyExists("It is there.")
        return super().create_key(project_id, name, request_token=request_token)


class TornRotation(LocalEncryption):
    """The old versions are away for a moment."""

    def rotate_key(self, key_id):
        with self._file.changing() as keys:
            old = keys[key_id]["versions"]
            keys[key_id]["versions"] = [local_file.fresh_version()]
        crashpoint("encryption.local.rotated")
        with self._file.changing() as keys:
            keys[key_id]["versions"] = old + keys[key_id]["versions"]
        return self.describe_key(key_id)


class OneDataKey(LocalEncryption):
    def generate_data_key(self, key_id, *, context):
        return super().wrap_data_key(key_id, b"x" * 32, context=context)


class AnyLength(LocalEncryption):
    def wrap_data_key(self, key_id, plain, *, context):
        return super().wrap_data_key(key_id, plain[:32].ljust(32), context=context)


class NoContext(LocalEncryption):
    def _wrap(self, key, plain, context):
        return super()._wrap(key, plain, {})

    def _unwrap(self, key, wrapped, context):
        return super()._unwrap(key, wrapped, {})


class JoinedContext(LocalEncryption):
    """Two contexts have one encoding."""

    def _wrap(self, key, plain, context):
        return super()._wrap(key, plain, _joined(context))

    def _unwrap(self, key, wrapped, context):
        return super()._unwrap(key, wrapped, _joined(context))


class OrderedContext(LocalEncryption):
    """One context has two encodings."""

    def _wrap(self, key, plain, context):
        return super()._wrap(key, plain, {"all": json.dumps(context)})

    def _unwrap(self, key, wrapped, context):
        return super()._unwrap(key, wrapped, {"all": json.dumps(context)})


def _joined(context):
    return {"all": ",".join(f"{name}={value}" for name, value in sorted(context.items()))}


class OneKey(LocalEncryption):
    """All keys are the first one."""

    def _wrap(self, key, plain, context):
        return super()._wrap(self._first(), plain, context)

    def _unwrap(self, key, wrapped, context):
        return super()._unwrap(self._first(), wrapped, context)

    def _first(self):
        return next(iter(self._file.read().values()))


class Trailing(LocalEncryption):
    """Passes over what comes behind."""

    def decrypt_data_key(self, key_id, wrapped, *, context):
        return super().decrypt_data_key(key_id, wrapped[:65], context=context)


class Unsealed(LocalEncryption):
    """One byte is bound to nothing."""

    def _wrap(self, key, plain, context):
        made = super()._wrap(key, plain, context)
        return DataKey(made.plain, b"\0" + made.wrapped, made.version)

    def _unwrap(self, key, wrapped, context):
        return super()._unwrap(key, wrapped[1:], context)


class StaysBehind(LocalEncryption):
    def rewrap(self, key_id, wrapped, *, context):
        opened = self.decrypt_data_key(key_id, wrapped, context=context)
        return wrapped, opened.version


class OldContext(LocalEncryption):
    def reencrypt(self, key_id, wrapped, new_key_id, *, context, new_context):
        return super().reencrypt(key_id, wrapped, new_key_id, context=context, new_context=context)


class Talkative(LocalEncryption):
    def generate_data_key(self, key_id, *, context):
        made = super().generate_data_key(key_id, context=context)
        LOG.debug("made %s", base64.b64encode(made.plain))
        return made


class Blabs(LocalEncryption):
    """Its error shows what it was given."""

    def wrap_data_key(self, key_id, plain, *, context):
        if len(plain) != 32:
            raise errors.InvalidArgument("No data key.", f"no data key: {plain!r}")
        return super().wrap_data_key(key_id, plain, context=context)


class Muddled(LocalEncryption):
    """Its threads write where others read."""

    def _wrap(self, key, plain, context):
        self._context = context
        time.sleep(0.01)
        return super()._wrap(key, plain, self._context)


class Silent(LocalEncryption):
    """Does what it does not promise to do."""

    def info(self):
        promised = super().info()
        fewer = promised.capabilities - {EncryptionCapability.ROTATE_KEY}
        return base.DriverInfo(promised.name, promised.vendor, promised.version, fewer)
