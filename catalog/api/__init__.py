"""The catalogue over HTTP: a STAC API on stac-fastapi, whatever keeps the items."""

import logging

# It warns on import of names that `create_app` gives it afterwards.
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
