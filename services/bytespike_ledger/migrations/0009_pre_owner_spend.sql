-- What a key spends counts for its member and its organisation as well, from now on with every
-- settlement. What was settled before is added up here, so that a limit set later knows the past and
-- the audit finds the three in agreement.

insert into scope_spend (account_id, scope, spent_uusd)
select scope_spend.account_id, owner, sum(spent_uusd)
from scope_spend
join api_keys on api_keys.id = scope and api_keys.account_id = scope_spend.account_id,
     unnest(array[member_id, org_id]) as owner
where owner is not null
group by scope_spend.account_id, owner;

insert into spend_buckets (account_id, scope, window_no, bucket, settled_uusd)
select spend_buckets.account_id, owner, window_no, bucket, sum(settled_uusd)
from spend_buckets
join api_keys on api_keys.id = scope and api_keys.account_id = spend_buckets.account_id,
     unnest(array[member_id, org_id]) as owner
where owner is not null
group by spend_buckets.account_id, owner, window_no, bucket;

-- Redis is to know it too.
update balances set projection_due = true
where account_id in (select account_id from scope_spend);
