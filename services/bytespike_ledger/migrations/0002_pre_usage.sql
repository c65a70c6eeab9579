-- One row per admitted request and one per upstream call, partitioned by the day inside the request
-- id, so a replayed event always meets its first copy. No row is ever wider than numbers and slugs.

create table usage (
    day                   date not null,
    request_id            text not null,
    account_id            text not null,
    key_id                text not null,
    org_id                text,
    routing_group         text not null,
    model                 text not null,
    dialect               text not null,
    price_revision        text not null,
    outcome               text not null,
    error_type            text not null,
    status                smallint not null,
    stream                boolean not null,
    estimated             boolean not null,
    admitted_ms           bigint not null,
    finished_ms           bigint not null,
    first_byte_ms         bigint,
    -- All null when the vendor reported no usage.
    input_tokens          bigint,
    cache_write_5m_tokens bigint,
    cache_write_1h_tokens bigint,
    cache_read_tokens     bigint,
    output_tokens         bigint,
    reasoning_tokens      bigint,
    web_searches          bigint,
    hold_uusd             bigint not null check (hold_uusd >= 0),
    -- What the customer paid, and the part of the price the balance could not cover (our loss).
    charge_uusd           bigint not null check (charge_uusd >= 0),
    shortfall_uusd        bigint not null check (shortfall_uusd >= 0),
    fingerprint           bytea not null check (octet_length(fingerprint) = 32),
    primary key (day, request_id),
    -- Only success moves money, whatever the code believes.
    constraint only_success_is_charged check (
        charge_uusd + shortfall_uusd = 0 or outcome in ('completed', 'client_left_late')
    )
) partition by range (day);
create index usage_by_key on usage (key_id, day, request_id);

-- The second book: what vendors will bill us, whoever pays.
create table usage_attempts (
    day                   date not null,
    request_id            text not null,
    attempt               smallint not null check (attempt > 0),
    channel               text not null,
    status                smallint not null,
    error_type            text not null,
    duration_ms           bigint not null,
    estimated             boolean not null,
    input_tokens          bigint not null,
    cache_write_5m_tokens bigint not null,
    cache_write_1h_tokens bigint not null,
    cache_read_tokens     bigint not null,
    output_tokens         bigint not null,
    reasoning_tokens      bigint not null,
    web_searches          bigint not null,
    cost_uusd             bigint not null check (cost_uusd >= 0),
    primary key (day, request_id, attempt)
) partition by range (day);

-- Creates the partitions of one day. Built aside and attached, because attaching locks the parent
-- only against other schema changes, while `partition of` would stop every reader and writer.
create function ensure_usage_day(wanted date) returns void language plpgsql as $$
declare
    parent text;
    child  text;
begin
    perform pg_advisory_xact_lock(hashtext('bytespike.ensure_usage_day'));
    foreach parent in array array['usage', 'usage_attempts'] loop
        child := parent || to_char(wanted, '_YYYY_MM_DD');
        if to_regclass(child) is null then
            execute format('create table %I (like %I including defaults including constraints)',
                           child, parent);
            execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                           parent, child, wanted, wanted + 1);
        end if;
    end loop;
end $$;
