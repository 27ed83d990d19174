"""Every table, imported once, so that METADATA is whole."""

from imagesvc.db import (
    agency,
    audit,
    audit_seal,
    catalog,
    damage,
    default_key,
    doomed,
    family,
    foreign_location,
    image_disk,
    image_key,
    image_property,
    image_table,
    job_table,
    lease,
    member,
    metadata,
    metadef_namespace,
    metadef_object,
    metadef_property,
    metadef_resource_type,
    metadef_tag,
    object_store,
    pending,
    quota,
    region_image,
    tag,
    upload,
    upload_part,
)

METADATA = metadata.METADATA
MODULES = (
    image_table, image_property, tag, member, image_disk, damage, job_table, audit, audit_seal,
    quota, doomed, pending, lease, upload, metadef_namespace, metadef_object, metadef_property,
    metadef_resource_type, metadef_tag, upload_part, object_store, foreign_location, image_key,
    default_key, agency, region_image, family,
    catalog,
)  # fmt: skip
