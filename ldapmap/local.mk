noinst_LIBRARIES += libldapmap.a
libldapmap_a_SOURCES = \
	%reldir%/ldapmap.h %reldir%/ldapmap_conn.h %reldir%/internal.h %reldir%/query.h \
	%reldir%/settings.c %reldir%/table.c %reldir%/expand.c \
	%reldir%/query.c %reldir%/walk.c %reldir%/patience.h %reldir%/patience.c %reldir%/conn.c \
	%reldir%/ldapmap_client.h %reldir%/client.c %reldir%/client_sasl.c %reldir%/ldapmap_ask.h %reldir%/ask.c
# What a program that asks tables links.
LDAPMAP_LIBS = libldapmap.a $(BASE_LIBS) $(LDAP_LIBS) $(UNISTRING_LIBS)

# Named with its folder, since a program of the folder's own name would stand in the folder's place.
bin_PROGRAMS += %reldir%/ldapmap
%canon_reldir%_ldapmap_SOURCES = %reldir%/main.c
%canon_reldir%_ldapmap_LDADD = $(LDAPMAP_LIBS)
dist_man_MANS += %reldir%/ldapmap.1
