-- What customers may do to their organisation: rename it and limit what it spends. Whether it is
-- paused is for operators to say, and so is which account it owns.

revoke insert, update on orgs from bytespike_tenant;
grant update (name, quota_uusd, window_5h_uusd, window_1d_uusd, window_7d_uusd, updated_at) on orgs
    to bytespike_tenant;

grant execute on function user_of_email to bytespike_tenant;

-- A user is seen by the accounts they belong or belonged to: who was removed is still named.
alter policy tenant on users using (
    account_id = tenant_account()
    or exists (
        select from members
        where members.user_id = users.id and members.account_id = tenant_account()
    )
);

create index orgs_name on orgs (name);

-- A row names the account it belongs to and the organisation or member it hangs on; both must be
-- of the same account, or a tenant could hang rows of their own on somebody else's.
alter table orgs add unique (id, account_id);
alter table members
    add unique (id, account_id),
    add foreign key (org_id, account_id) references orgs (id, account_id);
alter table api_keys
    add foreign key (org_id, account_id) references orgs (id, account_id),
    add foreign key (member_id, account_id) references members (id, account_id);
