"""Each named point of the source is one where a test kills a process, and each change has one."""

import re
from pathlib import Path

from imagesvc.domain import state
from tests.crash import (
    test_adoption,
    test_backup,
    test_baremetal,
    test_bin,
    test_bucket,
    test_capture,
    test_catalog,
    test_copy,
    test_copy_part,
    test_encryption,
    test_failure,
    test_foreign,
    test_import,
    test_operation,
    test_ova,
    test_rebuild,
    test_region,
    test_scrub,
    test_tus,
    test_upload,
    test_volume,
    test_whole_capture,
)
from tests.driver import test_qemu_attach, test_syslog_audit_sink, test_webhook_audit_sink
from tests.driver.test_aws_kms_encryption import TestAwsKmsEncryption as AwsKms
from tests.driver.test_file_mirror import TestMirroredFileStorage as Mirrored
from tests.driver.test_local_backup import TestLocalBackup as Backup
from tests.driver.test_local_baremetal import Local as Baremetal
from tests.driver.test_local_encryption import TestLocalEncryption as Encryption
from tests.driver.test_local_volume import TestLocalVolume as Volume
from tests.driver.test_qemu_compute import TestQemuCompute as Qemu
from tests.driver.test_vault_encryption import TestVaultEncryption as Vault
from tests.peer.test_barbican_driver import TestBarbicanEncryption as Barbican
from tests.peer.test_cinder_driver import TestCinderVolume as Cinder
from tests.peer.test_ironic_driver import TestIronicBaremetal as Ironic
from tests.peer.test_nova_compute import TestNovaCompute as Nova

ROOT = Path(__file__).parent.parent.parent
POINT = re.compile(r"\bcrashpoint\(\"([a-z._]+)\"\)")
TESTED = {
    *test_bin.POINTS,
    *test_bucket.CONVERT_POINTS,
    *test_bucket.PUBLISH_POINTS,
    *test_capture.CAPTURE_POINTS,
    *test_capture.CREATE_POINTS,
    *test_catalog.NEEDED,
    *test_catalog.NEEDLESS,
    *test_catalog.PRUNING,
    *test_copy.POINTS,
    *test_copy_part.POINTS,
    *test_encryption.REWRAP_POINTS,
    *test_failure.UNWIND_POINTS,
    *test_failure.REAPER_POINTS,
    *test_failure.GIVE_UP_POINTS,
    *test_import.STAGE_POINTS,
    *test_import.IMPORT_POINTS,
    *test_import.FETCH_POINTS,
    *test_import.CONSULT_POINTS,
    *test_foreign.LINK_POINTS,
    "stage.rested",
    *test_operation.POINTS,
    *test_ova.POINTS,
    *test_ova.MORE_POINTS,
    *test_region.SOURCE_POINTS,
    *test_region.API_POINTS,
    *test_region.TARGET_POINTS,
    *test_region.UNDO_POINTS,
    *test_scrub.COPY_POINTS,
    *test_tus.CREATE_POINTS,
    *test_tus.PATCH_POINTS,
    *test_tus.COUNTED_POINTS,
    *test_tus.JOIN_POINTS,
    *test_tus.EXPIRY_POINTS,
    *test_upload.BEFORE,
    "upload.activated",
    *Mirrored.crashpoints,
    *Qemu.CREATE_CRASH_POINTS,
    *Qemu.SNAPSHOT_CRASH_POINTS,
    *Qemu.REBUILD_CRASH_POINTS,
    *test_rebuild.POINTS,
    *test_whole_capture.POINTS,
    *test_qemu_attach.POINTS,
    *test_backup.KEEP_POINTS,
    *test_backup.RESTORE_POINTS,
    *test_backup.DELETE_POINTS,
    *Backup.PREPARE_CRASH_POINTS,
    *Backup.FINISH_CRASH_POINTS,
    *test_encryption.REWRAP_POINTS,
    *Encryption.CREATE_CRASH_POINTS,
    *Encryption.ROTATE_CRASH_POINTS,
    *AwsKms.CREATE_CRASH_POINTS,
    *Barbican.CREATE_CRASH_POINTS,
    *Barbican.ROTATE_CRASH_POINTS,
    *Vault.CREATE_CRASH_POINTS,
    *Vault.ROTATE_CRASH_POINTS,
    *test_baremetal.DEPLOY_POINTS,
    *test_baremetal.UNDEPLOY_POINTS,
    *test_volume.CREATE_POINTS,
    *test_volume.CAPTURE_POINTS,
    *Volume.CREATE_CRASH_POINTS,
    *Baremetal.DEPLOY_CRASH_POINTS,
    *Baremetal.UNDEPLOY_CRASH_POINTS,
    *Baremetal.SNAPSHOT_CRASH_POINTS,
    *Volume.SNAPSHOT_CRASH_POINTS,
    *Volume.CONNECT_CRASH_POINTS,
    *test_adoption.POINTS,
    *Nova.CREATE_CRASH_POINTS,
    *Nova.SNAPSHOT_CRASH_POINTS,
    *Cinder.CREATE_CRASH_POINTS,
    *Cinder.SNAPSHOT_CRASH_POINTS,
    *Cinder.CONNECT_CRASH_POINTS,
    *Ironic.DEPLOY_CRASH_POINTS,
    *Ironic.UNDEPLOY_CRASH_POINTS,
    *test_syslog_audit_sink.TestTcp.crashpoints,
    *test_webhook_audit_sink.TestWebhook.crashpoints,
}
# The first point after the commit of each transition, one for each way that leads to it.
# A transition that no code makes yet has none; its first use must name one here.
AFTER = {
    ("image", "upload"): {"upload.begun"},
    ("image", "upload_done"): {"upload.activated"},
    ("image", "upload_failed"): {"upload.given_up", "reaper.upload_ended"},
    ("image", "stage"): {"stage.begun", "upload.created", "region_image.created"},
    ("image", "stage_failed"): {
        "upload.given_up",
        "reaper.upload_ended",
        "reaper.upload_expired",
        "operation.committed",
    },
    ("image", "import"): {"operation.committed", "upload.part_counted"},
    ("image", "make"): {"operation.committed"},
    ("image", "import_done"): {
        "step.activate.done",
        "step.spread.told",
        "step.conclude.done",
        "step.reveal.done",
    },
    ("image", "link"): {"operation.committed", "step.link.done"},
    ("image", "import_failed"): {"operation.committed", "job.ended"},
    ("image", "import_returned"): {"job.ended"},
    ("image", "job_failed"): {"operation.committed", "job.ended"},
    ("image", "revive"): {"operation.committed"},
    ("image", "deactivate"): {"operation.committed", "job.ended"},
    ("image", "reactivate"): {"operation.committed"},
    ("image", "delete"): {"operation.committed"},
    ("image", "bin"): {"operation.committed"},
    ("image", "undo"): {"operation.committed"},
    ("image", "undo_deactivated"): {"operation.committed"},
    ("image", "purge"): {"purge.forgotten"},
    ("member", "accept"): {"operation.committed"},
    ("member", "reject"): {"operation.committed"},
    ("member", "reconsider"): {"operation.committed"},
    ("job", "claim"): {"job.claimed"},
    ("job", "park"): {"job.parked"},
    ("job", "finish"): {"job.finished"},
    ("job", "fail"): {"job.ended"},
    ("job", "die"): {"job.ended"},
    ("job", "cancel"): {"operation.committed", "job.ended"},
    ("job", "retry"): {"operation.committed"},
}


def sources():
    """The source files by their path."""
    return {
        path.relative_to(ROOT): path.read_text("utf-8")
        for folder in ("imagesvc", "imagesvc_drivers")
        for path in (ROOT / folder).rglob("*.py")
    }


def test_every_crash_point_has_a_test_that_kills_there():
    assert {name for text in sources().values() for name in POINT.findall(text)} == TESTED


def test_every_transition_has_a_crash_point_after_it():
    machines = (state.IMAGE, state.MEMBER, state.JOB)
    assert {(one.noun, row.event) for one in machines for row in one.rows} == set(AFTER)
    assert set().union(*AFTER.values()) <= TESTED


def test_a_transition_without_a_crash_point_is_not_made_by_any_code():
    table = Path("imagesvc/domain/state.py")
    for event in sorted(event for (_, event), after in AFTER.items() if not after):
        assert [path for path, text in sources().items()
                if f'"{event}"' in text and path != table] == []  # fmt: skip
