TESTS += tests/system/ldapmap_postmap.py
EXTRA_DIST += tests/system/ldapmap_postmap.py
