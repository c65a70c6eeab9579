-- Sums of usage that answer "how much" without walking through requests, made in the transaction
-- that settles them; and what it takes to list a million rows.

create table usage_hours (
    account_id         text not null,
    hour_ms            bigint not null check (hour_ms % 3600000 = 0),
    key_id             text not null,
    model              text not null,
    calls              bigint not null,
    input_tokens       bigint not null,
    cache_write_tokens bigint not null,
    cache_read_tokens  bigint not null,
    output_tokens      bigint not null,
    reasoning_tokens   bigint not null,
    web_searches       bigint not null,
    -- What was charged, and the same split by what it was charged for.
    charge_uusd        bigint not null,
    input_uusd         bigint not null,
    cache_write_uusd   bigint not null,
    cache_read_uusd    bigint not null,
    output_uusd        bigint not null,
    web_search_uusd    bigint not null,
    primary key (account_id, hour_ms, key_id, model),
    constraint the_parts_are_the_charge check (
        input_uusd + cache_write_uusd + cache_read_uusd + output_uusd + web_search_uusd
            = charge_uusd
    )
) with (fillfactor = 70);

create table usage_days (
    like usage_hours including constraints,
    primary key (account_id, hour_ms, key_id, model),
    check (hour_ms % 86400000 = 0)
) with (fillfactor = 70);
alter table usage_days rename column hour_ms to day_ms;

create index usage_by_account on usage (account_id, day, request_id) where outcome <> 'failed';
