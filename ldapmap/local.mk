EXTRA_DIST += %reldir%/ldapmap.h %reldir%/ldapmap_conn.h
