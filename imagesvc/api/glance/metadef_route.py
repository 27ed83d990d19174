"""The paths of metadata definitions in the Glance dialect."""

from typing import Any

from imagesvc.api.glance import (
    metadef_namespace,
    metadef_object,
    metadef_property,
    metadef_resource_type,
    metadef_schema,
    metadef_tag,
    schema,
)


def table(service: Any) -> list[tuple[str, Any]]:
    """Path template -> resource."""
    namespaces, types = service.metadef_namespaces, service.metadef_resource_types
    objects, properties = service.metadef_objects, service.metadef_properties
    tags = service.metadef_tags
    one = "/v2/metadefs/namespaces/{namespace}"
    return [
        ("/v2/metadefs/namespaces", metadef_namespace.MetadefNamespacesResource(namespaces)),
        (one, metadef_namespace.MetadefNamespaceResource(namespaces)),
        (f"{one}/objects", metadef_object.MetadefObjectsResource(objects)),
        (f"{one}/objects/{{name}}", metadef_object.MetadefObjectResource(objects)),
        (f"{one}/properties", metadef_property.MetadefPropertiesResource(properties)),
        (f"{one}/properties/{{name}}", metadef_property.MetadefPropertyResource(properties)),
        (f"{one}/tags", metadef_tag.MetadefTagsResource(tags)),
        (f"{one}/tags/{{name}}", metadef_tag.MetadefTagResource(tags)),
        (f"{one}/resource_types", metadef_resource_type.MetadefAssociationsResource(types)),
        (f"{one}/resource_types/{{name}}", metadef_resource_type.MetadefAssociationResource(types)),
        ("/v2/metadefs/resource_types", metadef_resource_type.MetadefResourceTypesResource(types)),
        *(
            (f"/v2/schemas/metadefs/{name}", schema.SchemaResource(found))
            for name, found in metadef_schema.SCHEMAS.items()
        ),
    ]
