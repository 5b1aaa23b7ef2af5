TESTS += tests/system/queue_deliver.py tests/system/dsn.py tests/system/queue_commands.py tests/system/sendmail.py
EXTRA_DIST += tests/system/queue_deliver.py tests/system/dsn.py tests/system/queue_commands.py tests/system/sendmail.py tests/lib/delivery.py
