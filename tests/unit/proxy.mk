if HAVE_CUNIT
check_PROGRAMS += unit-proxy.t
TESTS += unit-proxy.t
unit_proxy_t_SOURCES = tests/unit/test_proxy.c
unit_proxy_t_LDADD = $(UNIT_LIBS) libio.a $(BASE_LIBS)
endif
