"""Converters that each break one promise; all else is as in that of qemu-img."""

import contextlib
import dataclasses
import io
import shutil
import time

from imagesvc.interface import converter, errors
from imagesvc_drivers.converter.qemu_img import QemuImgConverter

Capability = converter.ConverterCapability


class Trusting(QemuImgConverter):
    def probe(self, source, *, limits=None):
        with contextlib.suppress(converter.UnsafeImage):
            return super().probe(source, limits=limits)
        return converter.FormatInfo(source.disk_format, 1, 1)

    def check(self, source, *, limits=None):
        return self.probe(source, limits=limits)


class HeaderOnly(QemuImgConverter):
    def check(self, source, *, limits=None):
        return self.probe(source, limits=limits)


class Guessing(QemuImgConverter):
    """Takes any name for raw."""

    def probe(self, source, *, limits=None):
        known = {name for name, _ in self.formats()}
        name = source.disk_format if source.disk_format in known else "raw"
        return super().probe(dataclasses.replace(source, disk_format=name), limits=limits)


class Believing(QemuImgConverter):
    """Takes the name of a loader for its machine, and its presence for a system."""

    def facts(self, source, *, limits=None):
        found = super().facts(source, limits=limits)
        return dataclasses.replace(found, architecture="x86_64" if found.firmware else None)


class Assuming(QemuImgConverter):
    """Says of every disk what most are."""

    def facts(self, source, *, limits=None):
        found = super().facts(source, limits=limits)
        return dataclasses.replace(found, os_type=found.os_type or "linux")


class Strict(QemuImgConverter):
    """Says that a look took too long."""

    def facts(self, source, *, limits=None):
        raise errors.Timeout("The look took too long.")


class Unclaimed(QemuImgConverter):
    def info(self):
        return dataclasses.replace(super().info(), capabilities=frozenset())


class Foreign(QemuImgConverter):
    """Tells its tool's numbers for the caller's."""

    def probe(self, source, *, limits=None):
        return dataclasses.replace(super().probe(source, limits=limits), virtual_size_bytes=1)


class Copying(QemuImgConverter):
    """Its products are copies, whatever is asked for."""

    def convert(self, source, target, target_format, *, progress, cancel, limits, variant=""):
        shutil.copy(source.path, target)
        with target.open("r+b") as file:
            file.write(b"changed")


class Overwriting(QemuImgConverter):
    def convert(self, source, target, target_format, **options):
        target.unlink(missing_ok=True)
        return super().convert(source, target, target_format, **options)


class Leaving(QemuImgConverter):
    def convert(self, source, target, target_format, **options):
        try:
            return super().convert(source, target, target_format, **options)
        except errors.DriverError:
            target.write_bytes(b"half")
            raise


class Silent(QemuImgConverter):
    def convert(self, source, target, target_format, *, progress, cancel, limits, variant=""):
        return super().convert(
            source, target, target_format,
            progress=lambda done, total: progress(done, total + 1), cancel=cancel, limits=limits,
        )  # fmt: skip


class Spoiling(QemuImgConverter):
    """Takes the source away, and puts it back at the end."""

    def convert(self, source, target, target_format, **options):
        aside = source.path.rename(source.path.with_suffix(".aside"))
        try:
            moved = dataclasses.replace(source, path=aside)
            return super().convert(moved, target, target_format, **options)
        finally:
            aside.rename(source.path)


class Indifferent(QemuImgConverter):
    """Takes any word for a variant."""

    def convert(self, source, target, target_format, *, variant="", **options):
        return super().convert(source, target, target_format, **options)


class Optimistic(QemuImgConverter):
    def measure(self, source, target_format, *, limits=None):
        return super().measure(source, target_format, limits=limits) // 1000


class Verbatim(QemuImgConverter):
    """Streams the file as it lies there."""

    def open_raw(self, source, *, limits):
        return source.path.open("rb")


class Clinging(QemuImgConverter):
    """Is in no hurry to end."""

    def open_raw(self, source, *, limits):
        inner = super().open_raw(source, limits=limits)

        class Slow(io.RawIOBase):
            def readable(self):
                return True

            def readinto(self, buffer):
                return inner.readinto(buffer)

            def close(self):
                if not self.closed:
                    inner.close()
                    time.sleep(2.6)
                super().close()

        return Slow()


class Empty(QemuImgConverter):
    """Gives nothing instead of a refusal."""

    def open_raw(self, source, *, limits):
        with contextlib.suppress(errors.DriverError):
            return super().open_raw(source, limits=limits)
        return io.BytesIO()
