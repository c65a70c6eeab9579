-- What must hold even when the code is wrong.

create function refuse_unbalanced_transfer() returns trigger language plpgsql as $$
begin
    -- Sum zero over at least two lines; no rows at all sums to null and is refused as well.
    if (select coalesce(sum(amount_uusd), 1) from entries where transfer_id = new.id) <> 0 then
        raise exception 'transfer % does not sum to zero', new.id using errcode = 'check_violation';
    end if;
    return null;
end $$;
create constraint trigger transfers_are_balanced
    after insert on transfers deferrable initially deferred
    for each row execute function refuse_unbalanced_transfer();

create function refuse_late_entry() returns trigger language plpgsql as $$
begin
    -- A transfer is complete when it commits: its entries come in the transaction that made it, so
    -- the one check of transfers_are_balanced sees them all.
    if exists (
        select from added join transfers on transfers.id = added.transfer_id
        where transfers.created_xid <> pg_current_xact_id()
    ) then
        raise exception 'entries cannot join an earlier transfer' using errcode = 'check_violation';
    end if;
    return null;
end $$;
create trigger entries_come_with_their_transfer
    after insert on entries referencing new table as added
    for each statement execute function refuse_late_entry();

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, tg_op
        using errcode = 'insufficient_privilege';
end $$;
create trigger transfers_are_immutable before update or delete or truncate on transfers
    for each statement execute function refuse_change();
create trigger entries_are_immutable before update or delete or truncate on entries
    for each statement execute function refuse_change();
create trigger prices_are_immutable before update or delete or truncate on price_revisions
    for each statement execute function refuse_change();

-- The triggers bind everybody, the owner included; the grants say it once more to everybody else.
revoke update, delete, truncate on transfers, entries, price_revisions from public;
