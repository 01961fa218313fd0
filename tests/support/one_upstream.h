#ifndef TESTS_SUPPORT_ONE_UPSTREAM_H
#define TESTS_SUPPORT_ONE_UPSTREAM_H
/* An upstream of one chain, without health and pools, for tests of what leads to it. */
#include "access/ingress.h"

#include <criterion/criterion.h>

struct one_upstream {
	struct chain_member member;
	struct chain_upstream_spec spec;
	struct chain_upstream_spec *specs[1];
	struct chain_upstream *upstreams[1];
};

/* one_upstream_open() - @options get it as their only one, @listener leads to it. */
static inline void one_upstream_open(struct one_upstream *one, struct loop *loop,
	struct resolver *resolver, const struct chain_spec *chain, struct access_options *options,
	struct access_listener *listener)
{
	struct chain_upstream_options o = { .loop = loop, .resolver = resolver };
	one->member = (struct chain_member){ .chain = chain };
	one->spec = (struct chain_upstream_spec){ .members = &one->member, .n_members = 1 };
	one->specs[0] = &one->spec;
	options->upstreams = one->specs;
	options->n_upstreams = 1;
	listener->use = &one->spec;
	cr_assert_eq(chain_upstream_new(&o, &one->spec, &one->upstreams[0]), 0);
}

static inline void one_upstream_close(struct one_upstream *one)
{
	chain_upstream_free(one->upstreams[0]);
}

#endif
