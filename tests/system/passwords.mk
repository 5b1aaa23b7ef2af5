TESTS += tests/system/passwords.py tests/system/sasl.py tests/system/oauth.py
EXTRA_DIST += tests/system/passwords.py tests/system/sasl.py tests/system/oauth.py
EXTRA_DIST += tests/lib/scram.py tests/lib/authline.py tests/lib/introspection.py
