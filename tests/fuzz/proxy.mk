# The fuzzer of a load balancer's header; see tests/fuzz/local.mk.
EXTRA_DIST += tests/fuzz/fuzz_proxy.c tests/fuzz/proxy.dict tests/corpus/proxy
FUZZ_PROXY_FILES = server/io/proxy.c server/io/addr.c $(libbase_a_SOURCES)

fuzz_proxy: config.h $(FUZZ_PROXY_FILES) tests/fuzz/fuzz_proxy.c
	$(AM_V_CC)$(FUZZ_CC) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(FUZZ_FLAGS) -o $@ \
		$(top_srcdir)/tests/fuzz/$@.c \
		$$(for f in $(FUZZ_PROXY_FILES); do case $$f in \
			*.c) echo $(top_srcdir)/$$f;; esac; done) $(SODIUM_LIBS) -lpthread

fuzz-proxy: fuzz_proxy
	mkdir -p fuzz-corpus/$<
	./$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=600 -print_final_stats=1 \
		-dict=$(top_srcdir)/tests/fuzz/proxy.dict fuzz-corpus/$< $(top_srcdir)/tests/corpus/proxy

fuzz: fuzz-proxy
.PHONY: fuzz-proxy
CLEANFILES += fuzz_proxy
