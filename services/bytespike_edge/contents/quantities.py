"""How much of everything that is not text a request holds: the words the four readers share.

Media in a body are base64, whose length bounds what is in them; media elsewhere have no size here.
Each constant says where it comes from.
"""

from __future__ import annotations

import msgspec

__all__ = ["CacheControl", "Contents"]

#: The densest pages seen: a page of plain prose, compressed. Scans are twenty times larger.
BYTES_PER_PAGE = 3_000
#: A document given by reference has no size here; the vendor takes at most this many pages.
MAX_PAGES = 100
#: Speech codecs of telephones go down to six kilobits a second; music and podcasts start at eight
#: times that.
AUDIO_BYTES_PER_S = 750
#: Slides that hardly move, at the lowest rate video platforms serve.
VIDEO_BYTES_PER_S = 6_000
#: What Google takes at most; one unless told otherwise.
MAX_FRAMES_PER_S = 24.0
#: The vendor pauses a turn after ten server-side steps, so ten searches where no limit is given.
DEFAULT_SEARCHES = 10

#: Longer than any media type with parameters; what comes later is data.
_DATA_URL_HEAD_BYTES = 256

_decode_text = msgspec.json.Decoder(str).decode


class CacheControl(msgspec.Struct, gc=False):
    """A prompt-cache breakpoint."""

    ttl: str | None = None


class Contents:
    """What a body holds besides text."""

    # Defaults of the class, because most bodies hold none of it: nothing is set for those.
    cache_5m = False
    cache_1h = False
    #: Bytes that are base64, not text.
    media_bytes = 0
    images = 0
    #: Images to be looked at in their full resolution.
    large_images = 0
    pages = 0
    audio_s = 0
    #: With the sound that belongs to each.
    video_frames = 0
    #: Something whose size cannot be known here: it may fill the whole context.
    unmeasured = False
    tools = False
    #: Tools the vendor has designed and the client runs; they come with instructions of their own.
    known_tools = 0
    searches = 0
    #: Steps of other tools that the vendor runs by itself.
    lookups = 0

    @classmethod
    def unreadable(cls, *, tools: bool) -> Contents:
        """The dearest a body can be that declares ``tools`` or none."""
        contents = cls()
        contents.cache_5m = contents.cache_1h = contents.unmeasured = True
        if tools:
            contents.tools = True
            contents.searches = DEFAULT_SEARCHES
        return contents

    def add_cache(self, control: CacheControl | None) -> None:
        """A breakpoint, if there is one."""
        if control is not None:
            self.cache_5m = True
            self.cache_1h = self.cache_1h or control.ttl == "1h"

    def add_image(self, encoded_bytes: int = 0, *, large: bool = False) -> None:
        """A picture; ``encoded_bytes`` of it are in the body."""
        self.media_bytes += encoded_bytes
        if large:
            self.large_images += 1
        else:
            self.images += 1

    def add_pages(self, encoded_bytes: int) -> None:
        """A document that is billed by the page; 0 bytes = it is somewhere else."""
        self.media_bytes += encoded_bytes
        pages = -(-encoded_bytes * 3 // 4 // BYTES_PER_PAGE)  # base64: three bytes in four
        self.pages += min(MAX_PAGES, max(1, pages)) if encoded_bytes else MAX_PAGES

    def add_media(
        self, media_type: str, encoded_bytes: int, *, large: bool = False, frames_per_s: float = 1
    ) -> None:
        """Something in base64 that says what it is. Text stays text: its base64 is longer than it
        is. Whatever else vendors unpack (an office document) may hold any amount of text.
        """
        kind = media_type.partition(";")[0].strip().lower()
        if kind.startswith("image/"):
            self.add_image(encoded_bytes, large=large)
        elif kind == "application/pdf":
            self.add_pages(encoded_bytes)
        elif kind.startswith("audio/"):
            self.add_audio(encoded_bytes)
        elif kind.startswith("video/"):
            self.media_bytes += encoded_bytes
            seconds = _ratio(encoded_bytes * 3, 4 * VIDEO_BYTES_PER_S)
            pace = max(1.0, min(MAX_FRAMES_PER_S, frames_per_s))
            self.video_frames += 1 + int(seconds * pace)
        elif not kind.startswith("text/") and kind != "application/json":
            self.unmeasured = True

    def add_audio(self, encoded_bytes: int) -> None:
        """Sound in base64."""
        self.media_bytes += encoded_bytes
        # A second more, since the shortest sounds are rounded up.
        self.audio_s += 1 + _ratio(encoded_bytes * 3, 4 * AUDIO_BYTES_PER_S)

    def add_reference(self, media_type: str) -> None:
        """Something the vendor has or fetches."""
        kind = media_type.partition(";")[0].strip().lower()
        if kind.startswith("image/"):
            self.add_image()
        elif kind == "application/pdf":
            self.add_pages(0)
        else:
            self.unmeasured = True

    def add_url(self, url: msgspec.Raw, *, large: bool = False) -> None:
        """A picture's URL, which may hold the picture, or anything else that says what it is."""
        media_type = _data_url(url)
        if media_type is None:
            self.add_image(large=large)
        else:
            self.add_media(media_type, len(memoryview(url)), large=large)

    def add_file(self, data: msgspec.Raw) -> None:
        """A document as OpenAI's clients write it: a data URL, or bare base64, which is taken for a
        PDF, the one kind of file every model reads.
        """
        media_type = _data_url(data)
        if media_type is None:
            head = bytes(memoryview(data)[:_DATA_URL_HEAD_BYTES])
            if head[:1] != b'"' or b":" in head or b"\\" in head:
                self.add_pages(0)  # it is somewhere else, or not what it seems
                return
            media_type = "application/pdf"
        self.add_media(media_type, len(memoryview(data)))


def _ratio(amount: int, unit: int) -> int:
    """How many units hold ``amount``."""
    return -(-amount // unit)


def _data_url(raw: msgspec.Raw) -> str | None:
    """The media type of a base64 data URL, given as undecoded JSON; None if it is none."""
    head = bytes(memoryview(raw)[:_DATA_URL_HEAD_BYTES]).partition(b",")
    if not head[1]:
        return None
    try:
        text = _decode_text(head[0] + b'"')
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    scheme, _, media_type = text.partition(":")
    if scheme.lower() != "data" or not media_type.lower().endswith(";base64"):
        return None
    return media_type[: -len(";base64")]
