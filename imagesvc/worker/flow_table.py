"""JobType -> steps: the whole map of long work."""

from imagesvc.domain.job import JobType
from imagesvc.worker.flow import Flow
from imagesvc.worker.step.activate import Activate
from imagesvc.worker.step.assemble import Assemble
from imagesvc.worker.step.cleanup import DeleteSnapshot
from imagesvc.worker.step.conclude import Conclude
from imagesvc.worker.step.confirm import Confirm
from imagesvc.worker.step.consult import Consult
from imagesvc.worker.step.convert import Convert
from imagesvc.worker.step.copy import Copy
from imagesvc.worker.step.delete_backup import DeleteBackup
from imagesvc.worker.step.divide import Divide
from imagesvc.worker.step.fetch import Fetch
from imagesvc.worker.step.gather import Gather
from imagesvc.worker.step.inspect import Inspect
from imagesvc.worker.step.introduce import Introduce
from imagesvc.worker.step.join import Join
from imagesvc.worker.step.keep_backup import KeepBackup
from imagesvc.worker.step.link import Link
from imagesvc.worker.step.order_backup import OrderBackup
from imagesvc.worker.step.provision import CreateServers
from imagesvc.worker.step.provision_node import DeployNode, UndeployNode
from imagesvc.worker.step.provision_volume import CreateVolumes
from imagesvc.worker.step.prune import Prune
from imagesvc.worker.step.publish import Publish
from imagesvc.worker.step.purge import Purge
from imagesvc.worker.step.rebuild import RebuildServers
from imagesvc.worker.step.release import ConvertRelease, FetchRelease, Release, SpreadRelease
from imagesvc.worker.step.resolve import Resolve
from imagesvc.worker.step.restore_backup import RestoreServer
from imagesvc.worker.step.reveal import Reveal
from imagesvc.worker.step.rewrap_keys import RewrapKeys
from imagesvc.worker.step.rewrite import Rewrite
from imagesvc.worker.step.snapshot import Snapshot
from imagesvc.worker.step.spread import Spread
from imagesvc.worker.step.store import Store
from imagesvc.worker.step.transfer import Transfer
from imagesvc.worker.step.verify import Verify
from imagesvc.worker.step.verify_release import VerifyRelease

_CAPTURE: Flow = (Snapshot(), Store(), Verify(), Activate(), DeleteSnapshot())

FLOWS: dict[str, Flow] = {
    JobType.CAPTURE_SYSTEM_DISK: _CAPTURE,
    JobType.CAPTURE_DATA_DISKS: _CAPTURE,
    JobType.CAPTURE_WHOLE_MACHINE: _CAPTURE,
    JobType.CREATE_SERVERS: (CreateServers(),),
    JobType.REBUILD_SERVERS: (RebuildServers(),),
    JobType.IMPORT_STAGED: (Inspect(), Convert(), Spread(), Conclude()),
    JobType.IMPORT_URL: (Fetch(), Convert(), Spread(), Conclude()),
    JobType.IMPORT_LOCATION: (Fetch(), Convert(), Spread(), Conclude()),
    JobType.IMPORT_REMOTE: (Consult(), Fetch(), Convert(), Spread(), Conclude()),
    JobType.IMPORT_TASK: (Fetch(), Convert(), Spread(), Conclude()),
    JobType.CREATE_FROM_URL: (Fetch(), Convert(), Spread(), Conclude()),
    JobType.CREATE_FROM_BUCKET: (Fetch(), Convert(), Spread(), Conclude()),
    JobType.EXPORT_IMAGE: (Publish(),),
    JobType.COPY_IMAGE: (Spread(), Conclude()),
    JobType.IMPORT_UPLOAD: (Join(), Convert(), Spread(), Conclude()),
    JobType.CREATE_VOLUMES: (CreateVolumes(),),
    JobType.CAPTURE_VOLUME: (Snapshot(), Store(), Verify(), Activate(), DeleteSnapshot()),
    JobType.DEPLOY_NODE: (DeployNode(),),
    JobType.UNDEPLOY_NODE: (UndeployNode(),),
    JobType.CAPTURE_NODE: (Snapshot(), Store(), Verify(), Activate(), DeleteSnapshot()),
    JobType.CREATE_BACKUP: (Snapshot(), KeepBackup(), DeleteSnapshot(), OrderBackup()),
    JobType.DELETE_BACKUP: (DeleteBackup(),),
    JobType.RESTORE_BACKUP: (RestoreServer(),),
    JobType.CAPTURE_BACKUP: (Store(), Verify(), Activate()),
    JobType.CREATE_FROM_OVA: (Divide(), Rewrite(), Assemble()),
    JobType.IMPORT_OVA: (Divide(), Rewrite(), Assemble()),
    JobType.LINK_LOCATION: (Link(),),
    JobType.COPY_FOREIGN: (Fetch(), Spread(), Conclude()),
    JobType.COPY: (Copy(), Reveal()),
    JobType.REWRAP_KEYS: (RewrapKeys(),),
    JobType.COPY_TO_REGION: (Introduce(), Transfer(), Confirm()),
    JobType.RECEIVE_IMAGE: (Gather(), Assemble()),
    JobType.SYNC_CATALOG: (
        Resolve(),
        FetchRelease(),
        ConvertRelease(),
        SpreadRelease(),
        Release(),
        Prune(),
    ),
    JobType.VERIFY_CATALOG: (VerifyRelease(),),
    JobType.PURGE_IMAGE: (Purge(),),
}
