TESTS += tests/system/configuration.py tests/system/master.py tests/system/life.py tests/system/quickstart.py
EXTRA_DIST += tests/system/configuration.py tests/system/master.py tests/system/life.py tests/system/quickstart.py \
	tests/lib/mastersite.py tests/lib/dummy.py
TESTS += tests/system/imap_dialogues.py
EXTRA_DIST += tests/system/imap_dialogues.py tests/dialogues/imap tests/lib/dialogue.py \
	tests/lib/session_dialogues.py
TESTS += tests/system/imap_clients.py tests/system/imap_large.py tests/system/index_places.py
EXTRA_DIST += tests/system/imap_clients.py tests/system/imap_large.py tests/system/index_places.py
include tests/system/agreement.mk
EXTRA_DIST += %reldir%/store_dovecot.py
TESTS += %reldir%/store_dovecot.py
TESTS += tests/system/sessions.py tests/system/imap_model.py tests/system/imap_takeover.py tests/system/imap_compress.py
EXTRA_DIST += tests/system/sessions.py tests/system/imap_model.py tests/system/imap_takeover.py tests/system/imap_compress.py
TESTS += tests/system/smtp_dialogues.py
EXTRA_DIST += tests/system/smtp_dialogues.py tests/dialogues/smtp
include tests/system/ldapmap.mk
include tests/system/queue.mk
include tests/system/whole.mk
include tests/system/directory.mk
include tests/system/pop3.mk
TESTS += tests/system/search_dovecot.py
EXTRA_DIST += tests/system/search_dovecot.py
include tests/system/relay.mk
include tests/system/tools.mk
include tests/system/filter.mk
include tests/system/rules.mk
include tests/system/passwords.mk
include tests/system/probes.mk
include tests/system/broken.mk
