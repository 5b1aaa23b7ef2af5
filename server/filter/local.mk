noinst_LIBRARIES += libfilter.a
libfilter_a_SOURCES = %reldir%/token_answer.h %reldir%/token_answer.c
facteurlibexec_PROGRAMS += filter
filter_SOURCES = \
	%reldir%/filter.h %reldir%/main.c %reldir%/visit.c %reldir%/message.c \
	%reldir%/link.c %reldir%/events.c %reldir%/answers.c %reldir%/policy.c %reldir%/token.c
filter_LDADD = libfilter.a libmilter.a libpolicy.a $(MAIL_LIBS) $(IPC_LIBS) $(CURL_LIBS) $(JANSSON_LIBS)
