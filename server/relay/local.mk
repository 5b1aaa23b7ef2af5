noinst_LIBRARIES += librelay.a
librelay_a_SOURCES = \
	%reldir%/source.h %reldir%/source.c \
	%reldir%/route.h %reldir%/route.c \
	%reldir%/reach.h %reldir%/reach.c \
	%reldir%/policy.h %reldir%/policy.c \
	%reldir%/transport.h %reldir%/transport.c \
	%reldir%/sts.h %reldir%/sts.c
facteurlibexec_PROGRAMS += relay
# A job from its beginning to its end: tests/fuzz drives it without sockets.
RELAY_JOB_SOURCES = \
	%reldir%/relay.h %reldir%/dns.h %reldir%/strict.h %reldir%/enforce.c \
	%reldir%/tls.c %reldir%/job.c %reldir%/hosts.c %reldir%/client.c %reldir%/dialogue.c %reldir%/transaction.c \
	%reldir%/idle.c %reldir%/dane.c %reldir%/rounds.c %reldir%/destination.c %reldir%/login.c
relay_SOURCES = %reldir%/main.c %reldir%/dns.c %reldir%/strict.c %reldir%/tables.c %reldir%/ask.c $(RELAY_JOB_SOURCES)
relay_LDADD = librelay.a libsmtp.a $(MAIL_LIBS) $(IPC_LIBS) $(UNBOUND_LIBS) $(CURL_LIBS)
