TESTS += tests/system/queue_deliver.py tests/system/dsn.py tests/system/queue_commands.py tests/system/sendmail.py tests/system/queue_fair.py
EXTRA_DIST += tests/system/queue_deliver.py tests/system/dsn.py tests/system/queue_commands.py tests/system/sendmail.py tests/system/queue_fair.py tests/lib/delivery.py
