noinst_LIBRARIES += libdirectory.a
libdirectory_a_SOURCES = \
	%reldir%/names.h %reldir%/names.c \
	%reldir%/mailbox.h %reldir%/mailbox.c \
	%reldir%/grants.h %reldir%/grants.c \
	%reldir%/domains.h %reldir%/domains.c \
	%reldir%/graph.h %reldir%/graph.c \
	%reldir%/bind_result.h %reldir%/bind_result.c %reldir%/guard.h %reldir%/guard.c %reldir%/exchange.h %reldir%/exchange.c \
	%reldir%/bearer.h %reldir%/bearer.c \
	%reldir%/gather.h %reldir%/gather.c \
	%reldir%/servers.h %reldir%/servers.c \
	%reldir%/opener.h %reldir%/opener.c \
	%reldir%/conns.h %reldir%/conns.c \
	%reldir%/errands.h %reldir%/errands.c \
	%reldir%/search.h %reldir%/search.c \
	%reldir%/binder.h %reldir%/binder.c \
	%reldir%/pools.h %reldir%/pools.c \
	%reldir%/dirset.h %reldir%/dirset.c \
	%reldir%/trace.h %reldir%/trace.c \
	%reldir%/picture.h %reldir%/picture.c \
	%reldir%/sync.h %reldir%/sync.c \
	%reldir%/join.h %reldir%/join.c \
	%reldir%/lookup.h %reldir%/lookup.c \
	%reldir%/maps.h %reldir%/maps.c \
	%reldir%/group.h %reldir%/group.c \
	%reldir%/account.h %reldir%/account.c \
	%reldir%/box.h %reldir%/box.c \
	%reldir%/find.h %reldir%/find.c \
	%reldir%/masquerade.h %reldir%/masquerade.c \
	%reldir%/rewrite.h %reldir%/rewrite.c \
	%reldir%/user.h %reldir%/user.c %reldir%/local.h %reldir%/local.c \
	%reldir%/access.h %reldir%/access.c \
	%reldir%/visit.h %reldir%/visit.c %reldir%/decide.c %reldir%/ends.c \
	%reldir%/resolve.h %reldir%/resolve.c \
	%reldir%/vacation.h %reldir%/vacation.c \
	%reldir%/login.h %reldir%/login.c \
	%reldir%/sender.h %reldir%/sender.c

facteurlibexec_PROGRAMS += directory
directory_SOURCES = \
	%reldir%/main.c %reldir%/directory.h \
	%reldir%/question.h %reldir%/question.c %reldir%/answers.c \
	%reldir%/answers_recipient.c %reldir%/answers_login.c %reldir%/answers_address.c \
	%reldir%/explain.h %reldir%/explain.c \
	%reldir%/watch.h %reldir%/watch.c \
	%reldir%/peer.h %reldir%/peer.c
directory_LDADD = libdirectory.a libldapmap.a libsasl.a $(MAIL_LIBS) $(IPC_LIBS) $(LDAP_LIBS)
