"""The rule table: action -> who. The same names stand in the audit trail."""

from oslo_policy import policy

_ADMIN = "role:admin"
_OWNER = "role:admin or (role:member and project_id:%(owner)s)"
_OWN_READER = "role:admin or (role:reader and project_id:%(owner)s)"
_READER = "role:reader or role:service"
_MEMBER = "role:member or role:service"
# A service that sends its own token beside its user's: it counts for what that user sees.
_SENT = "service_roles:service"
_SERVICE = f"role:admin or role:service or {_SENT}"
_ADDER = (
    "role:admin or role:service or (role:member and project_id:%(owner)s) "
    f"or ({_SENT} and project_id:%(owner)s)"
)
_RECEIVER = "role:admin or (role:member and project_id:%(member_id)s)"

_TABLE = (
    # action                who      what it allows
    ("image:list", _READER, "List images that the caller sees."),
    ("image:get", _READER, "Show an image that the caller sees."),
    ("image:create", _OWNER, "Make an image record."),
    ("image:update", _OWNER, "Change attributes, properties and tags of an image."),
    ("image:publicize", _ADMIN, "Make an image public."),
    ("image:communitize", _OWNER, "Make an image visible to all who know its id."),
    ("image:set_owner", _ADMIN, "Give an image to another project."),
    ("image:impact", _OWNER, "Ask what uses an image."),
    ("image:explain", _OWNER, "Ask why a project can or cannot see or use an image."),
    ("image:delete", _OWNER, "Delete an image."),
    ("catalog:list", _ADMIN, "List the catalog's families, and read its lock file."),
    ("catalog:plan", _ADMIN, "Ask what a sync of the catalog would do."),
    ("catalog:sync", _ADMIN, "Take what is new in the catalog, and publish it."),
    ("catalog:rollback", _ADMIN, "Make the former image of a family the newest again."),
    ("catalog:prune", _ADMIN, "Delete old images of the catalog that nothing needs."),
    ("catalog:verify", _ADMIN, "Verify images of the catalog."),
    ("os_version:list", _READER, "List the systems that images may have."),
    ("image:promise", _OWNER, "Promise until when an image is provided, or promise it for longer."),
    (
        "image:break_promise",
        _ADMIN,
        "Delete an image before its promise ends, or shorten the promise, with a reason.",
    ),
    ("image:deactivate", _OWNER, "Stop the use of an image's bytes."),
    ("image:reactivate", _OWNER, "Allow the use of an image's bytes again."),
    ("bin:list", _READER, "List deleted images of the caller's project that can come back."),
    ("bin:get", _OWN_READER, "Show a deleted image that can come back."),
    ("bin:undo", _OWNER, "Take a deleted image back out of the bin."),
    ("bin:purge", _OWNER, "Remove a deleted image from the bin for good."),
    ("family:list", _READER, "List the families that the caller sees."),
    ("family:get", _READER, "Show a family that the caller sees."),
    ("family:set", _OWNER, "Say which image is the newest of a family."),
    ("family:rollback", _OWNER, "Make the image before it the newest of a family again."),
    ("family:unset", _OWNER, "Let versions say which image is the newest of a family."),
    ("image_file:upload", _OWNER, "Send the bytes of an image."),
    ("image_file:stage", _OWNER, "Send the bytes of an image for an import."),
    ("upload:create", _OWNER, "Begin a resumable upload of an image's bytes."),
    ("upload:list", _READER, "List resumable uploads of the caller's project."),
    ("upload:get", _READER, "Ask how far a resumable upload of the caller's project is."),
    ("upload:write", _MEMBER, "Send bytes of a resumable upload of the caller's project."),
    ("upload:delete", _MEMBER, "Give up a resumable upload of the caller's project."),
    ("image_import:start", _OWNER, "Import the bytes of an image."),
    ("image_import:create", _OWNER, "Make an image from a URL or an object in a bucket."),
    ("image_import:copy", _ADMIN, "Copy an active image into further stores."),
    ("image_file:download", _MEMBER, "Read the bytes of an image."),
    ("image_file:download_deactivated", _ADMIN, "Read the bytes of a deactivated image."),
    ("store:list", _READER, "List the stores."),
    ("store:list_details", _SERVICE, "List the stores with their weight and options."),
    ("location:list", _SERVICE, "List the places of an image's bytes."),
    ("location:add", _ADDER, "Import the bytes of an image from the URL of a location."),
    ("location:remove", _ADMIN, "Remove an image from one of several stores."),
    ("task:list_for_image", _READER, "List the imports of an image that the caller sees."),
    ("task:create", _ADMIN, "Make an image from a URL as a task."),
    ("task:list", _ADMIN, "List the imports of all projects."),
    ("task:get", _ADMIN, "Show an import of any project."),
    ("tag:add", _OWNER, "Add a tag."),
    ("tag:remove", _OWNER, "Remove a tag."),
    ("key:list", _READER, "List the keys of the caller's project in the KMS."),
    ("key:get", _READER, "Show a key of the caller's project."),
    ("key:create", _MEMBER, "Make a key for the caller's project."),
    ("key:enable", _MEMBER, "Let a key of the caller's project open images again."),
    ("key:disable", _MEMBER, "Let a key of the caller's project open no image."),
    ("key:rotate", _MEMBER, "Make a new version of a key of the caller's project."),
    ("key:set_default", _MEMBER, "Choose the default key of the caller's project."),
    ("member:list", _READER, "List the projects that an image is shared with."),
    ("member:get", _READER, "Show one project that an image is shared with."),
    ("member:add", _OWNER, "Offer an image to a project."),
    ("member:remove", _OWNER, "Withdraw an offer."),
    ("member:set_status", _RECEIVER, "Accept or reject an offered image."),
    (
        "capture:create",
        _MEMBER,
        "Make an image from a server, a volume, a node or a backup of the caller's project.",
    ),
    ("image:copy", _MEMBER, "Copy an image that the caller may read."),
    ("export:create", _MEMBER, "Write an image that the caller may read into a bucket."),
    ("region:list", _READER, "List the other regions that images may be copied to."),
    ("region_copy:create", _MEMBER, "Copy an image that the caller may read into another region."),
    ("agency:list", _READER, "List the agencies of the caller's project."),
    ("agency:get", _READER, "Show an agency of the caller's project."),
    ("agency:create", _MEMBER, "Let a project of another region put images into the caller's."),
    ("agency:delete", _MEMBER, "End an agency of the caller's project."),
    ("agency:act", "role:service", "Work for a project by an agency, as another region's service."),
    ("region_image:create", _MEMBER, "Begin an image that comes from another region."),
    ("region_image:get", _MEMBER, "Ask how far an image is that comes from another region."),
    ("region_image:delete", _MEMBER, "Take an image back that came from another region."),
    ("object_store:list", _READER, "List the object stores of the caller's project."),
    ("object_store:get", _READER, "Show an object store of the caller's project."),
    ("object_store:create", _MEMBER, "Keep a key to an object store for the caller's project."),
    ("object_store:update", _MEMBER, "Change an object store of the caller's project."),
    ("object_store:delete", _MEMBER, "Forget an object store of the caller's project."),
    ("server:list", _READER, "List servers of the caller's project."),
    ("server:get", _READER, "Show a server of the caller's project."),
    ("server:create", _MEMBER, "Create servers from an image."),
    ("server:rebuild", _MEMBER, "Give servers a new system disk from an image."),
    ("server:start", _MEMBER, "Start a server."),
    ("server:stop", _MEMBER, "Stop a server."),
    ("server:delete", _MEMBER, "Delete a server."),
    ("server:read_console", _MEMBER, "Read the serial console of a server."),
    ("server:write_console", _MEMBER, "Type on the serial console of a server."),
    ("volume:list", _READER, "List volumes of the caller's project."),
    ("volume:get", _READER, "Show a volume of the caller's project."),
    ("volume:create", _MEMBER, "Create volumes, empty or from an image."),
    ("volume:delete", _MEMBER, "Delete a volume."),
    ("volume:attach", _MEMBER, "Attach a volume to a server."),
    ("volume:detach", _MEMBER, "Detach a volume from a server."),
    ("backup:list", _READER, "List backups of the caller's project."),
    ("backup:get", _READER, "Show a backup of the caller's project."),
    ("backup:create", _MEMBER, "Back a server up."),
    ("backup:delete", _MEMBER, "Delete a backup."),
    ("backup:restore", _MEMBER, "Make a server of a backup; needs server:create too."),
    ("node:list", _READER, "List the bare-metal nodes that the caller's project may use."),
    ("node:get", _READER, "Show a bare-metal node that the caller's project may use."),
    ("node:deploy", _MEMBER, "Write an image to the disk of a bare-metal node."),
    ("node:undeploy", _MEMBER, "Erase the disk of a bare-metal node and free the node."),
    ("job:list", _READER, "List jobs of the caller's project."),
    ("job:get", _READER, "Show a job of the caller's project."),
    ("job:cancel", _MEMBER, "Cancel a job."),
    ("job:retry", _MEMBER, "Run a failed job again."),
    ("audit:list", _READER, "Read the audit trail of one's own actions and images."),
    ("audit:list_all", _ADMIN, "Read the audit trail of every project."),
    ("quota:get", _OWN_READER, "Read limits and use of one's own project."),
    ("quota:set", _ADMIN, "Set the limits of a project."),
    # Named as in Glance, whose operators have these names in their policy files.
    ("get_metadef_namespaces", _READER, "List namespaces of metadata definitions."),
    ("get_metadef_namespace", _READER, "Show a namespace with all that is in it."),
    ("add_metadef_namespace", _ADMIN, "Make a namespace, with all that is in it."),
    ("modify_metadef_namespace", _ADMIN, "Change the plain fields of a namespace."),
    ("delete_metadef_namespace", _ADMIN, "Delete a namespace, or all of one kind in it."),
    ("list_metadef_resource_types", _READER, "List resource types, and those of a namespace."),
    ("add_metadef_resource_type_association", _ADMIN, "Associate a namespace with a type."),
    ("remove_metadef_resource_type_association", _ADMIN, "End such an association."),
    ("get_metadef_objects", _READER, "List the objects of a namespace."),
    ("get_metadef_object", _READER, "Show an object."),
    ("add_metadef_object", _ADMIN, "Add an object."),
    ("modify_metadef_object", _ADMIN, "Change an object."),
    ("delete_metadef_object", _ADMIN, "Delete an object."),
    ("get_metadef_properties", _READER, "List the properties of a namespace."),
    ("get_metadef_property", _READER, "Show a property."),
    ("add_metadef_property", _ADMIN, "Add a property."),
    ("modify_metadef_property", _ADMIN, "Change a property."),
    ("remove_metadef_property", _ADMIN, "Delete a property."),
    ("get_metadef_tags", _READER, "List the tags of a namespace."),
    ("get_metadef_tag", _READER, "Show a tag of a namespace."),
    ("add_metadef_tag", _ADMIN, "Add a tag to a namespace."),
    ("add_metadef_tags", _ADMIN, "Add tags to a namespace, or replace all of them."),
    ("modify_metadef_tag", _ADMIN, "Rename a tag of a namespace."),
    ("delete_metadef_tag", _ADMIN, "Delete a tag of a namespace."),
    ("delete_metadef_tags", _ADMIN, "Delete all tags of a namespace."),
    ("backend:list", _ADMIN, "List configured backends."),
    ("health:get", _ADMIN, "Read the health of every backend."),
)

ACTIONS = frozenset(action for action, _, _ in _TABLE)


def list_rules() -> list[policy.RuleDefault]:
    """The defaults, for the enforcer and the sample generator."""
    return [
        policy.DocumentedRuleDefault(
            name=action, check_str=who, description=what, operations=[{"path": "*", "method": "*"}]
        )
        for action, who, what in _TABLE
    ]
