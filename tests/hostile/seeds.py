"""Seeds of the campaign that are literals: as files, they would be a miner's configuration wherever a copy of the tree lies."""

MINER_INI = b"""[Ethash]
wallet = 0x1f9840a85d5AF5bf1D1762F925BDADdC4201F985
rigName = rig1
pool1 = eth.pool.example:9999
; comment
[RandomX]
coin=xmr
sortPools=true
"""
MINER_JSON = rb"""{"autosave": true, "cpu": {"enabled": true, "huge-pages": true}, "donate-level": 1, /* note */
 "pools": [{"algo": "rx/0", "url": "stratum+ssl://pool.example.org:443", "user":
 "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3B.w1",
 "pass": "x", "tls": true, "keepalive": true, "nicehash": false}],
 "http": {"port": 0, "access-token": null}, "retries": 5}
"""
