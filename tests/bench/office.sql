-- A month of a busy office, put straight into the books and such that the audit finds them right.
-- Table office (account_no, account_id, key_ids) says whose; setting bench.rows says how many.
-- Everything follows from the number of a row, so each load is the same up to its ids.

insert into price_revisions (revision, routing_group, model, input_uusd, output_uusd,
    cache_read_uusd, cache_write_5m_uusd, cache_write_1h_uusd, web_search_uusd, multiplier_ppm)
select 'office', 'default', 'model-' || n, 150000 * n, 750000 * n, 15000 * n, 187500 * n,
       300000 * n, 10000000, 1000000
from generate_series(1, 10) as n;

select ensure_usage_day(current_date - n) from generate_series(1, 30) as n;

create temporary table dice as
select n,
       (extract(epoch from current_date - 30)::bigint * 1000
        + n * (30 * 86400000::bigint / current_setting('bench.rows')::bigint)) as at_ms,
       -- 60 % of the rows belong to the first account; nothing depends on anything else.
       (array[1, 1, 1, 1, 1, 1, 2, 2, 3, 4])[1 + abs(hashint4(n)::bigint) % 10] as account_no,
       abs(hashint4(n + 100000000)::bigint) as key_die,
       abs(hashint4(n + 200000000)::bigint) as model_die,
       abs(hashint4(n + 300000000)::bigint) as token_die,
       abs(hashint4(n + 400000000)::bigint) as outcome_die
from generate_series(0, current_setting('bench.rows')::integer - 1) as n;

create temporary table drawn as
select to_timestamp(at_ms / 1000) at time zone 'UTC' as at, at_ms,
       'req_' || (
           select string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
                                    ((at_ms >> shift) & 31)::integer + 1, 1), '' order by shift desc)
           from generate_series(0, 45, 5) as shift
       ) || upper(substr(md5(n::text), 1, 16)) as request_id,
       account_id, key_ids[1 + key_die % cardinality(key_ids)] as key_id,
       -- One model in ten is rare: a row in five thousand.
       case when model_die % 5000 = 0 then 10 else 1 + model_die % 9 end as model_no,
       case when outcome_die % 20 = 0 then 'failed' when outcome_die % 50 = 1 then 'filtered'
            else 'completed' end as outcome,
       200 + token_die % 3000 as input_tokens, token_die % 700 as cache_write_5m_tokens,
       token_die % 5000 as cache_read_tokens, 20 + token_die % 900 as output_tokens,
       (token_die % 100 = 0)::integer as web_searches
from dice join office using (account_no);

insert into usage (day, request_id, account_id, key_id, routing_group, model, dialect,
    price_revision, outcome, error_type, status, stream, estimated, admitted_ms, finished_ms,
    first_byte_ms, input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens,
    output_tokens, reasoning_tokens, web_searches, hold_uusd, charge_uusd, shortfall_uusd,
    fingerprint)
select at::date, request_id, account_id, key_id, 'default', 'model-' || model_no, 'anthropic',
       'office', outcome, case outcome when 'failed' then 'unavailable' else '' end,
       case outcome when 'failed' then 503 else 200 end, true, false, at_ms, at_ms + 2000, 400,
       input_tokens, cache_write_5m_tokens, 0, cache_read_tokens, output_tokens, 0, web_searches,
       100000,
       case outcome when 'completed' then div(
           2 * (model_no * (input_tokens * 150000 + cache_write_5m_tokens * 187500
                            + cache_read_tokens * 15000 + output_tokens * 750000)
                + web_searches * 10000000000)::numeric + 1000000, 2000000
       )::bigint else 0 end,
       0, sha256(request_id::bytea)
from drawn;

insert into usage_attempts
select day, request_id, 1, 'channel-' || substr(model, 7), status, error_type, 1900, false,
       input_tokens, cache_write_5m_tokens, 0, cache_read_tokens, output_tokens, 0, web_searches,
       charge_uusd / 2
from usage where price_revision = 'office';

-- The triggers look at each transfer by itself; the audit looks at all of them.
set session_replication_role = replica;
with made as (
    insert into transfers (kind, account_id, idempotency_key, input_hash, actor, effective_at)
    select 'settle', account_id, 'settle:' || request_id, fingerprint, 'ledger',
           to_timestamp(admitted_ms / 1000.0)
    from usage where price_revision = 'office' and charge_uusd > 0
    returning id, idempotency_key
)
insert into entries (transfer_id, line, account_id, amount_uusd)
select made.id, line, case line when 1 then account_id else 'house_revenue' end,
       case line when 1 then -charge_uusd else charge_uusd end
from made
join usage on price_revision = 'office' and 'settle:' || request_id = idempotency_key
cross join generate_series(1, 2) as line;
set session_replication_role = origin;

update balances set posted_uusd = posted_uusd - spent, version = version + 1
from (
    select account_id, sum(charge_uusd)::bigint as spent from usage
    where price_revision = 'office' group by account_id
) as sums where sums.account_id = balances.account_id;

-- Spend counts for the key and for its organisation.
insert into scope_spend
select usage.account_id, scope, sum(charge_uusd)
from usage join api_keys on api_keys.id = key_id,
     unnest(array[key_id, api_keys.org_id]) as scope
where price_revision = 'office' and charge_uusd > 0 group by 1, 2;

insert into spend_buckets
select usage.account_id, scope, window_no, admitted_ms / width_ms, sum(charge_uusd)
from usage join api_keys on api_keys.id = key_id,
     unnest(array[key_id, api_keys.org_id]) as scope,
     (values (1, 300000), (2, 1800000), (3, 10800000)) as windows (window_no, width_ms)
where price_revision = 'office' and charge_uusd > 0 and day >= current_date - 9
group by 1, 2, 3, 4;

select roll_up_usage(current_date - 30, current_date);

drop table drawn, dice;
