noinst_LIBRARIES += librelay.a
librelay_a_SOURCES = \
	%reldir%/source.h %reldir%/source.c \
	%reldir%/route.h %reldir%/route.c \
	%reldir%/reach.h %reldir%/reach.c \
	%reldir%/policy.h %reldir%/policy.c \
	%reldir%/transport.h %reldir%/transport.c \
	%reldir%/sts.h %reldir%/sts.c
facteurlibexec_PROGRAMS += relay
relay_SOURCES = \
	%reldir%/relay.h %reldir%/main.c \
	%reldir%/dns.h %reldir%/dns.c \
	%reldir%/strict.h %reldir%/strict.c %reldir%/enforce.c \
	%reldir%/tls.c %reldir%/job.c %reldir%/hosts.c %reldir%/client.c %reldir%/dialogue.c %reldir%/transaction.c \
	%reldir%/idle.c %reldir%/dane.c %reldir%/rounds.c %reldir%/destination.c %reldir%/tables.c %reldir%/login.c %reldir%/ask.c
relay_LDADD = librelay.a libsmtp.a $(MAIL_LIBS) $(IPC_LIBS) $(UNBOUND_LIBS) $(CURL_LIBS)
