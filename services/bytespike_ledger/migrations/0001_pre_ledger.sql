-- The ledger: who owns money, every movement of it, and what is derived from the movements.
-- All amounts are micro-USD (bigint). Rows of transfers and entries are written once and never
-- changed; balances, spend and buckets are projections that `audit` proves against them.

create table accounts (
    id          text primary key,
    kind        text not null check (kind in ('customer', 'house')),
    tier        text check (tier in ('free', 'pro', 'max', 'enterprise')),
    concurrency integer check (concurrency between 1 and 100000),
    created_at  timestamptz not null default now(),
    check ((kind = 'customer') = (tier is not null)),
    check ((kind = 'customer') = (concurrency is not null))
);

-- The other side of every movement. House accounts are summed when asked: a balance row they all
-- shared would put every settlement of every customer in one queue.
insert into accounts (id, kind) values ('house_funding', 'house'), ('house_revenue', 'house');

create table orgs (
    id         text primary key,
    account_id text not null unique references accounts,
    name       text not null,
    created_at timestamptz not null default now()
);

create table api_keys (
    id                text primary key,
    account_id        text not null references accounts,
    org_id            text references orgs,
    name              text not null,
    -- Unique for ever: the secret of a deleted key can never come back to life as a custom key.
    key_hash          bytea not null unique check (octet_length(key_hash) = 32),
    hint              text not null,
    scopes            text[] not null check (scopes <@ array['inference', 'manage'] and scopes <> '{}'),
    routing_group     text not null,
    quota_uusd        bigint not null check (quota_uusd >= 0),
    window_5h_uusd    bigint not null check (window_5h_uusd >= 0),
    window_1d_uusd    bigint not null check (window_1d_uusd >= 0),
    window_7d_uusd    bigint not null check (window_7d_uusd >= 0),
    ip_allow          text[] not null,
    ip_deny           text[] not null,
    expires_ms        bigint,
    status            text not null default 'active' check (status in ('active', 'disabled', 'deleted')),
    version           bigint not null default 1,
    -- What Redis is known to have. Behind `version` = the change still has to be projected.
    projected_version bigint not null default 0 check (projected_version <= version),
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);
create index api_keys_account on api_keys (account_id);
create index api_keys_unprojected on api_keys (id) where projected_version < version;

create table transfers (
    id              bigint generated always as identity primary key,
    kind            text not null check (kind in ('topup', 'settle', 'adjust')),
    account_id      text not null references accounts,
    idempotency_key text not null unique,
    input_hash      bytea not null check (octet_length(input_hash) = 32),
    actor           text not null,
    note            text not null default '',
    created_at      timestamptz not null default now(),
    -- The transaction that made it: its entries must come from the same one.
    created_xid     xid8 not null default pg_current_xact_id()
);

create table entries (
    transfer_id bigint not null references transfers,
    line        smallint not null check (line > 0),
    account_id  text not null references accounts,
    amount_uusd bigint not null check (amount_uusd <> 0),
    primary key (transfer_id, line)
);
create index entries_account on entries (account_id) include (amount_uusd);

-- Customer accounts only, created together with the account. The upper bound is the largest integer
-- a Lua double carries exactly: beyond it Redis could not mirror the balance.
create table balances (
    account_id     text primary key references accounts,
    posted_uusd    bigint not null default 0 check (posted_uusd between 0 and 9007199254740991),
    version        bigint not null default 0,
    -- Set by changes that no usage event would bring to Redis again (creation, top-up).
    projection_due boolean not null default true
) with (fillfactor = 70);
create index balances_due on balances (account_id) where projection_due;

create table scope_spend (
    account_id text not null references accounts,
    scope      text not null,
    spent_uusd bigint not null check (spent_uusd >= 0),
    primary key (account_id, scope)
) with (fillfactor = 70);

-- Settled spend per sub-bucket of a rolling window (1 = 5 h, 2 = 1 d, 3 = 7 d).
create table spend_buckets (
    account_id   text not null references accounts,
    scope        text not null,
    window_no    smallint not null check (window_no between 1 and 3),
    bucket       bigint not null,
    settled_uusd bigint not null check (settled_uusd >= 0),
    primary key (account_id, scope, window_no, bucket)
) with (fillfactor = 70);
create index spend_buckets_age on spend_buckets (window_no, bucket);

create table price_revisions (
    revision             text not null,
    routing_group        text not null,
    model                text not null,
    input_uusd           bigint not null check (input_uusd >= 0),
    output_uusd          bigint not null check (output_uusd >= 0),
    cache_read_uusd      bigint not null check (cache_read_uusd >= 0),
    cache_write_5m_uusd  bigint not null check (cache_write_5m_uusd >= 0),
    cache_write_1h_uusd  bigint not null check (cache_write_1h_uusd >= 0),
    web_search_uusd      bigint not null check (web_search_uusd >= 0),
    multiplier_ppm       bigint not null check (multiplier_ppm > 0),
    primary key (revision, routing_group, model)
);

-- Events that could not be applied. They wait for a human and never block the stream.
create table parked_events (
    id         bigint generated always as identity primary key,
    reason     text not null,
    request_id text,
    body_hash  bytea not null check (octet_length(body_hash) = 32),
    body       bytea not null,
    parked_at  timestamptz not null default now(),
    unique (reason, body_hash)
);
