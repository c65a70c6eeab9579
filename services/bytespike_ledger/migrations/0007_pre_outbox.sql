-- What happened to an account, told to whoever asked: webhooks and notifications.

create table account_events (
    id         text primary key,
    account_id text not null references accounts,
    -- Whom it concerns; null = the account as a whole.
    member_id  text references members,
    type       text not null,
    body       jsonb not null,
    created_at timestamptz not null default now(),
    -- Still to be turned into deliveries and notifications.
    due        boolean not null default true
);
create index account_events_due on account_events (id) where due;
create index account_events_account on account_events (account_id, id);
create index account_events_age on account_events (created_at);

create table webhooks (
    id          text primary key,
    account_id  text not null references accounts,
    member_id   text references members,
    url         text not null,
    event_types text[] not null check (event_types <> '{}'),
    status      text not null default 'active' check (status in ('active', 'disabled', 'deleted')),
    -- Deliveries that failed for good since the last success.
    fail_count  integer not null default 0 check (fail_count >= 0),
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);
create unique index webhooks_url on webhooks (account_id, url) where status <> 'deleted';

create table webhook_deliveries (
    id              text primary key,
    account_id      text not null references accounts,
    webhook_id      text not null references webhooks,
    event_id        text not null references account_events,
    event_type      text not null,
    payload         text not null,
    status          text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
    attempt         smallint not null default 0 check (attempt between 0 and 20),
    -- 0 = no answer came.
    response_status smallint,
    error           text,
    duration_ms     integer,
    next_attempt_at timestamptz default now(),
    leased_until    timestamptz,
    delivered_at    timestamptz,
    created_at      timestamptz not null default now(),
    check ((status = 'pending') = (next_attempt_at is not null))
);
create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where status = 'pending';
create index webhook_deliveries_waiting on webhook_deliveries (webhook_id, next_attempt_at)
    where status = 'pending';
create index webhook_deliveries_webhook on webhook_deliveries (webhook_id, id);
create index webhook_deliveries_age on webhook_deliveries (created_at);
create index webhook_deliveries_event on webhook_deliveries (event_id);

create table notifications (
    id         text primary key,
    account_id text not null references accounts,
    -- Who reads it; null = keys that belong to no member.
    member_id  text references members,
    event_id   text not null references account_events,
    type       text not null,
    title      text not null,
    body       text not null,
    link       text,
    read_at    timestamptz,
    created_at timestamptz not null default now()
);
create index notifications_reader on notifications (account_id, member_id, event_id);
create index notifications_event on notifications (event_id);
create index notifications_age on notifications (created_at);
