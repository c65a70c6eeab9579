-- The settled state can no longer be trusted (restart, failover, repair), so the account refuses
-- paid requests until the ledger has loaded it again. ARGV: scopes whose settled spend is forgotten
-- with it; what is about to be loaded then replaces it instead of being merged into it. Pending
-- entries stay. Reply: 1.
redis.call('HDEL', WALLET, 'balance', 'version')
for _, scope in ipairs(ARGV) do
  local key = spend_key(scope)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field == 'spent' or string.match(field, '^[sS]%d') then redis.call('HDEL', key, field) end
  end
end
return 1
