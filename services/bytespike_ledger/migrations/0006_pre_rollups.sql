-- Sums of usage that answer "how much" without walking through requests, made in the transaction
-- that settles them; what it takes to list a million rows; and how far back rows are kept.

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

-- An account's keys times its models make a hundred thousand hours a month; asked for no key and no
-- model, these few hundred answer.
create table usage_account_hours (
    like usage_hours including constraints,
    primary key (account_id, hour_ms)
) with (fillfactor = 70);
alter table usage_account_hours drop column key_id, drop column model;

-- Updates of sums change none of these columns, so only a new hour pays for them.
create index usage_hours_by_key on usage_hours (account_id, key_id, hour_ms);
create index usage_hours_by_model on usage_hours (account_id, model, hour_ms);

create index usage_by_account on usage (account_id, day, request_id) where outcome <> 'failed';
create index usage_by_model on usage (account_id, model, day, request_id) where outcome <> 'failed';

-- Rows of single requests from before `first_day` are gone or going; sums of them stay. `first_ulid`
-- is the least request id of that day, because settlements know the day by nothing else.
create table usage_retention (
    one_row    boolean primary key default true check (one_row),
    first_day  date not null,
    first_ulid text not null
);
insert into usage_retention (first_day, first_ulid) values ('-infinity', '');

-- As before, and a day that is gone never comes back: an event from then would seem new.
create or replace function ensure_usage_day(wanted date) returns void language plpgsql as $$
declare
    parent text;
    child  text;
begin
    if wanted < (select first_day from usage_retention) then
        raise exception 'usage of % is not kept any more', wanted using errcode = 'check_violation';
    end if;
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

-- A charge shared out by weights, the leftover to the largest remainders: what settlement does,
-- for rows that were settled before there were sums.
create function split_charge(charge bigint, weights numeric[]) returns bigint[]
immutable language plpgsql as $$
declare
    total   numeric := 0;
    weight  numeric;
    parts   bigint[] := '{}';
    rests   numeric[] := '{}';
    missing bigint := charge;
    largest integer;
begin
    foreach weight in array weights loop total := total + coalesce(weight, 0); end loop;
    foreach weight in array weights loop
        if charge = 0 then
            parts := parts || 0::bigint;
            continue;
        end if;
        parts := parts || div(charge * weight, total)::bigint;
        rests := rests || mod(charge * weight, total);
        missing := missing - parts[cardinality(parts)];
    end loop;
    while missing > 0 loop
        largest := 1;
        for kind in 2..cardinality(rests) loop
            if rests[kind] > rests[largest] then largest := kind; end if;
        end loop;
        parts[largest] := parts[largest] + 1;
        rests[largest] := -1;
        missing := missing - 1;
    end loop;
    return parts;
end $$;

-- Sums of the rows from `first` up to and without `until`, which must not have been summed before.
create function roll_up_usage(first date, until date) returns void language sql as $$
    insert into usage_hours
    select account_id, admitted_ms - admitted_ms % 3600000, key_id, usage.model, count(*),
           coalesce(sum(input_tokens), 0),
           coalesce(sum(cache_write_5m_tokens + cache_write_1h_tokens), 0),
           coalesce(sum(cache_read_tokens), 0), coalesce(sum(output_tokens), 0),
           coalesce(sum(reasoning_tokens), 0), coalesce(sum(web_searches), 0),
           sum(charge_uusd), sum(parts[1]), sum(parts[2]), sum(parts[3]), sum(parts[4]),
           sum(parts[5])
    from usage
    left join price_revisions as rates on rates.revision = price_revision
        and rates.routing_group = usage.routing_group and rates.model = usage.model
    cross join lateral split_charge(charge_uusd, array[
        input_tokens::numeric * input_uusd,
        cache_write_5m_tokens::numeric * cache_write_5m_uusd
            + cache_write_1h_tokens::numeric * cache_write_1h_uusd,
        cache_read_tokens::numeric * cache_read_uusd,
        output_tokens::numeric * output_uusd,
        web_searches::numeric * web_search_uusd * 1000
    ]) as parts
    where usage.day >= first and usage.day < until and outcome <> 'failed'
    group by 1, 2, 3, 4
    -- As settlement makes them, hour by hour: what is summed together lies together.
    order by 2, 1, 3, 4
    on conflict (account_id, hour_ms, key_id, model) do update set
        calls = usage_hours.calls + excluded.calls,
        input_tokens = usage_hours.input_tokens + excluded.input_tokens,
        cache_write_tokens = usage_hours.cache_write_tokens + excluded.cache_write_tokens,
        cache_read_tokens = usage_hours.cache_read_tokens + excluded.cache_read_tokens,
        output_tokens = usage_hours.output_tokens + excluded.output_tokens,
        reasoning_tokens = usage_hours.reasoning_tokens + excluded.reasoning_tokens,
        web_searches = usage_hours.web_searches + excluded.web_searches,
        charge_uusd = usage_hours.charge_uusd + excluded.charge_uusd,
        input_uusd = usage_hours.input_uusd + excluded.input_uusd,
        cache_write_uusd = usage_hours.cache_write_uusd + excluded.cache_write_uusd,
        cache_read_uusd = usage_hours.cache_read_uusd + excluded.cache_read_uusd,
        output_uusd = usage_hours.output_uusd + excluded.output_uusd,
        web_search_uusd = usage_hours.web_search_uusd + excluded.web_search_uusd;

    -- Anew from the hours, whichever days the rows above were admitted on.
    delete from usage_days;
    insert into usage_days
    select account_id, hour_ms - hour_ms % 86400000, key_id, model, sum(calls),
           sum(input_tokens), sum(cache_write_tokens), sum(cache_read_tokens),
           sum(output_tokens), sum(reasoning_tokens), sum(web_searches), sum(charge_uusd),
           sum(input_uusd), sum(cache_write_uusd), sum(cache_read_uusd), sum(output_uusd),
           sum(web_search_uusd)
    from usage_hours group by 1, 2, 3, 4;
    delete from usage_account_hours;
    insert into usage_account_hours
    select account_id, hour_ms, sum(calls),
           sum(input_tokens), sum(cache_write_tokens), sum(cache_read_tokens),
           sum(output_tokens), sum(reasoning_tokens), sum(web_searches), sum(charge_uusd),
           sum(input_uusd), sum(cache_write_uusd), sum(cache_read_uusd), sum(output_uusd),
           sum(web_search_uusd)
    from usage_hours group by 1, 2;
$$;

-- What was settled before this release. Only new tables are locked, so it may take its time.
set local statement_timeout = '30min';
select roll_up_usage('-infinity', 'infinity');
