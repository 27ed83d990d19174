"""The paths of the Glance dialect."""

from typing import Any

from imagesvc.api.glance import (
    image,
    image_action,
    image_file,
    member,
    metadef_route,
    schema,
    store,
    tag,
    version,
)


def table(service: Any) -> list[tuple[str, Any]]:
    """Path template -> resource."""
    images = service.images
    return [
        ("/", version.VersionsResource(service, choices=True)),
        ("/versions", version.VersionsResource(service, choices=False)),
        ("/v2/images", image.ImagesResource(images)),
        ("/v2/images/{image_id}", image.ImageResource(images)),
        (
            "/v2/images/{image_id}/file",
            image_file.ImageFileResource(service.image_files, service.backends),
        ),
        (
            "/v2/images/{image_id}/actions/deactivate",
            image_action.ImageActionResource(images.deactivate),
        ),
        (
            "/v2/images/{image_id}/actions/reactivate",
            image_action.ImageActionResource(images.reactivate),
        ),
        ("/v2/images/{image_id}/tags/{tag}", tag.TagResource(service.tags)),
        ("/v2/images/{image_id}/members", member.MembersResource(service.members)),
        ("/v2/images/{image_id}/members/{member_id}", member.MemberResource(service.members)),
        ("/v2/info/import", store.ImportInfoResource()),
        ("/v2/info/stores", store.StoreInfoResource()),
        *(
            (f"/v2/schemas/{name}", schema.SchemaResource(found))
            for name, found in schema.schemas(service.conf.image.disk_formats).items()
        ),
        *metadef_route.table(service),
    ]
