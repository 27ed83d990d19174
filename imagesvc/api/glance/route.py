"""The paths of the Glance dialect."""

from typing import Any

from imagesvc.api.glance import (
    cache,
    image,
    image_action,
    image_file,
    image_import,
    location,
    member,
    metadef_route,
    schema,
    store,
    tag,
    task,
    usage,
    version,
)
from imagesvc.api.glance.location_patch import LocationPatch
from imagesvc.api.glance.location_view import ShownLocations


def table(service: Any) -> list[tuple[str, Any]]:
    """Path template -> resource."""
    images, stores = service.images, service.backends.stores
    methods = service.imports.methods
    shown = _shown(service)
    places = LocationPatch(
        images, service.locations, service.imports, service.foreign_locations, shown
    )
    return [
        ("/", version.VersionsResource(service, choices=True)),
        ("/versions", version.VersionsResource(service, choices=False)),
        ("/v2/images", image.ImagesResource(images, stores, shown, methods)),
        (
            "/v2/images/{image_id}",
            image.ImageResource(images, service.deletions, stores, shown, places),
        ),
        (
            "/v2/images/{image_id}/file",
            image_file.ImageFileResource(service.image_files, stores),
        ),
        (
            "/v2/images/{image_id}/stage",
            image_import.ImageStageResource(service.stages, methods),
        ),
        (
            "/v2/images/{image_id}/locations",
            location.ImageLocationsResource(
                service.locations, service.imports, service.foreign_links, stores
            ),
        ),
        ("/v2/images/{image_id}/tasks", task.ImageTasksResource(service.tasks)),
        ("/v2/tasks", task.TasksResource(service.tasks)),
        ("/v2/tasks/{task_id}", task.TaskResource(service.tasks)),
        ("/v2/images/{image_id}/import", image_import.ImageImportResource(service.imports)),
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
        ("/v2/cache", cache.CacheResource()),
        ("/v2/cache/{image_id}", cache.CacheImageResource()),
        ("/v2/info/import", image_import.ImportInfoResource(methods)),
        ("/v2/info/stores", store.StoreInfoResource(service.stores)),
        ("/v2/info/stores/detail", store.StoreDetailResource(service.stores)),
        ("/v2/info/usage", usage.UsageResource(service.quotas)),
        ("/v2/stores/{store_id}/{image_id}", store.StoreImageResource(service.stores)),
        *(
            (f"/v2/schemas/{name}", schema.SchemaResource(found))
            for name, found in schema.schemas(service.conf.image.disk_formats).items()
        ),
        *metadef_route.table(service),
    ]


def _shown(service: Any) -> ShownLocations:
    return ShownLocations(
        service.locations,
        service.backends.stores,
        direct_url=service.conf.image.show_image_direct_url,
        all_=service.conf.image.show_multiple_locations,
        most=service.conf.limit.image_locations,
    )
