"""RocksDB's options: the caches that all partitions share, and how each is opened."""

import rocksdict

# Decoded users are cached in front of it (`stream.pipeline.users`), so a larger cache hits no more
# often; it only makes memory grow for hours until it is full.
_BLOCK_CACHE_BYTES = 32 << 20
_BLOCK_BYTES = 2 << 10  # decompressed whole for a user who is read; half of RocksDB's own
_WRITE_BUFFERS_BYTES = 64 << 20
_WRITE_BUFFER_BYTES = 16 << 20  # of one partition


class Tuning:
    """The options of the partitions of one worker."""

    def __init__(self) -> None:
        self._cache = rocksdict.Cache(_BLOCK_CACHE_BYTES)
        self._buffers = rocksdict.WriteBufferManager(_WRITE_BUFFERS_BYTES, allow_stall=False)

    def options(self, max_open_files: int) -> rocksdict.Options:
        """How to open a partition, which keeps at most so many of its table files open."""
        table = rocksdict.BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_block_size(_BLOCK_BYTES)
        table.set_bloom_filter(10, block_based=False)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_write_buffer_manager(self._buffers)
        options.set_keep_log_file_num(3)
        options.set_max_open_files(max_open_files)
        return options
