"""What a client may learn about stores and import methods."""

import falcon

from imagesvc import errors


class ImportInfoResource:
    """Import methods: none, bytes are uploaded."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them."""
        resp.media = {
            "import-methods": {
                "description": "Import methods available.",
                "type": "array",
                "value": [],
            }
        }


class StoreInfoResource:
    """Stores: clients take 404 for "one store"."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say that there is one store."""
        raise errors.NotFound("This service has one store.")
