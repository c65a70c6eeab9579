"""The invented companies of the demo month: who works there, with which keys, on which models."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMPANIES", "Colleague", "Company", "KeyPlan"]


@dataclass(frozen=True, kw_only=True)
class KeyPlan:
    """A key and its habits (see ``traffic.Sender``); ``controls`` are fields of the API."""

    name: str
    share: float
    models: dict[str, float]
    dialect: str
    tokens_in: int
    tokens_out: int
    cached: float = 0.0
    streams: float = 0.7
    scopes: tuple[str, ...] = ("inference",)
    controls: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Colleague:
    """A member with their keys; ``caps`` are spend limits of the member."""

    name: str
    email: str
    role: str
    keys: tuple[KeyPlan, ...] = ()
    caps: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Company:
    """An organisation; ``share`` is its part of all requests, ``top_up_usd`` what it buys when it
    has less than ``refill_below_usd`` left.
    """

    name: str
    tier: str
    share: float
    top_up_usd: int
    refill_below_usd: int
    people: tuple[Colleague, ...]


COMPANIES = (
    Company(
        name="Northwind Robotics",
        tier="pro",
        share=0.75,
        top_up_usd=100,
        refill_below_usd=20,
        people=(
            Colleague(
                name="Ada Marsh",
                email="ada@northwind.example",
                role="owner",
                caps={},
                keys=(
                    KeyPlan(
                        name="console",
                        share=0.02,
                        models={"claude-sonnet-4-6": 1},
                        dialect="anthropic",
                        tokens_in=900,
                        tokens_out=350,
                        scopes=("inference", "manage"),
                        controls={},
                    ),
                ),
            ),
            Colleague(
                name="Ben Okafor",
                email="ben@northwind.example",
                role="admin",
                caps={},
                keys=(
                    KeyPlan(
                        name="support-bot",
                        share=0.46,
                        models={"claude-haiku-4-5": 8, "gpt-5-4-mini": 2},
                        dialect="openai_chat",
                        tokens_in=2_600,
                        tokens_out=260,
                        cached=0.7,
                        controls={"rate_limit_1d": "60", "quota": "2000"},
                    ),
                ),
            ),
            Colleague(
                name="Chiara Rossi",
                email="chiara@northwind.example",
                role="member",
                caps={"rate_limit_1d": "40"},
                keys=(
                    KeyPlan(
                        name="coding-agent",
                        share=0.3,
                        models={"claude-opus-4-8": 1, "claude-sonnet-4-6": 5},
                        dialect="anthropic",
                        tokens_in=9_000,
                        tokens_out=700,
                        cached=0.9,
                        streams=1.0,
                        controls={"rate_limit_5h": "15"},
                    ),
                    KeyPlan(
                        name="nightly-batch",
                        share=0.15,
                        models={"gemini-2-5-flash": 3, "deepseek-v4-flash": 2},
                        dialect="gemini",
                        tokens_in=5_500,
                        tokens_out=500,
                        streams=0.0,
                        controls={},
                    ),
                ),
            ),
            Colleague(
                name="Dana Levi",
                email="dana@northwind.example",
                role="viewer",
                caps={},
            ),
        ),
    ),
    Company(
        name="Bluebird Studio",
        tier="free",
        share=0.25,
        top_up_usd=20,
        refill_below_usd=5,
        people=(
            Colleague(
                name="Emil Novak",
                email="emil@bluebird.example",
                role="owner",
                caps={},
                keys=(
                    KeyPlan(
                        name="console",
                        share=0.1,
                        models={"gpt-5-4": 1},
                        dialect="openai_responses",
                        tokens_in=1_200,
                        tokens_out=400,
                        scopes=("inference", "manage"),
                        controls={},
                    ),
                    KeyPlan(
                        name="copywriter",
                        share=0.9,
                        models={"gpt-5-4-mini": 3, "gemini-3-flash": 2, "kimi-k2-6": 1},
                        dialect="openai_chat",
                        tokens_in=1_500,
                        tokens_out=600,
                        cached=0.3,
                        controls={"rate_limit_7d": "80"},
                    ),
                ),
            ),
        ),
    ),
)
