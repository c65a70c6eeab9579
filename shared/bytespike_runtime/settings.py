"""Settings: one frozen struct per service, read from environment variables and from nowhere else.

Field ``f`` of service ``edge`` comes from ``BYTESPIKE_EDGE_F``, else from ``BYTESPIKE_F`` (shared
by all services), else from its default. A :class:`Secret` may also come from the file named by the
same variable with ``_FILE`` appended. Every problem is reported at once, by variable name, and a
misspelt variable of the service is a problem too: a setting that is silently ignored is worse than
a service that does not start.
"""

from __future__ import annotations

import difflib
import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

__all__ = [
    "Port",
    "Secret",
    "ServiceSettings",
    "SettingsError",
    "load_settings",
    "settings_table",
]

_PREFIX = "BYTESPIKE_"
_FILE_SUFFIX = "_FILE"


class Secret:
    """A string that only :meth:`reveal` shows: every way to print it gives ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it."""
        return self._value

    def matches(self, candidate: str | None) -> bool:
        """Constant-time comparison with what a caller presented; None never matches.

        Digests are compared, so that not even the length shows; header bytes that are no text are
        a candidate like any other.
        """
        if candidate is None:
            return False
        return hmac.compare_digest(_digest(self._value), _digest(candidate))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service can be told. A service's own struct inherits it and gives the ports."""

    port: Annotated[Port, msgspec.Meta(description="port of the service")]
    ops_port: Annotated[
        Port, msgspec.Meta(description="port of /healthz, /readyz and /metrics; keep it private")
    ]
    host: Annotated[str, msgspec.Meta(description="address both ports listen on")] = "127.0.0.1"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], msgspec.Meta(description="least severe level")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "pretty"],
        msgspec.Meta(description="auto: pretty on a terminal, JSON lines otherwise"),
    ] = "auto"
    drain_timeout_s: Annotated[
        float,
        msgspec.Meta(ge=0, description="longest wait for requests in flight when told to stop"),
    ] = 600.0


class SettingsError(ValueError):
    """The environment is not a usable configuration; ``problems`` has one line per reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Field:
    """One field of a settings struct: its variables, its type without decoration, its words."""

    def __init__(self, info: msgspec.structs.FieldInfo, hint: Any, service: str) -> None:
        self.name = info.name
        self.hint = hint
        self.shared = f"{_PREFIX}{info.name.upper()}"
        self.own = f"{_PREFIX}{service.upper()}_{info.name.upper()}"
        self.bare, self.doc = _strip(hint)
        self.secret = self.bare is Secret
        self.many = get_origin(self.bare) is tuple
        self.required = info.required
        self.default = info.default  # factories are for mutable values; settings have none

    @property
    def variables(self) -> Iterator[str]:
        """Names that may set the field, strongest first."""
        for name in (self.own, self.shared):
            yield name
            if self.secret:
                yield name + _FILE_SUFFIX


T = TypeVar("T", bound=ServiceSettings)


def load_settings(cls: type[T], service: str, env: Mapping[str, str]) -> T:
    """Build ``cls`` from ``env``. An empty variable counts as unset.

    Raises :class:`SettingsError` listing every missing, malformed, out-of-bounds or unknown
    variable. Values of secrets never appear in it.
    """
    fields = _fields(cls, service)
    problems = _unknown_variables(fields, service, env)
    values: dict[str, Any] = {}
    for field in fields:
        try:
            found = _raw(field, env)
            if found is not None:
                values[field.name] = _convert(field, *found)
            elif field.required:
                problems.append(f"{field.own} is not set ({_type_words(field)}: {field.doc})")
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    try:
        return cls(**values)
    except ValueError as error:  # a struct's own __post_init__ relates fields to each other
        raise SettingsError([str(error)]) from error


def settings_table(cls: type[ServiceSettings], service: str) -> list[tuple[str, str, str, str]]:
    """``(variable, type, default, doc)`` per field, for ``--help`` and the documentation."""
    return [
        (
            field.own,
            _type_words(field),
            "required" if field.required else _default_words(field.default),
            field.doc,
        )
        for field in _fields(cls, service)
    ]


def _fields(cls: type[ServiceSettings], service: str) -> list[_Field]:
    hints = get_type_hints(cls, include_extras=True)
    fields = [_Field(info, hints[info.name], service) for info in msgspec.structs.fields(cls)]
    inherited = get_type_hints(ServiceSettings, include_extras=True)
    for field in fields:
        # A service that only gives a port its default need not describe the port again.
        field.doc = field.doc or _strip(inherited.get(field.name))[1]
    return fields


def _strip(hint: Any) -> tuple[Any, str]:
    """``Annotated[X | None, Meta(description=d)]`` -> ``(X, d)``."""
    doc = ""
    if get_origin(hint) is Annotated:
        for meta in hint.__metadata__:
            doc = getattr(meta, "description", None) or doc
        inner, inner_doc = _strip(hint.__origin__)
        return inner, doc or inner_doc
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        if len(members) == 1:
            return _strip(members[0])
    return hint, doc


def _unknown_variables(fields: list[_Field], service: str, env: Mapping[str, str]) -> list[str]:
    """Variables of this service that no field reads (shared ones may be meant for a neighbour)."""
    prefix = f"{_PREFIX}{service.upper()}_"
    known = [name for field in fields for name in field.variables if name.startswith(prefix)]
    problems = []
    for name in sorted(set(env).difference(known)):
        if name.startswith(prefix):
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            problems.append(f"{name} is not a setting; the nearest one is {nearest[0]}")
    return problems


def _raw(field: _Field, env: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that decides the field and its text, or None if none is set."""
    for variable in field.variables:
        text = env.get(variable, "")
        if not text:
            continue
        if variable.endswith(_FILE_SUFFIX) and field.secret:
            return variable, _read_secret(variable, text)
        return variable, text
    return None


def _read_secret(variable: str, path: str) -> str:
    try:
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ValueError(f"{variable}: cannot read {path}: {reason}") from error
    if not value:
        raise ValueError(f"{variable}: {path} is empty")
    return value


def _convert(field: _Field, variable: str, text: str) -> Any:
    if field.secret:
        return Secret(text)
    value: Any = text
    if field.many:
        value = [item for item in map(str.strip, text.split(",")) if item]
    try:
        return msgspec.convert(value, field.hint, strict=False)
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at `$")[0]
        raise ValueError(f"{variable}: {reason}, got {text!r}") from error


def _type_words(field: _Field) -> str:
    if field.secret:
        return "secret"
    if field.many:
        return "comma-separated list"
    if get_origin(field.bare) is Literal:
        return " | ".join(str(value) for value in get_args(field.bare))
    names = {int: "integer", float: "number", str: "text", bool: "true | false"}
    return names.get(field.bare, str(field.bare))


def _default_words(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == "":
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
