TESTS += tests/system/queue_deliver.py
EXTRA_DIST += tests/system/queue_deliver.py tests/lib/delivery.py
