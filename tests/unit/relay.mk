if HAVE_CUNIT
check_PROGRAMS += unit-relay.t
TESTS += unit-relay.t
unit_relay_t_SOURCES = tests/unit/test_relay.c
unit_relay_t_LDADD = $(UNIT_LIBS) librelay.a libsmtp.a libconfig.a $(MAIL_LIBS)
endif
