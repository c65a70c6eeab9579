"""The catalogue: models, prices, channels and groups, validated as a whole from one TOML text.

Edge, router and ledger read the same file. The edge needs models, groups and prices; the router
also channels; the ledger prices by revision. A :class:`Catalogue` is immutable: a reload builds a
new one and swaps it, and a bad file is refused with every problem listed, so the last good one
stays in force.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from bytespike_contracts.money import PPM, Rates, parse_ppm, parse_usd

__all__ = [
    "AuthScheme",
    "Capability",
    "Catalogue",
    "CatalogueError",
    "Channel",
    "Dialect",
    "Group",
    "Model",
    "parse_catalogue",
]

Dialect = Literal["anthropic", "openai_chat", "openai_responses", "gemini"]
#: The header a credential travels in; ``bearer`` is ``Authorization: Bearer``.
AuthScheme = Literal["x-api-key", "bearer", "x-goog-api-key"]
#: What a model can do beyond reading and streaming text, which all of them do.
Capability = Literal[
    "vision",
    "audio",
    "video",
    "tool_use",
    "parallel_tools",
    "cache_control",
    "thinking",
    "json_schema",
    "logprobs",
    "web_search",
]
Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
#: Vendors write some names with capitals.
Alias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]

_AUTH: dict[Dialect, AuthScheme] = {
    "anthropic": "x-api-key",
    "openai_chat": "bearer",
    "openai_responses": "bearer",
    "gemini": "x-goog-api-key",
}
#: The dialects that have a call for counting tokens.
_COUNTING: frozenset[Dialect] = frozenset({"anthropic", "gemini"})
#: What a ``base_url`` of the dialect never ends with, since the router appends it.
_APPENDED: dict[Dialect, tuple[str, ...]] = {
    "anthropic": ("/v1", "/messages"),
    "openai_chat": ("/completions",),
    "openai_responses": ("/responses",),
    "gemini": ("/v1", "/v1beta", "/models"),
}

#: Cache writes cost more than fresh input only where the vendor says so; by default they cost the
#: same.
_DEFAULT_CACHE_WRITE_5M = "1"
_DEFAULT_CACHE_WRITE_1H = "1"


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens, as decimal strings (TOML floats could not be trusted with money).

    ``cache_write_5m`` and ``cache_write_1h`` are factors on ``input``; ``web_search`` is USD per
    1,000 uses.
    """

    input: str
    output: str
    cache_read: str
    cache_write_5m: str = _DEFAULT_CACHE_WRITE_5M
    cache_write_1h: str = _DEFAULT_CACHE_WRITE_1H
    web_search: str = "0"

    def rates(self, multiplier_ppm: int = PPM) -> Rates:
        """The same price as integers. Raises ``ValueError`` on a malformed amount."""
        input_uusd = parse_usd(self.input)
        return Rates(
            input_uusd=input_uusd,
            output_uusd=parse_usd(self.output),
            cache_read_uusd=parse_usd(self.cache_read),
            cache_write_5m_uusd=_scaled(input_uusd, parse_ppm(self.cache_write_5m)),
            cache_write_1h_uusd=_scaled(input_uusd, parse_ppm(self.cache_write_1h)),
            web_search_uusd=parse_usd(self.web_search),
            multiplier_ppm=multiplier_ppm,
        )


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text model as customers know it. Without a ``price`` it is listed but not routable (503,
    never free).

    ``max_output_tokens`` is also what an answer may take where the request does not say.
    ``aliases`` are further names it answers to; ``retired_aliases`` are unknown like any other
    name, but the refusal points here. ``released`` is left out where it is not known.
    """

    id: Slug
    vendor: Slug
    family: Slug
    context_window: Annotated[int, msgspec.Meta(gt=0)]
    max_output_tokens: Annotated[int, msgspec.Meta(gt=0)]
    display_name: str = ""
    released: datetime.date | None = None
    capabilities: tuple[Capability, ...] = ()
    aliases: tuple[Alias, ...] = ()
    retired_aliases: tuple[Alias, ...] = ()
    price: Price | None = None


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upstream account: where it is, how to pay for it, what it serves and how patient to be
    with it. A vendor with two dialects is two channels.

    ``base_url`` is what an official SDK of the dialect would be given; the router appends
    ``/v1/messages``, ``/chat/completions``, ``/responses`` or ``/v1beta/models/...``. So it ends in
    ``/v1`` for OpenAI and never does for Anthropic or Google. ``base_url_env`` names a variable
    that overrides it (a proxy, a test vendor). ``credential`` is ``env:NAME`` or ``file:/path`` and
    is resolved by the router alone; ``auth`` says how it is sent, by default as the dialect's owner
    wants it. ``models`` maps catalogue ids to the vendor's names.

    ``compatible`` marks a vendor that took the dialect over from its owner as it once was.
    ``counts_tokens``: the dialect's call for that may be asked here; by default only of the owner.
    ``stores``: the vendor can keep answers (``store``, ``previous_response_id``). ``betas`` is the
    allow-list of ``anthropic-beta`` tokens, ``["*"]`` for all. ``cost_factor`` scales the list
    price to what this vendor bills us (the second book). ``disconnect`` says what happens upstream
    when the client leaves: ``cancel`` closes at once, ``drain`` reads to the end for the exact
    usage.
    """

    id: Slug
    dialect: Dialect
    base_url: Annotated[str, msgspec.Meta(pattern=r"^https?://")]
    credential: Annotated[str, msgspec.Meta(pattern=r"^(env:[A-Z][A-Z0-9_]*|file:/.+)$")]
    models: dict[Slug, str]
    base_url_env: str = ""
    compatible: bool = False
    auth: AuthScheme | None = None
    counts_tokens: bool | None = None
    stores: bool = False
    enabled: bool = True
    priority: int = 0
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    max_in_flight: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    connect_timeout_s: Seconds = 5.0
    first_byte_timeout_s: Seconds = 30.0
    idle_timeout_s: Seconds = 120.0
    disconnect: Literal["cancel", "drain"] = "cancel"
    betas: tuple[str, ...] = ()
    cost_factor: str = "1"

    @property
    def auth_scheme(self) -> AuthScheme:
        """How the credential is sent."""
        return self.auth or _AUTH[self.dialect]

    @property
    def can_count_tokens(self) -> bool:
        """Whether the vendor may be asked to count tokens."""
        if self.counts_tokens is None:
            return self.dialect in _COUNTING and not self.compatible
        return self.counts_tokens


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A routing group keys are bound to. ``"*"`` in ``models`` or ``channels`` means all."""

    id: Slug
    models: tuple[str, ...] = ("*",)
    channels: tuple[str, ...] = ("*",)
    multiplier: str = "1"
    public: bool = True


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: tuple[Model, ...]
    channels: tuple[Channel, ...]
    groups: tuple[Group, ...]


class CatalogueError(ValueError):
    """The text is not a usable catalogue; ``problems`` lists every reason, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Catalogue:
    """A validated catalogue with the look-ups the hot path needs. Build it with
    :func:`parse_catalogue`.

    ``revision`` identifies the prices (models x groups), not the whole file: moving a channel does
    not start a new price revision.
    """

    __slots__ = (
        "_allowed",
        "_names",
        "_rates",
        "_retired",
        "channels",
        "groups",
        "models",
        "revision",
    )

    def __init__(self, file: _File) -> None:
        self.models: dict[str, Model] = {model.id: model for model in file.models}
        self.channels: dict[str, Channel] = {channel.id: channel for channel in file.channels}
        self.groups: dict[str, Group] = {group.id: group for group in file.groups}
        self._names = {
            name: model.id for model in file.models for name in (model.id, *model.aliases)
        }
        self._retired = {name: model.id for model in file.models for name in model.retired_aliases}
        self._allowed = {
            group.id: frozenset(self.models if "*" in group.models else group.models)
            for group in file.groups
        }
        self._rates: dict[tuple[str, str], Rates] = {
            (group.id, model.id): model.price.rates(parse_ppm(group.multiplier))
            for group in file.groups
            for model in file.models
            if model.price is not None
        }
        self.revision = _revision(self._rates)

    def resolve(self, name: str) -> Model | None:
        """The model a client means by ``name`` (id or alias), or None."""
        model_id = self._names.get(name)
        return None if model_id is None else self.models[model_id]

    def successor(self, name: str) -> Model | None:
        """The model that replaced the retired ``name``, or None if it is not one."""
        model_id = self._retired.get(name)
        return None if model_id is None else self.models[model_id]

    def in_group(self, group_id: str, model_id: str) -> bool:
        """Whether keys of this group may use the model."""
        return model_id in self._allowed.get(group_id, ())

    def rates(self, group_id: str, model_id: str) -> Rates | None:
        """What the model costs in the group; None = no price, so not routable."""
        return self._rates.get((group_id, model_id))

    def price_table(self) -> dict[str, dict[str, Rates]]:
        """``{group: {model: rates}}``: what the ledger stores under :attr:`revision`."""
        table: dict[str, dict[str, Rates]] = {}
        for (group_id, model_id), rates in self._rates.items():
            table.setdefault(group_id, {})[model_id] = rates
        return table

    def channels_for(self, group_id: str, model_id: str) -> list[Channel]:
        """Enabled channels of the group that serve the model, best priority first."""
        group = self.groups[group_id]
        serving = [
            channel
            for channel in self.channels.values()
            if channel.enabled
            and model_id in channel.models
            and ("*" in group.channels or channel.id in group.channels)
        ]
        return sorted(serving, key=lambda channel: -channel.priority)

    def cost_rates(self, channel: Channel, model_id: str) -> Rates | None:
        """What the vendor bills us for the model on this channel (list price x ``cost_factor``)."""
        price = self.models[model_id].price
        return None if price is None else price.rates(parse_ppm(channel.cost_factor))


def parse_catalogue(text: str, env: Mapping[str, str]) -> Catalogue:
    """Decode and cross-check a catalogue; ``env`` supplies ``base_url_env`` overrides.

    Raises :class:`CatalogueError` naming every problem found.
    """
    try:
        file = msgspec.toml.decode(text, type=_File)
    except msgspec.DecodeError as error:
        raise CatalogueError([str(error)]) from error
    file = msgspec.structs.replace(
        file, channels=tuple(_with_override(c, env) for c in file.channels)
    )
    problems = [
        *_duplicate_problems(file),
        *_reference_problems(file),
        *_channel_problems(file.channels),
        *_amount_problems(file),
    ]
    if problems:
        raise CatalogueError(problems)
    return Catalogue(file)


def _scaled(amount_uusd: int, factor_ppm: int) -> int:
    """Half-up, once, when the catalogue is read (0.30 USD x 1.25 is exact in micro-USD anyway)."""
    return (2 * amount_uusd * factor_ppm + PPM) // (2 * PPM)


def _revision(rates: dict[tuple[str, str], Rates]) -> str:
    rows = sorted(
        (group, model, msgspec.structs.astuple(rate)) for (group, model), rate in rates.items()
    )
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()[:16]


def _with_override(channel: Channel, env: Mapping[str, str]) -> Channel:
    override = env.get(channel.base_url_env, "") if channel.base_url_env else ""
    return msgspec.structs.replace(channel, base_url=override) if override else channel


def _duplicate_problems(file: _File) -> list[str]:
    problems: list[str] = []
    sections: dict[str, list[str]] = {
        "model name": [
            name
            for model in file.models
            for name in (model.id, *model.aliases, *model.retired_aliases)
        ],
        "channel": [channel.id for channel in file.channels],
        "group": [group.id for group in file.groups],
    }
    for kind, names in sections.items():
        seen: set[str] = set()
        for name in names:
            if name in seen:
                problems.append(f"{kind} {name!r} is defined twice")
            seen.add(name)
    return problems


def _reference_problems(file: _File) -> list[str]:
    models = {model.id for model in file.models}
    channels = {channel.id for channel in file.channels}
    problems = [
        f"channels[{channel.id}].models: unknown model {name!r}"
        for channel in file.channels
        for name in channel.models
        if name not in models
    ]
    for group in file.groups:
        problems += [
            f"groups[{group.id}].models: unknown model {n!r}"
            for n in group.models
            if n not in models | {"*"}
        ]
        problems += [
            f"groups[{group.id}].channels: unknown channel {n!r}"
            for n in group.channels
            if n not in channels | {"*"}
        ]
    return problems


def _channel_problems(channels: tuple[Channel, ...]) -> list[str]:
    problems: list[str] = []
    for channel in channels:
        where, dialect = f"channels[{channel.id}]", channel.dialect
        address = channel.base_url.rstrip("/")
        if not address.startswith(("http://", "https://")):
            problems.append(f"{where}: {channel.base_url_env} is not an http(s) URL")
        problems += [
            f"{where}: a base URL of {dialect} does not end in {suffix!r}, it is appended to it"
            for suffix in _APPENDED[dialect]
            if address.endswith(suffix)
        ]
        if channel.counts_tokens and dialect not in _COUNTING:
            problems.append(f"{where}.counts_tokens: {dialect} has no call for it")
        if channel.stores and dialect != "openai_responses":
            problems.append(f"{where}.stores: {dialect} keeps no answers")
        if channel.betas and dialect != "anthropic":
            problems.append(f"{where}.betas: {dialect} has none")
    return [*problems, *_shared_address_problems(channels)]


def _shared_address_problems(channels: tuple[Channel, ...]) -> list[str]:
    """One variable cannot hold the address of two dialects whose paths differ below it."""
    tails: dict[str, set[bool]] = {}
    for channel in channels:
        if channel.base_url_env:
            of_openai = channel.dialect in ("openai_chat", "openai_responses")
            tails.setdefault(channel.base_url_env, set()).add(of_openai)
    return [
        f"{name} is the base_url_env of channels whose dialects want different addresses"
        for name, kinds in tails.items()
        if len(kinds) > 1
    ]


def _amount_problems(file: _File) -> list[str]:
    problems: list[str] = []
    for model in file.models:
        if model.price is None:
            continue
        try:
            rates = model.price.rates()
        except ValueError as error:
            problems.append(f"models[{model.id}].price: {error}")
            continue
        if min(msgspec.structs.astuple(rates)) < 0:
            problems.append(f"models[{model.id}].price: negative amount")
    for where, text in [
        *((f"groups[{group.id}].multiplier", group.multiplier) for group in file.groups),
        *(
            (f"channels[{channel.id}].cost_factor", channel.cost_factor)
            for channel in file.channels
        ),
    ]:
        try:
            parse_ppm(text)
        except ValueError as error:
            problems.append(f"{where}: {error}")
    return problems
