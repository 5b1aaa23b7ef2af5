TESTS += tests/system/rules.py
EXTRA_DIST += tests/system/rules.py
