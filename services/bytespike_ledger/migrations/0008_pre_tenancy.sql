-- Tenants are kept apart by the database as well: calls of customers run as a role that sees the
-- rows of one account, the one named in the transaction, whatever the query forgot to say.

do $$
begin
    -- Roles belong to the server, not to the database: another one may have made it.
    create role bytespike_tenant nologin noinherit;
exception when duplicate_object or unique_violation then
    null;
end $$;
do $$
begin
    execute format('grant bytespike_tenant to %I', current_user);
end $$;
grant usage on schema public to bytespike_tenant;

create function tenant_account() returns text stable language sql as
    $$ select current_setting('bytespike.account_id', true) $$;

do $$
declare
    readable text;
begin
    foreach readable in array array[
        'accounts', 'orgs', 'users', 'members', 'api_keys', 'retired_secrets', 'sealed_secrets',
        'group_grants', 'audit_log', 'transfers', 'entries', 'balances', 'scope_spend',
        'spend_buckets', 'payments', 'wallet_settings', 'usage', 'usage_hours', 'usage_days',
        'usage_account_hours', 'account_events', 'webhooks', 'webhook_deliveries', 'notifications'
    ] loop
        execute format('alter table %I enable row level security', readable);
        execute format('grant select on %I to bytespike_tenant', readable);
    end loop;
end $$;

do $$
declare
    owned text;
begin
    foreach owned in array array[
        'orgs', 'members', 'api_keys', 'sealed_secrets', 'group_grants', 'audit_log', 'transfers',
        'entries', 'balances', 'scope_spend', 'spend_buckets', 'payments', 'wallet_settings',
        'usage', 'usage_hours', 'usage_days', 'usage_account_hours', 'account_events', 'webhooks',
        'webhook_deliveries', 'notifications'
    ] loop
        execute format(
            'create policy tenant on %I to bytespike_tenant'
            ' using (account_id = tenant_account()) with check (account_id = tenant_account())',
            owned
        );
    end loop;
end $$;
create policy tenant on accounts to bytespike_tenant using (id = tenant_account());
-- A user is seen by the accounts they belong to.
create policy tenant on users to bytespike_tenant using (
    account_id = tenant_account()
    or exists (
        select from members
        where members.user_id = users.id and members.account_id = tenant_account()
          and members.status <> 'removed'
    )
);
create policy tenant on retired_secrets to bytespike_tenant
    using (exists (select from api_keys where api_keys.id = key_id))
    with check (exists (select from api_keys where api_keys.id = key_id));

-- Prices are everybody's to read.
grant select on price_revisions to bytespike_tenant;
-- What customers change themselves. Money and usage are the ledger's alone to write.
grant insert, update on orgs, members, api_keys, sealed_secrets, wallet_settings, webhooks,
    webhook_deliveries, notifications, payments to bytespike_tenant;
grant delete on sealed_secrets to bytespike_tenant;
grant insert on retired_secrets, audit_log, account_events to bytespike_tenant;
grant usage on all sequences in schema public to bytespike_tenant;
