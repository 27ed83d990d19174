"""The transaction that publishes, on each engine."""

from imagesvc.domain.image_query import ImageQuery
from tests.catalog_folder import Folder
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.test_catalog import ADMIN


def test_one_image_of_a_family_is_in_the_list(service, tmp_path, work):
    folder = Folder(tmp_path / "catalog")
    for build in "12":
        folder.put("alpine", build)
        (job,) = service.catalog.families.sync(ADMIN)
        work()
        ended = service.jobs.get(ADMIN, job.id)
        assert (ended.state, ended.error_text) == ("done", None)
        (image,) = service.images.list(CALLER, ImageQuery()).images
        assert image.id == job.image_id
    service.catalog.families.rollback(ADMIN, "alpine")
    (image,) = service.images.list(CALLER, ImageQuery()).images
    assert image.properties["image_build"] == "1"
