-- Redis came back from somewhere else (restart, failover): the settled state can no longer be
-- trusted, so the account refuses paid requests until the ledger has loaded it again. Pending
-- entries stay. Reply: 1.
redis.call('HDEL', WALLET, 'balance')
return 1
