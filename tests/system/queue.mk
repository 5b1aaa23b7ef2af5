TESTS += tests/system/queue_deliver.py tests/system/dsn.py
EXTRA_DIST += tests/system/queue_deliver.py tests/system/dsn.py tests/lib/delivery.py
