/* The tests of the directory program's pure parts, one list a file. */
#ifndef FACTEUR_TESTS_DIRECTORY_H
#define FACTEUR_TESTS_DIRECTORY_H

#include "tests/unit/unit.h"

void test_address_keys(void);
void test_address_without_domain(void);
void test_address_bad(void);
void test_alias_lists(void);
void test_alias_targets(void);
void test_login_names(void);
void test_templates(void);
void test_dns(void);

void test_grant_lives(void);
void test_grant_redeemers(void);
void test_grant_unknown(void);
void test_grant_bounds(void);
void test_grant_holder_gone(void);

void test_graph_duplicates(void);
void test_graph_keeps(void);
void test_graph_loops(void);
void test_graph_mutual(void);
void test_graph_depth(void);
void test_graph_size(void);

void test_user_only_entry(void);
void test_user_cannot_say(void);
void test_account_login(void);
void test_account_locked(void);

void test_servers_in_order(void);
void test_servers_told(void);
void test_servers_probed(void);
void test_servers_single(void);
void test_servers_at_random(void);

#endif
