-- People: who belongs to an organisation, what they may do there, what they may spend; individuals
-- with an account of their own; the operators of the platform; and the record of who changed what.

create table users (
    id         text primary key,
    email      text not null check (email = lower(email) and position('@' in email) > 1),
    name       text not null,
    -- The account of an individual. Members of an organisation spend from the organisation's.
    account_id text unique references accounts,
    status     text not null default 'active' check (status in ('active', 'disabled')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index users_email on users (email);

-- Who has this address: the user we know, else a new one; the caller cannot tell which. It is the
-- only look a tenant gets across accounts, and only the id comes out.
create function user_of_email(new_id text, wanted_email text, wanted_name text) returns text
    language sql security definer set search_path = public, pg_temp as
$$
    insert into users (id, email, name) values (new_id, wanted_email, wanted_name)
    on conflict (email) do update set email = excluded.email
    returning id
$$;
revoke execute on function user_of_email from public;

alter table orgs
    add column status         text not null default 'active' check (status in ('active', 'paused')),
    -- Spend limits of the organisation over all its keys; 0 = unlimited.
    add column quota_uusd     bigint not null default 0 check (quota_uusd >= 0),
    add column window_5h_uusd bigint not null default 0 check (window_5h_uusd >= 0),
    add column window_1d_uusd bigint not null default 0 check (window_1d_uusd >= 0),
    add column window_7d_uusd bigint not null default 0 check (window_7d_uusd >= 0),
    add column updated_at     timestamptz not null default now();

create table members (
    id             text primary key,
    account_id     text not null references accounts,
    org_id         text not null references orgs,
    user_id        text not null references users,
    -- What the organisation calls them. Not the user's own name: whoever adds somebody learns
    -- nothing of them, not even whether we knew them.
    name           text not null default '',
    role           text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    status         text not null default 'active' check (status in ('active', 'disabled', 'removed')),
    -- Spend limits of the member over all their keys; 0 = unlimited.
    quota_uusd     bigint not null default 0 check (quota_uusd >= 0),
    window_5h_uusd bigint not null default 0 check (window_5h_uusd >= 0),
    window_1d_uusd bigint not null default 0 check (window_1d_uusd >= 0),
    window_7d_uusd bigint not null default 0 check (window_7d_uusd >= 0),
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (org_id, user_id)
);
create index members_account on members (account_id, id);
create index members_user on members (user_id);

alter table api_keys
    -- Whose key it is; null = the account's own (made by the platform's operators).
    add column member_id         text references members,
    -- The request that made it, so that the same request again makes no second one.
    add column creation_key      text,
    add column creation_hash     bytea check (octet_length(creation_hash) = 32),
    -- Where the record of a rotated key's old secret ends; null = no old secret works.
    add column old_key_hash      bytea unique check (octet_length(old_key_hash) = 32),
    add column old_expires_ms    bigint,
    add column last_used_ms      bigint,
    add column last_used_address text,
    add constraint api_keys_creation unique (account_id, creation_key),
    add check ((creation_key is null) = (creation_hash is null)),
    add check ((old_key_hash is null) = (old_expires_ms is null));
create index api_keys_member on api_keys (member_id);

create index api_keys_overlap on api_keys (old_expires_ms) where old_key_hash is not null;
create index api_keys_list on api_keys (account_id, id) where status <> 'deleted';

-- Secrets that had their day: a rotated one can never come back to life as a custom key.
create table retired_secrets (
    key_hash   bytea primary key check (octet_length(key_hash) = 32),
    key_id     text not null references api_keys,
    retired_at timestamptz not null default now(),
    -- Redis was told that it is dead. An overlap keeps it waiting until it is over.
    buried     boolean not null default false
);
create index retired_secrets_unburied on retired_secrets (key_id) where not buried;

-- Asked after the row is in place, so that a rotation that was under way is seen; and as the owner,
-- because the secret may have been another tenant's.
create function refuse_retired_secret() returns trigger language plpgsql
    security definer set search_path = public, pg_temp as $$
begin
    if exists (select from retired_secrets where key_hash = new.key_hash) then
        raise exception 'this secret was in use' using errcode = 'unique_violation';
    end if;
    return null;
end $$;
create trigger api_keys_secret_is_new after insert or update of key_hash on api_keys
    for each row execute function refuse_retired_secret();

-- What must be readable again (keys to reveal, webhook secrets): sealed under a data key of its own,
-- which is sealed under a key of the operator's that never comes near the database.
create table sealed_secrets (
    owner_id   text primary key,
    account_id text not null references accounts,
    purpose    text not null check (purpose in ('api_key', 'webhook')),
    kek_id     text not null,
    wrapped    bytea not null,
    sealed     bytea not null,
    created_at timestamptz not null default now(),
    rewrapped_at timestamptz
);
create index sealed_secrets_kek on sealed_secrets (kek_id, owner_id);

-- Exclusive groups are for the accounts named here; public ones need no grant.
create table group_grants (
    account_id    text not null references accounts,
    routing_group text not null,
    granted_by    text not null,
    created_at    timestamptz not null default now(),
    primary key (account_id, routing_group)
);

-- Named operators beside the root token of the settings.
create table operators (
    id         text primary key,
    name       text not null unique,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    hint       text not null,
    status     text not null default 'active' check (status in ('active', 'disabled')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- What operators decided about channels at run time, above what the catalogue says.
create table channel_states (
    channel    text primary key,
    state      text not null check (state in ('enabled', 'disabled')),
    reason     text not null,
    actor      text not null,
    version    bigint not null default 1,
    -- What Redis is known to have. Behind `version` = the change still has to be projected.
    projected_version bigint not null default 0 check (projected_version <= version),
    changed_at timestamptz not null default now()
);

-- When a price was first in the catalogue: what price lists call its date.
alter table price_revisions add column seen_at timestamptz not null default now();

-- Who changed what, from where. Never holds a secret.
create table audit_log (
    id         bigint generated always as identity primary key,
    at         timestamptz not null default now(),
    actor      text not null,
    address    text not null,
    request_id text not null,
    action     text not null,
    account_id text references accounts,
    target     text not null,
    before     jsonb,
    after      jsonb
);
create index audit_log_account on audit_log (account_id, id);
create index audit_log_actor on audit_log (actor, id);
create index audit_log_action on audit_log (action, id);
create index audit_log_target on audit_log (target, id);
create index audit_log_at on audit_log (at);
create trigger audit_log_is_immutable before update or delete or truncate on audit_log
    for each statement execute function refuse_change();
revoke update, delete, truncate on audit_log from public;
