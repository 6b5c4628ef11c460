"""User state in RocksDB, and its recovery from the changelog."""
