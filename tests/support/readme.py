"""The README's settings tables, written from the settings themselves: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from bytespike_edge.settings import EdgeSettings
from bytespike_ledger.settings import LedgerSettings
from bytespike_media.settings import MediaSettings
from bytespike_runtime.settings import ServiceSettings, settings_table
from bytespike_text.settings import TextSettings

__all__ = ["README", "SETTINGS", "readme_with_settings", "settings_markdown"]

README = Path(__file__).parents[2] / "README.md"
SETTINGS: dict[str, type[ServiceSettings]] = {
    "edge": EdgeSettings,
    "text": TextSettings,
    "ledger": LedgerSettings,
    "media": MediaSettings,
}

_BEGIN = "<!-- settings: written by `make docs`, checked by the tests -->\n"
_END = "<!-- end of settings -->\n"
_HEAD = "| Variable | Default | |\n|---|---|---|\n"
#: Same type, default and words in every service, so shown once; ports differ.
_SHARED = ("HOST", "LOG_LEVEL", "LOG_FORMAT", "DRAIN_TIMEOUT_S")


def settings_markdown() -> str:
    """One table of what all services have in common, then one for each service."""
    shared = [
        _row(variable.replace("_EDGE_", "_*_"), kind, default, doc)
        for variable, kind, default, doc in settings_table(EdgeSettings, "edge")
        if variable.removeprefix("BYTESPIKE_EDGE_") in _SHARED
    ]
    title = "Every service (`*` = `EDGE`, `TEXT`, `LEDGER`, `MEDIA`):"
    sections = [f"{title}\n\n{_HEAD}{''.join(shared)}"]
    for service, settings in SETTINGS.items():
        prefix = f"BYTESPIKE_{service.upper()}_"
        rows = [
            _row(*entry)
            for entry in settings_table(settings, service)
            if entry[0].removeprefix(prefix) not in _SHARED
        ]
        sections.append(f"`python -m bytespike_{service}`:\n\n{_HEAD}{''.join(rows)}")
    return "\n".join(sections)


def readme_with_settings() -> str:
    """The README as it should be; equal to the file unless somebody changed a setting."""
    before, _, rest = README.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{settings_markdown()}\n{_END}{after}"


def _row(variable: str, kind: str, default: str, doc: str) -> str:
    kind = "" if kind == "text" else f" ({kind.replace('|', 'or')})"
    return f"| `{variable}` | {default} | {doc}{kind} |\n"


if __name__ == "__main__":
    README.write_text(readme_with_settings())
