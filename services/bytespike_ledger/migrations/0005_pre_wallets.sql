-- Wallets: payments behind top-ups, bonuses, corrections, refunds; and when to speak up.

insert into accounts (id, kind) values ('house_bonus', 'house'), ('house_adjustment', 'house');

alter table transfers drop constraint transfers_kind_check;
alter table transfers
    add constraint transfers_kind_check check (kind in ('topup', 'settle', 'adjust', 'refund')),
    -- The day the movement counts for in statements: admission for usage, receipt for money.
    add column effective_at       timestamptz not null default now(),
    -- The wallet after it, known because its row is locked. Not kept for usage, which comes in batches.
    add column balance_after_uusd bigint check (balance_after_uusd >= 0),
    -- The top-up that a refund gives back.
    add column refers_to          bigint references transfers,
    add column payment_id         text;
create index transfers_account on transfers (account_id, id) where kind <> 'settle';
create index transfers_refers_to on transfers (refers_to) where refers_to is not null;

-- What a line is for; null on the lines of a settlement, which has only one thing to say.
alter table entries
    add column item text check (item in ('principal', 'bonus', 'adjustment'));

create table payments (
    id             text primary key,
    account_id     text not null references accounts,
    provider       text not null,
    -- The provider's name of the payment: two reports of one payment meet here.
    provider_ref   text not null,
    amount_uusd    bigint not null check (amount_uusd > 0),
    status         text not null check (status in ('pending', 'succeeded', 'failed', 'refunded')),
    refunded_uusd  bigint not null default 0 check (refunded_uusd between 0 and amount_uusd),
    -- Given back by the provider though the wallet no longer had it: our loss.
    shortfall_uusd bigint not null default 0 check (shortfall_uusd >= 0),
    receipt_id     text,
    method         text,
    failure        text,
    actor          text not null,
    transfer_id    bigint references transfers,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (provider, provider_ref),
    check ((status in ('succeeded', 'refunded')) = (transfer_id is not null))
);
create index payments_account on payments (account_id, id);
-- A charge that is given back names its payment by this.
create unique index payments_receipt on payments (provider, receipt_id) where receipt_id is not null;
create unique index payments_transfer on payments (transfer_id) where transfer_id is not null;
-- Every top-up has a payment; those made before there were payments came in through an operator.
insert into payments (id, account_id, provider, provider_ref, amount_uusd, status, actor,
                      transfer_id, created_at, updated_at)
select 'pay_' || lpad(transfers.id::text, 26, '0'), transfers.account_id, 'manual',
       transfers.idempotency_key, amount_uusd, 'succeeded', transfers.actor, transfers.id,
       transfers.created_at, transfers.created_at
from transfers join entries on entries.transfer_id = transfers.id
                           and entries.account_id = transfers.account_id
where kind = 'topup';
alter table transfers add foreign key (payment_id) references payments;

-- Events of payment providers, each taken once.
create table payment_events (
    provider    text not null,
    event_id    text not null,
    kind        text not null,
    body_hash   bytea not null check (octet_length(body_hash) = 32),
    received_at timestamptz not null default now(),
    primary key (provider, event_id)
);

-- What a customer wants to be told, and what to buy when it runs low. 0 = off.
create table wallet_settings (
    account_id             text primary key references accounts,
    low_balance_uusd       bigint not null default 0 check (low_balance_uusd >= 0),
    low_balance_flagged    boolean not null default false,
    auto_top_up_below_uusd bigint not null default 0 check (auto_top_up_below_uusd >= 0),
    auto_top_up_uusd       bigint not null default 0 check (auto_top_up_uusd >= 0),
    auto_top_up_flagged    boolean not null default false,
    updated_at             timestamptz not null default now(),
    check ((auto_top_up_below_uusd = 0) = (auto_top_up_uusd = 0))
);
