"""Jobs of cron, at, anacron, incron and fcron: where they are kept and what they say."""
