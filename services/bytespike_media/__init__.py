"""The media service: images and videos, as tasks.

It owns task rows and the work on them; it must never touch money other than by usage events.
"""
