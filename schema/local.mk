EXTRA_DIST += tests/lib/slapd.py
schemadir = $(datadir)/facteur/schema
dist_schema_DATA = \
	%reldir%/postfix.ldif %reldir%/postfix.schema %reldir%/facteur.ldif %reldir%/facteur.schema \
	%reldir%/indexes.ldif %reldir%/access.ldif %reldir%/sasl.ldif \
	%reldir%/limits.ldif %reldir%/syncprov.ldif %reldir%/tree.ldif %reldir%/people.ldif
dist_schema_SCRIPTS = %reldir%/private-slapd
