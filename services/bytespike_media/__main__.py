"""Starts the media service: ``python -m bytespike_media``."""

from bytespike_media.app import amain
from bytespike_media.settings import MediaSettings
from bytespike_runtime.service import main

main("media", MediaSettings, amain)
