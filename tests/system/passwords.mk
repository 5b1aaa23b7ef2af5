TESTS += tests/system/passwords.py tests/system/sasl.py
EXTRA_DIST += tests/system/passwords.py tests/system/sasl.py
EXTRA_DIST += tests/lib/scram.py
