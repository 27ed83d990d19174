"""Agencies: which project of which other region may put images into a project here."""

import dataclasses
import datetime

from imagesvc import errors

NAME_LENGTH_MAX = 255
# In which a Claim comes: source region, source project, target project, each URL-encoded.
HEADERS = ("Imagesvc-Source-Region", "Imagesvc-Source-Project", "Imagesvc-Target-Project")


@dataclasses.dataclass(frozen=True, slots=True)
class Agency:
    """The service of `source_region` may work in `project_id` for `source_project_id`.

    `project_name` is what the project was called when a member of it made the agency.
    """

    id: str
    name: str
    source_region: str
    source_project_id: str
    project_id: str
    project_name: str
    user_id: str | None
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class NewAgency:
    """What a member of the target project says."""

    name: str
    source_region: str
    source_project_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """Whom the service of another region says to work for; `project` is an id or a name here."""

    source_region: str
    source_project_id: str
    project: str

    def refusal(self) -> errors.Forbidden:
        """The error that says which agency there would have to be."""
        return errors.Forbidden(
            "No agency lets project {source} of region {region} work in project {project} here. A "
            "member of {project} makes one: imagesvc agency create --source-region {region} "
            "--source-project {source} NAME",
            source=self.source_project_id,
            region=self.source_region,
            project=self.project,
        )
