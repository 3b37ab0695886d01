"""What osquery starts: registers the tables, and answers for them over Thrift."""
