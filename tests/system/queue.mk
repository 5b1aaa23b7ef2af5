TESTS += tests/system/queue_deliver.py tests/system/dsn.py tests/system/queue_commands.py
EXTRA_DIST += tests/system/queue_deliver.py tests/system/dsn.py tests/system/queue_commands.py tests/lib/delivery.py
