TESTS += tests/system/passwords.py
EXTRA_DIST += tests/system/passwords.py
