"""`minehunt fleet`: one answer over the results of all hosts: incidents, campaigns, rarities, who is next, who is silent.

    sources ─► forms ─► duck / spark (engines) ─► results ─► state ─► things ─► campaigns, rare, next_hosts, coverage ─► report/

What is joined and counted is an Ibis expression, the same for every engine; only aggregated edges reach Python.
"""
