TESTS += tests/system/ldapmap_postmap.py tests/system/private_slapd.py
EXTRA_DIST += tests/system/ldapmap_postmap.py tests/system/private_slapd.py
